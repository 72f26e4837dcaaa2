"""What goes wrong over HTTP, told as RFC 9457 has it."""

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

from chatbot.bot import BadMessage
from chatbot.gate import Closing
from chatbot.workers import Overloaded
from domains.backend import BackendError
from storage.conversations import UnknownConversation, UnknownMessage
from storage.database import StorageError

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


class BodyLimit:
    """Answers 413 to a request whose body is longer than `limit` bytes, whatever its Content-Length says."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
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
        if size > self.limit:
            refusal = problem(413, f"A request body may have at most {self.limit} bytes.")
            return await refusal(scope, receive, send)

        async def replay() -> AsgiMessage:
            return received.pop(0) if received else await receive()

        return await self.app(scope, replay, send)


def answer_errors(app: FastAPI) -> None:
    """Answer every error with a problem; none with a traceback."""

    @app.exception_handler(UnknownConversation)
    def answer_unknown(request: Request, error: UnknownConversation) -> Response:
        return problem(404, "There is no such conversation.")

    @app.exception_handler(UnknownMessage)
    def answer_unknown_message(request: Request, error: UnknownMessage) -> Response:
        return problem(404, "The conversation has no such message of the bot.")

    @app.exception_handler(BadMessage)
    def answer_bad_message(request: Request, error: BadMessage) -> Response:
        return problem(422, str(error))

    @app.exception_handler(RequestValidationError)
    def answer_bad_request(request: Request, error: RequestValidationError) -> Response:
        return problem(422, "; ".join(_describe(fault) for fault in error.errors()))

    @app.exception_handler(HTTPException)
    def answer_http_error(request: Request, error: HTTPException) -> Response:
        return problem(error.status_code, error.detail, error.headers)

    @app.exception_handler(StorageError)
    def answer_storage_error(request: Request, error: StorageError) -> Response:
        logger.error("%s %s: %s", request.method, request.url.path, error)
        return problem(503, "The database does not answer. Please try again.", {"Retry-After": RETRY_AFTER})

    @app.exception_handler(BackendError)
    def answer_backend_error(request: Request, error: BackendError) -> Response:
        logger.error("%s %s: %s", request.method, request.url.path, error)
        return problem(503, "Our systems do not answer. Please try again.", {"Retry-After": RETRY_AFTER})

    @app.exception_handler(Overloaded)
    @app.exception_handler(Closing)
    def answer_not_now(request: Request, error: Exception) -> Response:
        logger.warning("%s %s: %s", request.method, request.url.path, error)
        return problem(503, f"{error} Please try again.", {"Retry-After": RETRY_AFTER})

    @app.exception_handler(Exception)
    def answer_unexpected(request: Request, error: Exception) -> Response:
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem(500, "The service failed. The failure was logged.")


def _describe(fault: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place}: {fault['msg']}"
