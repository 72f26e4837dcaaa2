"""What requests and answers of /v1 look like."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from storage.records import Author, Message

EXAMPLE_ID = "5f0d7a4c1e3b4f0c9a7d2b6e8c1f3a5d"
HELLO = {"seq": 1, "author": "bot", "text": "Hello, I am Marlow. How can I help you today?"}
CONFIRM = {
    "seq": 3,
    "author": "bot",
    "text": "Shall I block the card ending in 6467?",
    "buttons": [{"label": "Yes", "text": "Yes, please"}, {"label": "No", "text": "No"}],
}
ConversationId = Annotated[str, Path(pattern=r"^[^\x00]+$", examples=[EXAMPLE_ID])]


def _example(*examples: Any, strict: bool = False) -> ConfigDict:
    config = ConfigDict(json_schema_extra={"examples": list(examples)})
    return ConfigDict(extra="forbid", **config) if strict else config


class ButtonBody(BaseModel):
    label: str
    text: str


class MessageBody(BaseModel):
    model_config = _example(HELLO)

    seq: int
    author: Author
    text: str
    buttons: list[ButtonBody] | None = None
    rating: int | None = None
    """1 up, -1 down; left out where the message was not rated."""


class MessagesBody(BaseModel):
    model_config = _example({"messages": [CONFIRM]})

    messages: list[MessageBody]


class StartedBody(MessagesBody):
    model_config = _example({"id": EXAMPLE_ID, "token": "3q2-7wEjR5tKx…", "messages": [HELLO]})

    id: str
    token: str
    """Whoever shows it may go on with the conversation. It is told this once."""


class ConversationBody(MessagesBody):
    model_config = _example({"id": EXAMPLE_ID, "status": "open", "messages": [HELLO], "next": 1})

    id: str
    status: str
    next: int | None = None
    """`after` of the next page; left out on the last."""


class MessageRequest(BaseModel):
    model_config = _example({"text": "I lost my card", "client_message_id": "m-1"}, strict=True)

    text: str
    client_message_id: str | None = Field(default=None, pattern=r"^[\w.:-]{1,64}$")
    """Chosen by the client, a UUID best. The same one twice in a conversation acts once."""


class RatingRequest(BaseModel):
    model_config = _example({"rating": 1}, strict=True)

    rating: Literal[1, -1, 0]


class CustomerRequest(BaseModel):
    model_config = _example({"token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.…"}, strict=True)

    token: str = Field(max_length=4096)
    """The identity token that the site's server signed."""


def message_bodies(messages: Sequence[Message]) -> list[MessageBody]:
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
