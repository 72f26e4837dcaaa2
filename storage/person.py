"""Whose data it is, and all of it, for the person who asks."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic_core import to_jsonable_python
from sqlalchemy import ColumnElement, Engine, Table, select
from sqlalchemy.orm import Session

from storage.audit import Deed, note
from storage.database import snapshot, transaction
from storage.desk_tables import Base
from storage.faults import StorageError
from storage.tables import ConversationRow
from storage.vault import pseudonyms


class UnknownPerson(StorageError):
    def __init__(self, kind: str, name: str) -> None:
        super().__init__(
            f"No conversation of customer {name!r} is stored; give the id that the business system uses"
            if kind == "customer"
            else f"There is no conversation {name!r}; give the id that the API or the log shows"
        )


@dataclass(frozen=True)
class Person:
    """A customer of the business, or the visitor of one conversation who was never identified."""

    kind: Literal["customer", "conversation"]
    name: str
    """The customer's id in the business system, or the conversation's."""

    @property
    def conversations(self) -> ColumnElement[bool]:
        """The condition that a conversation is this person's."""
        column = ConversationRow.customer_id if self.kind == "customer" else ConversationRow.id
        return column == self.name

    def in_audit(self, engine: Engine) -> str:
        """The audit outlives the data, so a customer stands in it by pseudonym."""
        if self.kind == "customer":
            return f"customer {pseudonyms(engine)(self.kind, self.name)}"
        return f"conversation {self.name}"


def copy_data(engine: Engine, person: Person, actor: str, reason: str = "") -> dict[str, Any]:
    """All that is stored about the person, decrypted, as JSON values. Raises UnknownPerson."""
    with snapshot(engine) as session:
        ids = session.scalars(
            select(ConversationRow.id).where(person.conversations).order_by(ConversationRow.created_at)
        ).all()
        if not ids:
            raise UnknownPerson(person.kind, person.name)
        copies = [_copy_conversation(session, name) for name in ids]
    deed = Deed("person.export", person.in_audit(engine), actor, reason, {"conversations": len(ids)})
    with transaction(engine, write=True) as session:
        note(session, deed)
    return {person.kind: person.name, "copied_at": datetime.now(UTC).isoformat(), "conversations": copies}


def _copy_conversation(session: Session, name: str) -> dict[str, Any]:
    parts = [table for table in Base.metadata.sorted_tables if "conversation_id" in table.columns]
    (conversation,) = _rows(session, Base.metadata.tables["conversations"], "id", name)
    return conversation | {part.name: _rows(session, part, "conversation_id", name) for part in parts}


def _rows(session: Session, table: Table, column: str, name: str) -> list[dict[str, Any]]:
    query = select(table).where(table.c[column] == name).order_by(*table.primary_key)
    return [to_jsonable_python(dict(row)) for row in session.execute(query).mappings()]
