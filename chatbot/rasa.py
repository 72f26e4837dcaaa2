"""Rasa's REST channel: clients of a Rasa server talk to this one unchanged."""

import threading
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from chatbot.access import Access, Caller, name_of
from chatbot.problems import problems
from chatbot.workers import Workers
from storage.records import Message, Owner
from storage.threads import find_thread, name_thread

RESTART = "/restart"
"""The message with which Rasa's clients begin anew."""


class RasaRequest(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"sender": "customer-17", "message": "I lost my card"}]}
    )

    sender: str = Field(min_length=1, max_length=255)
    """The client's own name for the one who writes. Each has one conversation at a time."""
    message: str


class RasaButton(BaseModel):
    title: str
    payload: str


class RasaMessage(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"recipient_id": "customer-17", "text": "Which card is it?", "buttons": None}]
        }
    )

    recipient_id: str
    text: str
    buttons: list[RasaButton] | None = None


def build_rasa_routes(access: Access, workers: Workers) -> APIRouter:
    router = APIRouter(tags=["other protocols"])
    talks = _Talks(access)

    @router.post(
        "/webhooks/rest/webhook",
        responses=problems(400, 401, 403, 408, 413, 422, 429, 503),
        response_model_exclude_none=True,
    )
    async def talk_as_rasa(
        caller: Annotated[Caller, Depends(access)], request: RasaRequest
    ) -> list[RasaMessage]:
        """Rasa's REST channel: a message of `sender`, and the bot's answers. Needs an API key."""
        replies = await workers.run(talks.answer, caller, request.sender, request.message)
        return [_body(request.sender, reply) for reply in replies]

    return router


class _Talks:
    """One conversation for each sender of each key."""

    def __init__(self, access: Access) -> None:
        self._access, self._bot = access, access.bot
        self._finding = threading.Lock()

    def answer(self, caller: Caller, sender: str, text: str) -> tuple[Message, ...]:
        key = self._access.require_key(caller)
        engine, name = self._bot.store.engine, name_of("rasa", key, sender)
        with self._finding:  # two messages at once of a new sender are still one conversation
            conversation_id = None if text.strip() == RESTART else find_thread(engine, name)
            if conversation_id is None:
                conversation_id = self._bot.start(Owner(api_key=key))
                name_thread(engine, name, conversation_id)
        if text.strip() == RESTART:
            return self._bot.store.history(conversation_id)
        return self._bot.reply(conversation_id, text)


def _body(sender: str, message: Message) -> RasaMessage:
    buttons = [RasaButton(title=button.label, payload=button.text) for button in message.buttons]
    return RasaMessage(recipient_id=sender, text=message.text, buttons=buttons or None)
