"""OpenAI's chat completions: clients of that API talk to the bot unchanged.

They send the whole transcript each time and no conversation's name, but business actions cannot be played
again. So each transcript, as it stands after an answer, names the conversation that it came from, once: who
sends it with one more message goes on there. An unknown transcript begins a conversation.
"""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Depends, Header
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from chatbot.access import Access, Caller, name_of
from chatbot.bot import BadMessage
from chatbot.problems import problems
from chatbot.streams import EVENT_SCHEMA, HEADERS, split_words
from chatbot.workers import Workers
from storage.records import Message, Owner
from storage.threads import find_thread, name_thread, take_thread

MODEL = "deskmoe"
MOST_MESSAGES = 1000
CREATED = 1_767_225_600
"""When the model is said to be made, which clients want to know: 1 January 2026."""


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class CompletionRequest(BaseModel):
    """Other fields, such as the temperature, are taken and mean nothing here."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": MODEL, "messages": [{"role": "user", "content": "I lost my card"}]}]
        }
    )

    model: str = MODEL
    messages: list[ChatMessage] = Field(min_length=1, max_length=MOST_MESSAGES)
    stream: bool = False
    user: str | None = Field(default=None, max_length=255)
    """Names the one who writes: then the conversation is found by this name."""


class AnswerMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str


class Choice(BaseModel):
    index: int = 0
    message: AnswerMessage
    finish_reason: Literal["stop"] = "stop"


class Completion(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "chatcmpl-5f0d7a4c1e3b4f0c",
                    "object": "chat.completion",
                    "created": CREATED,
                    "model": MODEL,
                    "choices": [
                        {
                            "index": 0,
                            "message": {"role": "assistant", "content": "Which card is it?"},
                            "finish_reason": "stop",
                        }
                    ],
                }
            ]
        }
    )

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str = MODEL
    choices: list[Choice]


class Model(BaseModel):
    id: str = MODEL
    object: Literal["model"] = "model"
    created: int = CREATED
    owned_by: str


class Models(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The completion, or its pieces",
        "content": {
            "text/event-stream": {
                "schema": EVENT_SCHEMA,
                "example": 'data: {"object": "chat.completion.chunk", "choices": [{"index": 0, '
                '"delta": {"content": "Which "}, "finish_reason": null}]}\n\ndata: [DONE]\n\n',
            }
        },
    }
}


def build_completion_routes(access: Access, workers: Workers) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["other protocols"])
    transcripts = _Transcripts(access)

    @router.get("/models", responses=problems(401, 403, 429, 503))
    async def list_models(caller: Annotated[Caller, Depends(access)]) -> Models:
        """The one model, for clients that look."""
        await workers.run(access.require_key, caller)
        return Models(data=[Model(owned_by=access.bot.pack.domain.business)])

    @router.post(
        "/chat/completions",
        response_model=Completion,
        responses=problems(400, 401, 403, 408, 413, 422, 429, 503) | STREAM,
    )
    async def complete_chat(
        caller: Annotated[Caller, Depends(access)],
        request: CompletionRequest,
        idempotency_key: Annotated[str | None, Header(pattern=r"^[\w.:-]{1,64}$")] = None,
    ) -> Completion | StreamingResponse:
        """OpenAI's chat completions, streamed where `stream` is true. Needs an API key."""
        text = await workers.run(transcripts.answer, caller, request, idempotency_key)
        id, created = f"chatcmpl-{uuid4().hex}", int(time.time())
        if request.stream:
            pieces = _chunks(id, created, text)
            return StreamingResponse(pieces, media_type="text/event-stream", headers=HEADERS)
        return Completion(id=id, created=created, choices=[Choice(message=AnswerMessage(content=text))])

    return router


class _Transcripts:
    def __init__(self, access: Access) -> None:
        self._access, self._bot = access, access.bot

    def answer(self, caller: Caller, request: CompletionRequest, message_id: str | None) -> str:
        """The bot's answer to the last message of the transcript."""
        key = self._access.require_key(caller)
        if request.messages[-1].role != "user":
            raise BadMessage("The last of the messages must be the user's.")
        engine, said = (
            self._bot.store.engine,
            [m for m in request.messages if m.role in ("user", "assistant")],
        )
        conversation_id = None
        if request.user is not None:
            if message_id is not None or any(message.role == "assistant" for message in said):
                conversation_id = find_thread(engine, name_of("user", key, request.user))
        elif len(said) > 1:
            conversation_id = take_thread(engine, _name(key, said[:-1]))
        if conversation_id is None:
            conversation_id = self._bot.start(Owner(api_key=key))
            if request.user is not None:
                name_thread(engine, name_of("user", key, request.user), conversation_id)
        text = _join(self._bot.reply(conversation_id, said[-1].text, message_id))
        if request.user is None:
            answered = [*said, ChatMessage(role="assistant", content=text)]
            name_thread(engine, _name(key, answered), conversation_id)
        return text


def _name(key: str, said: Sequence[ChatMessage]) -> str:
    return name_of("transcript", key, *(part for message in said for part in (message.role, message.text)))


def _join(replies: Sequence[Message]) -> str:
    return "\n\n".join(reply.text for reply in replies)


def _chunks(id: str, created: int, text: str) -> Iterator[str]:
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": word}, None) for word in split_words(text)]
    deltas.append(({}, "stop"))
    for delta, reason in deltas:
        chunk = {
            "id": id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": MODEL,
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }
        yield f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"
    yield "data: [DONE]\n\n"
