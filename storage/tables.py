"""The SQL tables. Order comes from seq, number and step, never from a clock.

A change here needs a migration: see storage/migration.py.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from nlu.understanding import Understanding
from storage.database import Json, StorageError
from storage.encryption import is_sealed, keyring, load_text, open_sealed, store_text
from storage.records import Author, Button, ExecutionStatus
from storage.state import DialogueState

Status = Literal["open", "handed_over", "closed"]


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone. SQLite keeps none, so all times are UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class SealedText(TypeDecorator[str]):
    """A text with a customer's words: encrypted where the engine has keys."""

    impl = Text()
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else store_text(value, dialect)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else load_text(value, dialect)


class Record(TypeDecorator[Any]):
    """A typed Python value, kept as JSON: JSONB in PostgreSQL.

    A `sealed` one is a JSON string, the encrypted JSON, where the engine has keys.
    """

    impl = JSON().with_variant(JSONB(), "postgresql")
    cache_ok = True

    def __init__(self, kind: Any, sealed: bool = False) -> None:
        super().__init__()
        self.kind = kind
        self.sealed = sealed
        self.adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        keys = keyring(dialect) if self.sealed else None
        written = self.adapter.dump_json(value)
        return Json(written.decode()) if keys is None else keys.seal(written)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        try:
            if self.sealed and is_sealed(value):
                return self.adapter.validate_json(open_sealed(value, dialect))
            return self.adapter.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            raise StorageError(
                f"A stored {self.kind} cannot be read ({'.'.join(map(str, first['loc']))}: {first['msg']}); "
                "run the program version that wrote it, or restore a backup"
            ) from error


def _now() -> datetime:
    return datetime.now(UTC)


def _unique_where(name: str, column: str, condition: str) -> Index:
    where = text(condition)
    return Index(name, column, unique=True, sqlite_where=where, postgresql_where=where)


def _one_of(column: str, literal: Any) -> CheckConstraint:
    values = ", ".join(f"'{value}'" for value in get_args(literal))
    return CheckConstraint(f"{column} IN ({values})", name=column)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {str: Text(), datetime: UtcTime(), float: Double()}  # noqa: RUF012 (SQLAlchemy's own)


class ConversationRow(Base):
    __tablename__ = "conversations"
    __table_args__ = (_one_of("status", Status),)

    id: Mapped[str] = mapped_column(primary_key=True)
    pack: Mapped[str]
    status: Mapped[str] = mapped_column(default="open")
    customer_id: Mapped[str | None] = mapped_column(index=True)
    """Serves what a person asks for: a copy of the own data, or its erasure."""
    state: Mapped[DialogueState] = mapped_column(Record(DialogueState, sealed=True))
    policy_version: Mapped[str | None]
    """Which policy chose the last action."""
    visitor: Mapped[str | None]
    """Opaque token of the browser that may go on with this conversation."""
    version: Mapped[int] = mapped_column(default=0, server_default="0")
    """Counts the writes of turns. Each names the version it read, and writes nothing where it is another."""
    last_seq: Mapped[int] = mapped_column(default=0, server_default="0")
    """Messages so far. Who adds some raises it first, and so holds the row: no number is taken twice."""
    created_at: Mapped[datetime] = mapped_column(default=_now)
    updated_at: Mapped[datetime] = mapped_column(default=_now)


class MessageRow(Base):
    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint("seq >= 1", name="seq"),
        _one_of("author", Author),
        CheckConstraint("rating IN (-1, 0, 1) AND (rating = 0 OR author = 'bot')", name="rating"),
    )

    conversation_id: Mapped[str] = mapped_column(ForeignKey(ConversationRow.id), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    author: Mapped[str]
    text: Mapped[str] = mapped_column(SealedText)
    buttons: Mapped[tuple[Button, ...]] = mapped_column(Record(tuple[Button, ...]), default=())
    made_by: Mapped[str | None]
    """How the bot made it; null for people's messages."""
    rating: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=_now)


