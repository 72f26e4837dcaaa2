"""Conversations that wait for a colleague or are with one: who has them, and what that person does.

At most one of a conversation is open, and a claim is one UPDATE: of two who claim at once, one has it. The
conversation's row is written first, as turns do, so that nobody waits in a ring. Its version is raised, so
that a turn in which the bot thinks meanwhile starts anew and finds what was changed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import Engine, case, func, or_, select, update
from sqlalchemy.orm import Session

from nlu.understanding import Understanding
from storage.audit import Deed, note
from storage.database import retry, transaction
from storage.desk_tables import HandoffRow, NoteRow, StaffRow
from storage.faults import StorageError
from storage.handoff import HANDOFFS, is_free
from storage.messages import CONVERSATIONS, UnknownConversation, append, append_signed, read_messages
from storage.outbox import Outbox, said
from storage.records import Draft, Ended, Event, HandoffReason, Message
from storage.staff import Staff
from storage.state import DialogueState, give_back, resolve
from storage.tables import ConversationRow, TurnRow

LEASE_SECONDS = 150
"""Longer than a minute by far: to the timers of a page in the background browsers give one tick a minute."""
LONGEST_QUEUE = 50
"""Shown at once."""
LONGEST_PULSE = 500
MESSAGES_IN_QUEUE = 3
CASES = (
    select(HandoffRow, ConversationRow, StaffRow)
    .join(ConversationRow, ConversationRow.id == HandoffRow.conversation_id)
    .outerjoin(StaffRow, StaffRow.id == HandoffRow.claimed_by)
)


Pulse = tuple[tuple[str, str | None, int, int], ...]
"""Of each open case: its conversation, who holds it, and two numbers that grow with what happens."""


class NotYours(StorageError):
    """Somebody else has the conversation, or nobody."""


@dataclass(frozen=True)
class Case:
    """One conversation on the desk."""

    conversation_id: str
    turn: int
    """The one that handed it over."""
    reason: HandoffReason
    waiting_since: datetime
    state: DialogueState
    """As the bot left it."""
    customer_id: str | None
    holder: Staff | None
    """None while it waits."""
    messages: tuple[Message, ...]
    """All, or in the queue the last ones."""
    heard: Mapping[int, Understanding]
    """Turn → what was understood; empty in the queue."""


@dataclass(frozen=True)
class Note:
    author: str
    text: str
    created_at: datetime


class Desk:
    """Safe to use from several threads, processes and machines."""

    def __init__(
        self, engine: Engine, lease_seconds: float = LEASE_SECONDS, outbox: Outbox | None = None
    ) -> None:
        self.engine, self.outbox = engine, outbox or Outbox()
        self.lease = timedelta(seconds=lease_seconds)

    def open_cases(self, staff: Staff) -> tuple[Case, ...]:
        """What `staff` has, and then what waits, the longest waiting first; with the last messages."""
        now = datetime.now(UTC)
        mine = (HandoffRow.claimed_by == staff.id) & ~is_free(now)
        query = (
            CASES.where(HandoffRow.ended.is_(None), or_(mine, is_free(now)))
            .order_by(case((mine, 0), else_=1), HandoffRow.waiting_since)
            .limit(LONGEST_QUEUE)
        )

        def read() -> tuple[Case, ...]:
            with transaction(self.engine) as session:
                rows = session.execute(query).all()
                return tuple(_case(session, now, *row, last=MESSAGES_IN_QUEUE) for row in rows)

        return retry(read)

    def pulse(self) -> Pulse:
        """What changes whenever something on the desk does: asked for every second, so it is cheap."""
        now = datetime.now(UTC)
        query = (
            select(
                HandoffRow.conversation_id,
                HandoffRow.claimed_by,
                HandoffRow.lease_until,
                ConversationRow.version,
                ConversationRow.last_seq,
            )
            .join(ConversationRow, ConversationRow.id == HandoffRow.conversation_id)
            .where(HandoffRow.ended.is_(None))
            .order_by(HandoffRow.waiting_since)
            .limit(LONGEST_PULSE)
        )

        def read() -> Pulse:
            with transaction(self.engine) as session:
                return tuple(
                    (name, claimed_by if lease is not None and lease > now else None, version, last)
                    for name, claimed_by, lease, version, last in session.execute(query)
                )

        return retry(read)

    def case(self, conversation_id: str) -> Case | None:
        """The open case of the conversation with its whole history."""
        query = CASES.where(HandoffRow.conversation_id == conversation_id, HandoffRow.ended.is_(None))

        def read() -> Case | None:
            with transaction(self.engine) as session:
                row = session.execute(query).first()
                return None if row is None else _case(session, datetime.now(UTC), *row)

        return retry(read)

    def claim(self, conversation_id: str, staff: Staff, greeting: Draft | None = None) -> None:
        """Take what waits; the bot says `greeting`. Raises NotYours where somebody was first."""
        now = datetime.now(UTC)
        take = (
            update(HANDOFFS)
            .where(HANDOFFS.c.conversation_id == conversation_id, HANDOFFS.c.ended.is_(None), is_free(now))
            .values(claimed_by=staff.id, lease_until=now + self.lease)
            .returning(HANDOFFS.c.turn)
        )
        with self._writing(conversation_id) as (session, events):
            if session.execute(take).first() is None:
                raise NotYours(_who_has_it(session, conversation_id))
            events.append(Event("claimed", conversation_id))
            if greeting is not None:
                events.append(said(conversation_id, append(session.connection(), conversation_id, greeting)))
            _note(session, "desk.claim", conversation_id, staff)

    def renew(self, staff: Staff) -> None:
        """A sign of life: what `staff` holds stays theirs for the time of a lease."""
        now = datetime.now(UTC)
        old = HANDOFFS.c.lease_until.between(now, now + self.lease * 2 / 3)
        due = (HANDOFFS.c.claimed_by == staff.id) & HANDOFFS.c.ended.is_(None) & old
        with transaction(self.engine) as session:
            if session.scalar(select(HANDOFFS.c.turn).where(due).limit(1)) is None:
                return
        with transaction(self.engine, write=True) as session:
            session.execute(update(HANDOFFS).where(due).values(lease_until=now + self.lease))

    def say(self, conversation_id: str, staff: Staff, text: str) -> Message:
        """Raises NotYours."""
        with self._holding(conversation_id, staff) as (session, _, events):
            message = append_signed(session.connection(), conversation_id, text, staff.name)
            events.append(said(conversation_id, message))
        return message

    def add_note(self, conversation_id: str, staff: Staff, text: str) -> None:
        """Raises UnknownConversation."""
        number = select(func.coalesce(func.max(NoteRow.number), 0) + 1).where(
            NoteRow.conversation_id == conversation_id
        )
        with self._writing(conversation_id) as (session, _):
            row = NoteRow(conversation_id=conversation_id, staff_id=staff.id, text=text)
            row.number = session.scalars(number).one()
            session.add(row)

    def notes(self, conversation_id: str) -> tuple[Note, ...]:
        query = (
            select(NoteRow, StaffRow.name)
            .join(StaffRow, StaffRow.id == NoteRow.staff_id)
            .where(NoteRow.conversation_id == conversation_id)
            .order_by(NoteRow.number)
        )
        with transaction(self.engine) as session:
            return tuple(Note(name, row.text, row.created_at) for row, name in session.execute(query))

    def reveal(self, conversation_id: str, staff: Staff) -> None:
        """Write down that `staff` looks at what is masked else. Raises NotYours."""
        with self._holding(conversation_id, staff) as (session, _, _):
            _note(session, "desk.reveal", conversation_id, staff)

    def give_back(self, conversation_id: str, staff: Staff, word: Draft) -> None:
        """Back to the bot, which says `word` and goes on where it was. Raises NotYours."""
        self._end(conversation_id, staff, "returned", word)

    def resolve(self, conversation_id: str, staff: Staff, word: Draft) -> None:
        """Close the conversation; `word` asks the customer for a rating. Raises NotYours."""
        self._end(conversation_id, staff, "resolved", word)

    def _end(self, conversation_id: str, staff: Staff, how: Ended, word: Draft) -> None:
        with self._holding(conversation_id, staff) as (session, row, events):
            row.ended, row.ended_at = how, datetime.now(UTC)
            conversation = session.get_one(ConversationRow, conversation_id)
            conversation.state = (give_back if how == "returned" else resolve)(conversation.state)
            conversation.status = "open" if how == "returned" else "closed"
            session.flush()
            events.append(said(conversation_id, append(session.connection(), conversation_id, word)))
            events.append(Event(how, conversation_id))
            _note(session, f"desk.{'give_back' if how == 'returned' else 'resolve'}", conversation_id, staff)

    @contextmanager
    def _writing(self, conversation_id: str) -> Iterator[tuple[Session, list[Event]]]:
        """A transaction that holds the conversation's row, with its events; begun turns start anew."""
        events: list[Event] = []
        hold = (
            update(CONVERSATIONS)
            .where(CONVERSATIONS.c.id == conversation_id)
            .values(version=CONVERSATIONS.c.version + 1)
            .returning(CONVERSATIONS.c.version)
        )
        with transaction(self.engine, write=True) as session:
            if session.execute(hold).first() is None:
                raise UnknownConversation(conversation_id)
            yield session, events
            self.outbox.put(session, events)
        self.outbox.tell(events)

    @contextmanager
    def _holding(
        self, conversation_id: str, staff: Staff
    ) -> Iterator[tuple[Session, HandoffRow, list[Event]]]:
        """Likewise, and with the case, which must be that of `staff`. Raises NotYours."""
        query = select(HandoffRow).where(
            HandoffRow.conversation_id == conversation_id,
            HandoffRow.ended.is_(None),
            HandoffRow.claimed_by == staff.id,
            HandoffRow.lease_until > datetime.now(UTC),
        )
        with self._writing(conversation_id) as (session, events):
            row = session.scalar(query)
            if row is None:
                raise NotYours(_who_has_it(session, conversation_id))
            row.lease_until = datetime.now(UTC) + self.lease
            yield session, row, events


