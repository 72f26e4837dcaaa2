"""The HTTP interface: conversations, messages, ratings, and whether the service is up."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, Path, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from chatbot.bot import Chatbot
from chatbot.problems import RETRY_AFTER, BodyLimit, answer_errors, problem, problems
from chatbot.recovery import recover
from chatbot.workers import Overloaded, Workers
from storage.database import StorageError
from storage.records import Author, Message

ConversationId = Annotated[str, Path(pattern=r"^[^\x00]+$")]
BODY_LIMIT = 64 * 1024


class ButtonBody(BaseModel):
    label: str
    text: str


class MessageBody(BaseModel):
    seq: int
    author: Author
    text: str
    buttons: list[ButtonBody] | None = None
    rating: int | None = None
    """1 up, -1 down; left out where the message was not rated."""


class MessagesBody(BaseModel):
    messages: list[MessageBody]


class StartedBody(MessagesBody):
    id: str


class ConversationBody(StartedBody):
    status: str


class MessageRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": "I lost my card"}]})

    text: str
    client_message_id: str | None = Field(default=None, pattern=r"^[\w.:-]{1,64}$")
    """Chosen by the client, a UUID best. The same one twice in a conversation acts once."""


class RatingRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"rating": 1}]})

    rating: Literal[1, -1, 0]


def split_words(text: str) -> list[str]:
    """Pieces that join to `text`: each word with the space behind it."""
    return re.findall(r"\S+\s*|\s+", text)


EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bot's messages",
        "content": {"text/event-stream": {"example": 'event: token\ndata: {"seq": 3, "text": "Sure, "}\n\n'}},
    }
}


def create_api(bot: Chatbot, body_limit: int = BODY_LIMIT) -> FastAPI:
    """The API of `bot`. What it does runs in `workers`; interrupted turns are finished from its start on."""
    business = bot.pack.domain.business
    workers = Workers()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        stop = threading.Event()
        threading.Thread(target=recover, args=(bot, stop), name="recovery", daemon=True).start()
        yield
        stop.set()
        await asyncio.to_thread(bot.close)
        workers.close()

    app = FastAPI(
        title=f"{business} chatbot",
        summary=f"Conversations with {bot.pack.domain.assistant}, the virtual assistant of {business}.",
        version="1",
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(BodyLimit, limit=body_limit)
    answer_errors(app)
    _add_conversations(app, bot, workers)
    _add_health(app, bot, workers)
    return app


def _add_conversations(app: FastAPI, bot: Chatbot, workers: Workers) -> None:
    @app.post("/v1/conversations", status_code=201, responses=problems(503), response_model_exclude_none=True)
    async def start_conversation() -> StartedBody:
        """Start a conversation; the answer holds the greeting."""
        conversation_id = await workers.run(bot.start)
        history = await workers.run(bot.store.history, conversation_id)
        return StartedBody(id=conversation_id, messages=_bodies(history))

    @app.get(
        "/v1/conversations/{conversation_id}", responses=problems(404, 503), response_model_exclude_none=True
    )
    async def read_conversation(conversation_id: ConversationId) -> ConversationBody:
        """The whole history of a conversation."""
        history = await workers.run(bot.store.history, conversation_id)
        status = await workers.run(bot.store.status, conversation_id)
        return ConversationBody(id=conversation_id, status=status, messages=_bodies(history))

    @app.post(
        "/v1/conversations/{conversation_id}/messages",
        response_model=MessagesBody,
        response_model_exclude_none=True,
        responses=problems(404, 413, 422, 503) | EVENT_STREAM,
    )
    async def send_message(
        conversation_id: ConversationId, message: MessageRequest, accept: Annotated[str, Header()] = ""
    ) -> MessagesBody | StreamingResponse:
        """Send a customer's message and get the bot's; streamed where `Accept` is text/event-stream."""
        replies = _bodies(
            await workers.run(bot.reply, conversation_id, message.text, message.client_message_id)
        )
        if "text/event-stream" not in accept:
            return MessagesBody(messages=replies)
        return StreamingResponse(
            _events(replies), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    @app.post(
        "/v1/conversations/{conversation_id}/messages/{seq}/rating",
        status_code=204,
        responses=problems(404, 422, 503),
    )
    async def rate_message(
        conversation_id: ConversationId, seq: Annotated[int, Path(ge=1, le=2**31 - 1)], rating: RatingRequest
    ) -> None:
        """Rate one of the bot's messages: 1 up, -1 down, 0 takes the rating back."""
        await workers.run(bot.store.rate, conversation_id, seq, rating.rating)


def _add_health(app: FastAPI, bot: Chatbot, workers: Workers) -> None:
    @app.get("/healthz", tags=["health"])
    async def report_health() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], response_model=dict[str, str], responses=problems(503))
    async def report_readiness() -> dict[str, str] | Response:
        """The database answers, so that conversations can be served."""
        try:
            await workers.run(bot.store.ping)
        except (StorageError, Overloaded) as error:
            return problem(503, str(error), {"Retry-After": RETRY_AFTER})
        return {"status": "ready"}


def _bodies(messages: Sequence[Message]) -> list[MessageBody]:
    return [
        MessageBody(
            seq=message.seq,
            author=message.author,
            text=message.shown,
            buttons=[ButtonBody(label=button.label, text=button.text) for button in message.buttons] or None,
            rating=message.rating or None,
        )
        for message in messages
    ]


def _events(messages: Sequence[MessageBody]) -> Iterator[str]:
    """Server-sent events: the words of each message, the message, and at the end that all was sent."""
    for message in messages:
        for word in split_words(message.text):
            yield _event("token", {"seq": message.seq, "text": word})
        yield _event("message", message.model_dump(exclude_none=True))
    yield _event("done", {})


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
