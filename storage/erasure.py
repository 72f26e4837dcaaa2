"""Taking conversations out of the database for good: one person's, or all that are past their time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, delete, exists, select, text
from sqlalchemy.orm import Session

from storage.audit import Deed, note
from storage.database import transaction
from storage.desk_tables import Base
from storage.faults import StorageError
from storage.person import Person, UnknownPerson
from storage.tables import ConversationRow, TurnRow

BATCH = 100
"""Conversations taken out in one transaction, so that turns need not wait for long."""

ERASE = "person.erase"
"""The deed that a restored backup must not undo."""


def erase(engine: Engine, person: Person, actor: str, reason: str = "") -> int:
    """Delete all that is stored about the person; returns how many conversations that was.

    Raises UnknownPerson.
    """
    name = person.in_audit(engine)
    with transaction(engine, write=True) as session:
        ids = _take_out(session, person.conversations)
        if not ids:
            raise UnknownPerson(person.kind, person.name)
        note(session, Deed(ERASE, name, actor, reason, {"conversations": ids}))
    scrub(engine)
    return len(ids)


def purge(engine: Engine, pack: str, days: int, actor: str) -> int:
    """Conversations of `pack` in which nothing was said for `days` days; returns how many there were."""
    until = datetime.now(UTC) - timedelta(days=days)
    settled = ~exists().where(TurnRow.conversation_id == ConversationRow.id, TurnRow.last_seq.is_(None))
    old = (ConversationRow.pack == pack) & (ConversationRow.updated_at < until) & settled
    purged = 0
    while True:
        with transaction(engine, write=True) as session:
            found = _take_out(session, old, BATCH)
            if found:
                details = {"conversations": len(found), "days": days}
                note(session, Deed("conversations.purge", f"pack {pack}", actor, "retention", details))
        purged += len(found)
        if len(found) < BATCH:
            break
    if purged:
        scrub(engine)
    return purged


def delete_conversations(session: Session, ids: Sequence[str]) -> None:
    for table in reversed(Base.metadata.sorted_tables):
        if "conversation_id" in table.columns:
            session.execute(delete(table).where(table.c.conversation_id.in_(ids)))
    session.execute(delete(ConversationRow).where(ConversationRow.id.in_(ids)))


def scrub(engine: Engine, *, rewrite: bool = False) -> None:
    """Overwrite what deleted rows leave behind. `rewrite` makes all tables anew; turns must wait for that."""
    with engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        if engine.dialect.name == "sqlite":
            if rewrite:
                driver.execute("VACUUM")
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        full = "FULL " if rewrite else ""
        for table in Base.metadata.sorted_tables:
            connection.execute(text(f"VACUUM {full}{table.name}"))
        connection.execute(text("RESET statement_timeout"))


def _take_out(session: Session, which: ColumnElement[bool], limit: int | None = None) -> list[str]:
    """Locked before they are deleted, so that a turn in progress is over first.

    Raises StorageError where a turn still waits for the business system: what it asked for must be settled.
    """
    ids = list(session.scalars(select(ConversationRow.id).where(which).limit(limit).with_for_update()))
    waiting = select(TurnRow.conversation_id).where(
        TurnRow.conversation_id.in_(ids), TurnRow.last_seq.is_(None)
    )
    name = session.scalar(waiting.limit(1))
    if name is not None:
        raise StorageError(
            f"A turn of conversation {name} waits for the business system; try again when it is settled"
        )
    delete_conversations(session, ids)
    return ids
