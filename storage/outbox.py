"""Events on their way out: told in this process after their commit, and kept for webhooks until delivered."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Connection, Table, insert
from sqlalchemy.orm import Session

from storage.records import Event, Message
from storage.tables import OutboxRow

ADD = insert(cast(Table, OutboxRow.__table__))


class Outbox:
    """What a transaction says has happened. `put` belongs into it, `tell` behind it."""

    def __init__(self, webhooks: Sequence[str] = ()) -> None:
        self._webhooks = tuple(webhooks)
        self.listener: Callable[[Event], None] = lambda event: None

    def put(self, opened: Connection | Session, events: Sequence[Event]) -> None:
        """Write `events` down for every webhook, with the transaction that made them happen."""
        rows = [_row(webhook, event) for event in events for webhook in self._webhooks]
        if rows:
            opened.execute(ADD, rows)

    def tell(self, events: Sequence[Event]) -> None:
        for event in events:
            self.listener(event)


def said(conversation_id: str, message: Message) -> Event:
    """The event that `message` was said."""
    details: dict[str, Any] = {"seq": message.seq, "author": message.author, "text": message.shown}
    return Event("message", conversation_id, details)


def _row(webhook: str, event: Event) -> dict[str, Any]:
    return {
        "webhook": webhook,
        "conversation_id": event.conversation_id,
        "event": event,
        "attempts": 0,
        "due_at": event.at,
        "created_at": datetime.now(UTC),
    }