def _who_has_it(session: Session, conversation_id: str) -> str:
    query = (
        select(StaffRow.name)
        .join(HandoffRow, HandoffRow.claimed_by == StaffRow.id)
        .where(
            HandoffRow.conversation_id == conversation_id,
            HandoffRow.ended.is_(None),
            HandoffRow.lease_until > datetime.now(UTC),
        )
    )
    name = session.scalar(query)
    if name is None:
        return "Nobody has this conversation now; claim it first if it waits."
    return f"{name} has this conversation already."


def _note(session: Session, action: str, conversation_id: str, staff: Staff) -> None:
    details: Mapping[str, Any] = {"name": staff.name}
    note(session, Deed(action, f"conversation {conversation_id}", staff.actor, details=details))


def _case(
    session: Session,
    now: datetime,
    row: HandoffRow,
    about: ConversationRow,
    holder: StaffRow | None,
    last: int | None = None,
) -> Case:
    turns = select(TurnRow.number, TurnRow.understanding).where(TurnRow.conversation_id == about.id)
    held = holder is not None and row.lease_until is not None and row.lease_until > now
    return Case(
        conversation_id=row.conversation_id,
        turn=row.turn,
        reason=cast(HandoffReason, row.reason),
        waiting_since=row.waiting_since,
        state=about.state,
        customer_id=about.customer_id,
        holder=Staff.of(holder) if holder is not None and held else None,
        messages=read_messages(session, about.id, 1 if last is None else max(1, about.last_seq - last + 1)),
        heard={} if last else dict(session.execute(turns.order_by(TurnRow.number)).tuples().all()),
    )