class TurnRow(Base):
    __tablename__ = "turns"
    __table_args__ = (
        ForeignKeyConstraint(
            ["conversation_id", "message_seq"], ["messages.conversation_id", "messages.seq"]
        ),
        UniqueConstraint("conversation_id", "client_message_id"),
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("reply_seq > message_seq", name="reply_seq"),
        CheckConstraint("last_seq >= reply_seq - 1", name="last_seq"),
        CheckConstraint("(reply_seq IS NULL) = (last_seq IS NULL)", name="finished"),
        _unique_where("uq_turns_unfinished", "conversation_id", "last_seq IS NULL"),
    )

    conversation_id: Mapped[str] = mapped_column(ForeignKey(ConversationRow.id), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    client_message_id: Mapped[str | None]
    message_seq: Mapped[int]
    """The customer's message."""
    reply_seq: Mapped[int | None]
    """The first of the bot's replies; null while the turn waits for the business system."""
    last_seq: Mapped[int | None]
    """The last of the bot's replies; null likewise."""
    text: Mapped[str] = mapped_column(SealedText)
    understanding: Mapped[Understanding] = mapped_column(Record(Understanding, sealed=True))
    state: Mapped[DialogueState] = mapped_column(Record(DialogueState, sealed=True))
    """After the turn, or so far."""
    latency_ms: Mapped[Mapping[str, float]] = mapped_column(Record(Mapping[str, float]))
    created_at: Mapped[datetime] = mapped_column(default=_now, index=True)
    """The index serves retraining from the turns since a day."""


class DecisionRow(Base):
    __tablename__ = "decisions"
    __table_args__ = (
        ForeignKeyConstraint(["conversation_id", "turn"], ["turns.conversation_id", "turns.number"]),
        CheckConstraint("step >= 1", name="step"),
        CheckConstraint("probability > 0 AND probability <= 1", name="probability"),
    )

    conversation_id: Mapped[str] = mapped_column(primary_key=True)
    turn: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    observation: Mapped[tuple[float, ...]] = mapped_column(Record(tuple[float, ...]))
    feature_version: Mapped[int]
    mask: Mapped[tuple[bool, ...]] = mapped_column(Record(tuple[bool, ...]))
    action: Mapped[str]
    probability: Mapped[float]
    policy_version: Mapped[str]


class ExecutionRow(Base):
    """One call of the business system, written down before it is made."""

    __tablename__ = "executions"
    __table_args__ = (
        ForeignKeyConstraint(["conversation_id", "turn"], ["turns.conversation_id", "turns.number"]),
        CheckConstraint("position >= 1", name="position"),
        _one_of("status", ExecutionStatus),
        CheckConstraint("(outcome IS NOT NULL) = (status = 'answered')", name="outcome"),
        _unique_where("uq_executions_answered", "idempotency_key", "status = 'answered'"),
    )

    conversation_id: Mapped[str] = mapped_column(primary_key=True)
    turn: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Counts the executions of the turn from 1."""
    idempotency_key: Mapped[str]
    """Of a call that had no answer, the next call for the same has the same key."""
    task: Mapped[str]
    slots: Mapped[Mapping[str, str]] = mapped_column(Record(Mapping[str, str], sealed=True))
    status: Mapped[str]
    outcome: Mapped[str | None]
    facts: Mapped[Mapping[str, str]] = mapped_column(Record(Mapping[str, str], sealed=True))
    created_at: Mapped[datetime] = mapped_column(default=_now)


class AuditRow(Base):
    """What staff and administrators did. Triggers of the migration refuse to change or delete a row."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=_now)
    actor: Mapped[str]
    action: Mapped[str]
    object: Mapped[str]
    reason: Mapped[str]
    details: Mapped[Mapping[str, Any]] = mapped_column(Record(Mapping[str, Any]))


class SecretRow(Base):
    """The program's own secrets, by name: encrypted with the oldest key that is still in use."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(SealedText)
