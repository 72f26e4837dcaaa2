"""What goes wrong over HTTP, told as RFC 9457 has it."""

import asyncio
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.types import Message as AsgiMessage

from chatbot.access import Unauthorized
from chatbot.bot import BadMessage, UnknownCustomer
from chatbot.gate import Closing
from chatbot.identity import BadIdentity
from chatbot.metrics import ERRORS
from chatbot.rates import TooMany
from chatbot.workers import Overloaded
from domains.backend import BackendError
from storage.conversations import OtherCustomer, UnknownConversation, UnknownMessage
from storage.faults import StorageError

RETRY_AFTER = "5"
"""Seconds after which a client may try again when the database did not answer."""


logger = logging.getLogger(__name__)


class Problem(BaseModel):
    """RFC 9457."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(body.model_dump(), status, headers, media_type="application/problem+json")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of one operation, for the OpenAPI document."""
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


class Failsafe:
    """Answers 500 where the application fails, and logs that as part of the request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = scope["type"] != "http"

        async def send_and_note(message: AsgiMessage) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except Exception as error:
            if begun:  # too late for an answer: the server breaks the connection, and logs
                raise
            ERRORS.labels("unexpected").inc()
            logger.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
            answer = problem(500, "The service failed. The failure was logged.")
            await answer(scope, receive, send)


class BodyLimit:
    """Reads the whole body before anybody works on it.

    Answers 413 to one that is longer than `limit` bytes, whatever its Content-Length says, and 408 to one
    that has not come within `seconds`.
    """

    def __init__(self, app: ASGIApp, limit: int, seconds: float) -> None:
        self.app, self.limit, self.seconds = app, limit, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        try:
            async with asyncio.timeout(self.seconds):
                received = await self._read(scope, receive)
        except TimeoutError:
            refusal = problem(
                408, f"The body did not come within {self.seconds:g} s.", {"Connection": "close"}
            )
            return await refusal(scope, receive, send)
        if received is None:
            refusal = problem(413, f"A request body may have at most {self.limit} bytes.")
            return await refusal(scope, receive, send)

        async def replay() -> AsgiMessage:
            return received.pop(0) if received else await receive()

        return await self.app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> list[AsgiMessage] | None:
        """The parts of the body; None where it is too long."""
        declared = Headers(scope=scope).get("content-length", "")
        size = int(declared) if declared.isdecimal() else 0
        received: list[AsgiMessage] = []
        read = 0
        more = True
        while more and size <= self.limit:
            part = await receive()
            received.append(part)
            read += len(part.get("body", b""))
            size = max(size, read)
            more = part.get("more_body", False)
        return None if size > self.limit else received


def answer_errors(app: FastAPI) -> None:
    """Answer every error with a problem; what nobody foresaw is left to Failsafe."""

    @app.exception_handler(UnknownConversation)
    def answer_unknown(request: Request, error: UnknownConversation) -> Response:
        return problem(404, "There is no such conversation, or it is not yours: show its token.")

    @app.exception_handler(UnknownMessage)
    def answer_unknown_message(request: Request, error: UnknownMessage) -> Response:
        return problem(404, "The conversation has no such message of the bot.")

    @app.exception_handler(BadMessage)
    @app.exception_handler(UnknownCustomer)
    def answer_bad_message(request: Request, error: Exception) -> Response:
        return problem(422, str(error))

    @app.exception_handler(Unauthorized)
    @app.exception_handler(BadIdentity)
    def answer_unauthorized(request: Request, error: Exception) -> Response:
        return problem(401, str(error), {"WWW-Authenticate": "Bearer"})

    @app.exception_handler(OtherCustomer)
    def answer_other_customer(request: Request, error: OtherCustomer) -> Response:
        return problem(409, "The conversation is another customer's. Begin a new one.")

    @app.exception_handler(TooMany)
    def answer_too_many(request: Request, error: TooMany) -> Response:
        return problem(429, str(error), {"Retry-After": str(error.seconds)})

    @app.exception_handler(RequestValidationError)
    def answer_bad_request(request: Request, error: RequestValidationError) -> Response:
        return problem(422, "; ".join(_describe(fault) for fault in error.errors()))

    @app.exception_handler(HTTPException)
    def answer_http_error(request: Request, error: HTTPException) -> Response:
        return problem(error.status_code, error.detail, error.headers)

    @app.exception_handler(StorageError)
    def answer_storage_error(request: Request, error: StorageError) -> Response:
        ERRORS.labels("database").inc()
        logger.error("%s %s: %s", request.method, request.url.path, error)
        return problem(503, "The database does not answer. Please try again.", {"Retry-After": RETRY_AFTER})

    @app.exception_handler(BackendError)
    def answer_backend_error(request: Request, error: BackendError) -> Response:
        ERRORS.labels("business_system").inc()
        logger.error("%s %s: %s", request.method, request.url.path, error)
        return problem(503, "Our systems do not answer. Please try again.", {"Retry-After": RETRY_AFTER})

    @app.exception_handler(Overloaded)
    @app.exception_handler(Closing)
    def answer_not_now(request: Request, error: Exception) -> Response:
        ERRORS.labels("overloaded").inc()
        logger.warning("%s %s: %s", request.method, request.url.path, error)
        return problem(503, f"{error} Please try again.", {"Retry-After": RETRY_AFTER})


def _describe(fault: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place}: {fault['msg']}"
