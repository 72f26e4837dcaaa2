"""The SQL tables of the desk and of the review, beside those of storage/tables.py.

`Base`, taken from here, knows all tables of both.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from storage.columns import Base as Base
from storage.columns import Record, SealedText, now, one_of, unique_where
from storage.records import Ended, HandoffReason, Label, Review, Role
from storage.tables import ConversationRow

RATED = "rating IS NULL OR (rating BETWEEN 1 AND 5 AND ended IS NOT NULL AND ended = 'resolved')"


class StaffRow(Base):
    """Somebody who may sign in. Rows stay for good, as others refer to them."""

    __tablename__ = "staff"
    __table_args__ = (one_of("role", Role),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account: Mapped[str] = mapped_column(unique=True)
    """Given to sign in; in lower case."""
    name: Mapped[str]
    """As customers see it."""
    role: Mapped[str]
    password: Mapped[str]
    """Hashed with argon2id, with its salt and cost."""
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(default=now)


class StaffSessionRow(Base):
    """One browser in which somebody has signed in."""

    __tablename__ = "staff_sessions"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    """Of what the browser holds: who reads this table cannot sign in with it."""
    staff_id: Mapped[str] = mapped_column(ForeignKey(StaffRow.id), index=True)
    expires_at: Mapped[datetime]


class ThrottleRow(Base):
    """Sign-ins that failed of late, by account and by address."""

    __tablename__ = "throttles"
    __table_args__ = (CheckConstraint("failures >= 1", name="failures"),)

    key: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    since: Mapped[datetime] = mapped_column(index=True)


class HandoffRow(Base):
    """A conversation that waits for a colleague, or is with one, or was. The turn handed it over."""

    __tablename__ = "handoffs"
    __table_args__ = (
        ForeignKeyConstraint(["conversation_id", "turn"], ["turns.conversation_id", "turns.number"]),
        one_of("reason", HandoffReason),
        one_of("ended", Ended),
        CheckConstraint("(claimed_by IS NULL) = (lease_until IS NULL)", name="claimed"),
        CheckConstraint("(ended IS NULL) = (ended_at IS NULL)", name="ended_at"),
        CheckConstraint(RATED, name="rating"),
        unique_where("uq_handoffs_open", "conversation_id", "ended IS NULL"),
        Index("ix_handoffs_waiting", "ended", "waiting_since"),
    )

    conversation_id: Mapped[str] = mapped_column(ForeignKey(ConversationRow.id), primary_key=True)
    turn: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    reason: Mapped[str]
    waiting_since: Mapped[datetime] = mapped_column(default=now)
    claimed_by: Mapped[str | None] = mapped_column(ForeignKey(StaffRow.id), index=True)
    """Who holds it, or held it last."""
    lease_until: Mapped[datetime | None]
    """Until when it is held without a sign of life from the holder's desk; then it waits again."""
    ended: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    rating: Mapped[int | None]
    """By the customer, afterwards."""


class NoteRow(Base):
    """What colleagues tell each other about a conversation. The customer does not see it."""

    __tablename__ = "notes"
    __table_args__ = (CheckConstraint("number >= 1", name="number"),)

    conversation_id: Mapped[str] = mapped_column(ForeignKey(ConversationRow.id), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    staff_id: Mapped[str] = mapped_column(ForeignKey(StaffRow.id))
    text: Mapped[str] = mapped_column(SealedText)
    created_at: Mapped[datetime] = mapped_column(default=now)


class FindingRow(Base):
    """A turn that is worth a look, and why."""

    __tablename__ = "findings"
    __table_args__ = (
        ForeignKeyConstraint(["conversation_id", "turn"], ["turns.conversation_id", "turns.number"]),
        CheckConstraint("low_confidence OR out_of_scope OR thumbs_down OR handoff", name="reason"),
        Index("ix_findings_created_at", "created_at", "conversation_id", "turn"),
    )

    conversation_id: Mapped[str] = mapped_column(ForeignKey(ConversationRow.id), primary_key=True)
    turn: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    low_confidence: Mapped[bool] = mapped_column(default=False)
    out_of_scope: Mapped[bool] = mapped_column(default=False)
    thumbs_down: Mapped[bool] = mapped_column(default=False)
    handoff: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(default=now)
    """Of the turn."""


class CorrectionRow(Base):
    """What a turn should have been, as staff say; retraining reads the approved ones."""

    __tablename__ = "corrections"
    __table_args__ = (
        ForeignKeyConstraint(["conversation_id", "turn"], ["turns.conversation_id", "turns.number"]),
        one_of("status", Review),
        Index("ix_corrections_status", "status", "updated_at"),
    )

    conversation_id: Mapped[str] = mapped_column(ForeignKey(ConversationRow.id), primary_key=True)
    turn: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(SealedText)
    """Of the message, with stand-ins for what identifies a person."""
    intent: Mapped[str | None]
    entities: Mapped[tuple[Label, ...]] = mapped_column(Record(tuple[Label, ...], sealed=True), default=())
    action: Mapped[str | None]
    """Which the bot should have taken; null where nothing is said about it."""
    status: Mapped[str]
    staff_id: Mapped[str] = mapped_column(ForeignKey(StaffRow.id))
    """Who corrected or dismissed it."""
    decided_by: Mapped[str | None] = mapped_column(
        ForeignKey(StaffRow.id, name="fk_corrections_staff_decided")
    )
    """Who approved it."""
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
