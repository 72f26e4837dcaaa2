"""Events on their way out: told in this process after their commit, and kept for webhooks until delivered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, Engine, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.orm import Session

from storage.database import transaction
from storage.driver import Driver, Statement
from storage.records import Event, Message
from storage.tables import OutboxRow

OUTBOX = cast(Table, OutboxRow.__table__)
GIVEN = [column for column in OUTBOX.c if column is not OUTBOX.c.id]
ADD = Statement(insert(OUTBOX).inline().values({column: bindparam(column.name) for column in GIVEN}))
"""Without the id, which the database gives and nobody asks for."""


class Outbox:
    """What a transaction says has happened. `put` belongs into it, `tell` behind it."""

    def __init__(self, webhooks: Sequence[str] = ()) -> None:
        self._webhooks = tuple(webhooks)
        self.listener: Callable[[Event], None] = lambda event: None

    def put(self, opened: Driver | Connection | Session, events: Sequence[Event]) -> None:
        """Write `events` down for every webhook, with the transaction that made them happen."""
        for row in (_row(webhook, event) for event in events for webhook in self._webhooks):
            if isinstance(opened, Driver):
                opened.run(ADD, row)
            else:
                opened.execute(ADD.clause, row)

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


@dataclass(frozen=True)
class Parcel:
    """An event on its way to one webhook."""

    id: int
    webhook: str
    event: Event
    attempts: int
    created_at: datetime


LEASE = timedelta(seconds=30)
"""For which a server has a parcel to itself; longer than one attempt takes."""


def due_parcels(engine: Engine, now: datetime, most: int = 20) -> list[Parcel]:
    """What is to be tried now, oldest first. Other servers leave it alone for the LEASE."""
    query = select(OutboxRow).where(OutboxRow.due_at <= now).order_by(OutboxRow.id).limit(most)
    with transaction(engine) as session:
        if session.scalar(query.with_only_columns(OutboxRow.id).limit(1)) is None:
            return []
    with transaction(engine, write=True) as session:
        rows = session.scalars(query.with_for_update(skip_locked=True)).all()
        for row in rows:
            row.due_at = now + LEASE
        return [Parcel(row.id, row.webhook, row.event, row.attempts, row.created_at) for row in rows]


def delivered(engine: Engine, parcel: int) -> None:
    with transaction(engine, write=True) as session:
        session.execute(delete(OutboxRow).where(OutboxRow.id == parcel))


def put_off(engine: Engine, parcel: int, until: datetime | None) -> None:
    """Count an attempt that failed; without `until` it was the last."""
    with transaction(engine, write=True) as session:
        changed = {"attempts": OutboxRow.attempts + 1, "due_at": until}
        session.execute(update(OutboxRow).where(OutboxRow.id == parcel).values(changed))


def count_parcels(engine: Engine) -> int:
    """Events that are still tried."""
    with transaction(engine) as session:
        query = select(func.count()).select_from(OutboxRow).where(OutboxRow.due_at.is_not(None))
        return session.scalar(query) or 0
