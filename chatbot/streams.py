"""Server-sent events: a reply word by word, and a conversation as it goes on."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from chatbot.bodies import MessageBody, message_bodies
from chatbot.bot import Chatbot
from chatbot.workers import Overloaded, Workers
from storage.conversations import UnknownConversation
from storage.faults import StorageError
from storage.records import Event, Message

LOOK_SECONDS = 5
"""How often a stream looks for what another process wrote, and sends a sign of life."""
MOST_STREAMS = 2000
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["data"],
}
"""Of each event of a stream, for the description of the API."""
EVENT_STREAM: dict[str, Any] = {
    "text/event-stream": {
        "schema": EVENT_SCHEMA,
        "example": 'event: token\ndata: {"seq": 3, "text": "Sure, "}\n\n',
    }
}


def split_words(text: str) -> list[str]:
    """Pieces that join to `text`: each word with the space behind it."""
    return re.findall(r"\S+\s*|\s+", text)


def stream_reply(messages: Sequence[MessageBody]) -> Iterator[str]:
    """The words of each message, the message, and at the end that all was sent."""
    for message in messages:
        for word in split_words(message.text):
            yield _event("token", {"seq": message.seq, "text": word})
        yield _event("message", message.model_dump(exclude_none=True))
    yield _event("done", {})


class LiveStreams:
    """Conversations that somebody watches."""

    def __init__(self, bot: Chatbot, workers: Workers) -> None:
        self._bot, self._workers, self._open = bot, workers, 0

    async def watch(self, conversation_id: str, after: int) -> AsyncIterator[str]:
        """Every message behind number `after`, whoever writes it, and each change of the status; endless.

        An event of this process wakes the stream at once. What it sends is read from the store, so nothing
        is lost, and what another process writes is found a little later.
        """
        woken, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake(event: Event) -> None:
            if event.conversation_id == conversation_id:
                loop.call_soon_threadsafe(woken.set)

        leave = self._bot.events.subscribe(wake)
        self._open += 1
        try:
            status = None
            while True:
                woken.clear()
                try:
                    before = status
                    status, last = await self._workers.run(self._bot.store.progress, conversation_id)
                    if status != before:
                        yield _event("status", {"status": status, "last": last})
                    new = last > after
                    messages = await self._workers.run(self._history, conversation_id, after) if new else ()
                except UnknownConversation:  # erased meanwhile
                    return
                except (StorageError, Overloaded):
                    messages = ()
                for body in message_bodies(messages):
                    after = body.seq
                    yield _event("message", body.model_dump(exclude_none=True), body.seq)
                try:
                    await asyncio.wait_for(woken.wait(), LOOK_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            self._open -= 1
            leave()

    def _history(self, conversation_id: str, after: int) -> tuple[Message, ...]:
        return self._bot.store.history(conversation_id, after)

    def check_room(self) -> None:
        """Raises Overloaded."""
        if self._open >= MOST_STREAMS:
            raise Overloaded("Too many conversations are watched.")


def _event(name: str, data: dict[str, Any], id: int | None = None) -> str:
    number = "" if id is None else f"id: {id}\n"
    return f"{number}event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
