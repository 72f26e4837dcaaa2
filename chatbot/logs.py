"""Logging of the server, for people or as JSON: card numbers and the like never reach a handler unmasked.

No line holds what a customer wrote. Each knows its request and its conversation.
"""

import json
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatbot.metrics import REQUESTS
from storage.masking import MaskingFilter

LogFormat = Literal["text", "json"]
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
conversation: ContextVar[str | None] = ContextVar("conversation", default=None)

logger = logging.getLogger("chatbot.requests")


def configure_logging(level: str, log_format: LogFormat = "text") -> None:
    """Log to standard error at `level`, masked; uvicorn's own handlers are masked too."""
    logging.basicConfig(level=level.upper(), format=TEXT)
    for name in (None, "uvicorn", "uvicorn.error", "uvicorn.access"):
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(MaskingFilter())
            if log_format == "json":
                handler.setFormatter(JsonFormatter())
    # One line a request: RequestLog's where it can say all it knows, uvicorn's else.
    silent = "uvicorn.access" if log_format == "json" else logger.name
    logging.getLogger(silent).setLevel(logging.WARNING)


@contextmanager
def within(conversation_id: str) -> Iterator[None]:
    """What is logged inside belongs to this conversation."""
    before = conversation.set(conversation_id)
    try:
        yield
    finally:
        conversation.reset(before)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
            "conversation_id": conversation.get(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = record.exc_text or self.formatException(record.exc_info)
        return json.dumps(
            {key: value for key, value in line.items() if value is not None}, ensure_ascii=False
        )


class RequestLog:
    """Gives every request an id, or keeps the proxy's, and logs and counts it at its end."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        name = given if REQUEST_ID.fullmatch(given) else uuid4().hex
        before = request_id.set(name)
        status, endless, start = 500, False, time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status, endless
            if message["type"] == "http.response.start":
                status, headers = message["status"], MutableHeaders(scope=message)
                endless = headers.get("content-type", "").startswith("text/event-stream")
                headers["X-Request-ID"] = name
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - start
            route = getattr(scope.get("route"), "path", "other")
            if not endless:  # how long somebody watches is not how long we take
                REQUESTS.labels(scope["method"], route, str(status)).observe(seconds)
            fields = {"method": scope["method"], "route": route, "status": status}
            fields["milliseconds"] = round(1000 * seconds, 1)
            logger.info("%s %s %s", scope["method"], route, status, extra={"fields": fields})
            request_id.reset(before)
