"""The SQL tables. Order comes from seq, number and step, never from a clock.

A change here needs a migration: see storage/migration.py.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from nlu.understanding import Understanding
from storage.columns import Base, Base64, Record, SealedText, index_where, now, one_of, unique_where
from storage.records import (
    Author,
    Button,
    Event,
    ExecutionStatus,
    PolicyStatus,
)
from storage.state import DialogueState

Status = Literal["open", "handed_over", "closed"]


class ConversationRow(Base):
    __tablename__ = "conversations"
    __table_args__ = (
        one_of("status", Status),
        Index("ix_conversations_insights", "pack", "created_at", "site", "policy_version", "last_seq", "id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    pack: Mapped[str]
    status: Mapped[str] = mapped_column(default="open")
    customer_id: Mapped[str | None] = mapped_column(index=True)
    """Serves what a person asks for: a copy of the own data, or its erasure."""
    state: Mapped[DialogueState] = mapped_column(Record(DialogueState, sealed=True))
    policy_version: Mapped[str | None]
    """Which policy chose the last action."""
    visitor: Mapped[str | None]
    """SHA-256 of the token with which a visitor may go on with this conversation."""
    site: Mapped[str | None]
    """The site of the allow-list on which it began; null for the program's own pages and the API."""
    api_key: Mapped[str | None]
    """Id of the API key that may go on with it."""
    version: Mapped[int] = mapped_column(default=0, server_default="0")
    """Counts the writes of turns. Each names the version it read, and writes nothing where it is another."""
    last_seq: Mapped[int] = mapped_column(default=0, server_default="0")
    """Messages so far. Who adds some raises it first, and so holds the row: no number is taken twice."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class MessageRow(Base):
    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint("seq >= 1", name="seq"),
        one_of("author", Author),
        CheckConstraint("rating IN (-1, 0, 1) AND (rating = 0 OR author = 'bot')", name="rating"),
        index_where("ix_messages_rated", ("conversation_id", "rating"), "rating <> 0"),
    )

    conversation_id: Mapped[str] = mapped_column(ForeignKey(ConversationRow.id), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    author: Mapped[str]
    text: Mapped[str] = mapped_column(SealedText)
    buttons: Mapped[tuple[Button, ...]] = mapped_column(Record(tuple[Button, ...]), default=())
    made_by: Mapped[str | None]
    """How the bot made it, or the name under which a colleague wrote it; null for the customer's."""
    rating: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(default=now)


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
        unique_where("uq_turns_unfinished", "conversation_id", "last_seq IS NULL"),
        Index("ix_turns_insights", "created_at", "intent", "latency"),
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
    latency: Mapped[float | None]
    """Milliseconds of all stages. This and what follows is to be counted; null in old, encrypted turns."""
    intent: Mapped[str | None]
    """The first wish; null too where the message was out of scope."""
    confidence: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=now, index=True)
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
    explored: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether the policy was exploring, so that another action might have been drawn."""
    shadow_version: Mapped[str | None]
    """The policy in the shadow, which only says what it would do."""
    shadow_action: Mapped[str | None]


class ExecutionRow(Base):
    """One call of the business system, written down before it is made."""

    __tablename__ = "executions"
    __table_args__ = (
        ForeignKeyConstraint(["conversation_id", "turn"], ["turns.conversation_id", "turns.number"]),
        CheckConstraint("position >= 1", name="position"),
        one_of("status", ExecutionStatus),
        CheckConstraint("(outcome IS NOT NULL) = (status = 'answered')", name="outcome"),
        unique_where("uq_executions_answered", "idempotency_key", "status = 'answered'"),
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
    created_at: Mapped[datetime] = mapped_column(default=now)


class PolicyRow(Base):
    """One version of the dialogue policy, with its weights: every server on this database can load it."""

    __tablename__ = "policies"
    __table_args__ = (
        one_of("status", PolicyStatus),
        CheckConstraint("share >= 0 AND share <= 1", name="share"),
        *(
            unique_where(f"uq_policies_{status}", "pack", f"status = '{status}'")
            for status in ("live", "canary", "shadow")
        ),
    )

    version: Mapped[str] = mapped_column(primary_key=True)
    pack: Mapped[str]
    parent: Mapped[str | None]
    """From which it was trained on; that one may be of another database."""
    status: Mapped[str]
    withdrawn: Mapped[bool] = mapped_column(default=False)
    """Rolled back: not even the conversations that began with it keep it."""
    share: Mapped[float] = mapped_column(default=0.0)
    """Of the new conversations, for a canary."""
    feature_version: Mapped[int]
    configuration: Mapped[Mapping[str, Any]] = mapped_column(Record(Mapping[str, Any]))
    """Of the network, and how it was trained."""
    figures: Mapped[Mapping[str, Any]] = mapped_column(Record(Mapping[str, Any]))
    """What the judge said."""
    data_since: Mapped[datetime | None]
    data_until: Mapped[datetime | None]
    conversations: Mapped[int] = mapped_column(default=0)
    """How many of that time it learnt from."""
    weights: Mapped[bytes] = mapped_column(Base64())
    digest: Mapped[str]
    """SHA-256 of the weights."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    served_at: Mapped[datetime | None]
    """When it was last made live, canary or shadow."""


class AuditRow(Base):
    """What staff and administrators did. Triggers of the migration refuse to change or delete a row."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
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


class ApiKeyRow(Base):
    """A key of the API. Of the secret itself only the SHA-256 is kept: it has 256 random bits."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    digest: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=now)
    revoked_at: Mapped[datetime | None]


class ThreadRow(Base):
    """By which name a client of another protocol finds its conversation again."""

    __tablename__ = "threads"

    name: Mapped[str] = mapped_column(primary_key=True)
    """SHA-256 over the API key and the client's own name for the thread."""
    conversation_id: Mapped[str] = mapped_column(ForeignKey(ConversationRow.id), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(default=now)


class OutboxRow(Base):
    """An event that a webhook has not taken yet."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(primary_key=True)
    webhook: Mapped[str]
    conversation_id: Mapped[str]
    """No foreign key: an event may outlive what it tells of, until the conversation is erased."""
    event: Mapped[Event] = mapped_column(Record(Event, sealed=True))
    attempts: Mapped[int]
    due_at: Mapped[datetime | None] = mapped_column(index=True)
    """When it is to be tried next; null where nobody tries any more."""
    created_at: Mapped[datetime] = mapped_column(default=now)
