"""Conversations in SQL: what was said, and everything about each turn, in one transaction a turn."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal, Protocol, cast
from uuid import uuid4

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from storage.database import StorageError, transaction
from storage.records import Author, Draft, Message, TurnRecord
from storage.state import DialogueState
from storage.tables import ConversationRow, DecisionRow, ExecutionRow, MessageRow, Status, TurnRow


class UnknownConversation(StorageError):
    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"There is no conversation {conversation_id!r}; make one first")


class UnknownMessage(StorageError):
    def __init__(self, conversation_id: str, seq: int) -> None:
        super().__init__(f"Conversation {conversation_id!r} has no bot message {seq} to rate")


class Turn(Protocol):
    """One turn while the bot thinks; nobody else writes to the conversation meanwhile."""

    @property
    def state(self) -> DialogueState:
        """Before the turn."""
        ...

    @property
    def number(self) -> int:
        """Counts the turns of the conversation from 1; of an answered turn, the number it was given."""
        ...

    @property
    def answered(self) -> tuple[Message, ...] | None:
        """The stored replies where this client_message_id was handled before; else None."""
        ...

    def finish(self, record: TurnRecord) -> tuple[Message, ...]:
        """Write the turn down, once. Returns the bot's messages as they now stand in the history."""
        ...


class ConversationStore:
    """Safe to use from several threads. Needs the tables that storage.migration.upgrade makes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, pack: str, visitor: str | None = None) -> str:
        """The id of a new, empty conversation."""
        row = ConversationRow(id=uuid4().hex, pack=pack, visitor=visitor, state=DialogueState())
        with transaction(self._engine, write=True) as session:
            session.add(row)
            return row.id

    def history(self, conversation_id: str) -> tuple[Message, ...]:
        with transaction(self._engine) as session:
            _find(session, conversation_id)
            return _messages(session, conversation_id)

    def status(self, conversation_id: str) -> Status:
        with transaction(self._engine) as session:
            return cast(Status, _find(session, conversation_id).status)

    def state(self, conversation_id: str) -> DialogueState:
        with transaction(self._engine) as session:
            return _find(session, conversation_id).state

    @contextmanager
    def turn(self, conversation_id: str, client_message_id: str | None) -> Iterator[Turn]:
        """The next turn, in one write transaction that lasts as long as the with block.

        Writes to the conversation wait for each other here, so that `state` and `number` hold until
        the end. An exception in the block leaves nothing behind.
        """
        with transaction(self._engine, write=True) as session:
            yield _OpenTurn(session, _find(session, conversation_id, lock=True), client_message_id)

    def say(self, conversation_id: str, draft: Draft) -> Message:
        """A bot message outside of a turn, such as the greeting that opens a conversation."""
        with transaction(self._engine, write=True) as session:
            conversation = _find(session, conversation_id, lock=True)
            row = _bot_message(conversation_id, _last_seq(session, conversation_id) + 1, draft)
            session.add(row)
            session.flush()
            conversation.updated_at = row.created_at
            return _message(row)

    def rate(self, conversation_id: str, seq: int, rating: Literal[-1, 0, 1]) -> None:
        """The customer's thumbs on a bot message; the last one counts."""
        with transaction(self._engine, write=True) as session:
            _find(session, conversation_id)
            row = session.get(MessageRow, (conversation_id, seq))
            if row is None or row.author != "bot":
                raise UnknownMessage(conversation_id, seq)
            row.rating = rating

    def ping(self) -> None:
        """Raises StorageError where the database is out of reach or not migrated."""
        with transaction(self._engine) as session:
            session.execute(select(ConversationRow.id).limit(1))


class _OpenTurn:
    def __init__(
        self, session: Session, conversation: ConversationRow, client_message_id: str | None
    ) -> None:
        self._session = session
        self._conversation = conversation
        self._client_message_id = client_message_id
        self._written = self._earlier()
        self.state = conversation.state
        self.number = self._written.number if self._written else self._last_number() + 1
        self.answered = self._replies(self._written) if self._written else None

    def finish(self, record: TurnRecord) -> tuple[Message, ...]:
        if self._written is not None:
            raise RuntimeError(f"Turn {self.number} of {self._conversation.id} is written already")
        self._written = self._write_turn(record)
        self._write_steps(record)
        self._write_conversation(record)
        self._session.flush()
        return self._replies(self._written)

    def _write_turn(self, record: TurnRecord) -> TurnRow:
        conversation_id = self._conversation.id
        seq = _last_seq(self._session, conversation_id) + 1
        message = MessageRow(conversation_id=conversation_id, seq=seq, author="customer", text=record.text)
        replies = [
            _bot_message(conversation_id, at, draft) for at, draft in enumerate(record.replies, seq + 1)
        ]
        self._session.add_all([message, *replies])
        self._session.flush()
        turn = TurnRow(
            conversation_id=conversation_id,
            number=self.number,
            client_message_id=self._client_message_id,
            message_seq=seq,
            last_seq=seq + len(replies),
            text=record.text,
            understanding=record.understanding,
            state=record.state,
            latency_ms=record.latency_ms,
        )
        self._session.add(turn)
        self._session.flush()
        return turn

    def _write_steps(self, record: TurnRecord) -> None:
        turn = {"conversation_id": self._conversation.id, "turn": self.number}
        for step, decision in enumerate(record.decisions, 1):
            self._session.add(DecisionRow(**turn, step=step, **vars(decision)))
        for position, execution in enumerate(record.executions, 1):
            self._session.add(ExecutionRow(**turn, position=position, **vars(execution)))

    def _write_conversation(self, record: TurnRecord) -> None:
        conversation = self._conversation
        conversation.state = record.state
        conversation.status = _status(record.state)
        conversation.customer_id = record.state.customer_id
        if record.decisions:
            conversation.policy_version = record.decisions[-1].policy_version
        conversation.updated_at = datetime.now(UTC)

    def _earlier(self) -> TurnRow | None:
        if self._client_message_id is None:
            return None
        return self._session.scalar(
            select(TurnRow).where(
                TurnRow.conversation_id == self._conversation.id,
                TurnRow.client_message_id == self._client_message_id,
            )
        )

    def _last_number(self) -> int:
        turns = select(func.max(TurnRow.number)).where(TurnRow.conversation_id == self._conversation.id)
        return self._session.scalar(turns) or 0

    def _replies(self, turn: TurnRow) -> tuple[Message, ...]:
        return _messages(self._session, turn.conversation_id, turn.message_seq + 1, turn.last_seq)


def _find(session: Session, conversation_id: str, *, lock: bool = False) -> ConversationRow:
    """The conversation; locked against other writers where SQLite has not done so for the whole database."""
    row = session.get(ConversationRow, conversation_id, with_for_update=lock)
    if row is None:
        raise UnknownConversation(conversation_id)
    return row


def _status(state: DialogueState) -> Status:
    if state.closed:
        return "closed"
    return "handed_over" if state.handed_over else "open"


def _last_seq(session: Session, conversation_id: str) -> int:
    messages = select(func.max(MessageRow.seq)).where(MessageRow.conversation_id == conversation_id)
    return session.scalar(messages) or 0


def _messages(
    session: Session, conversation_id: str, first: int = 1, last: int | None = None
) -> tuple[Message, ...]:
    query = select(MessageRow).where(MessageRow.conversation_id == conversation_id, MessageRow.seq >= first)
    if last is not None:
        query = query.where(MessageRow.seq <= last)
    return tuple(_message(row) for row in session.scalars(query.order_by(MessageRow.seq)))


def _bot_message(conversation_id: str, seq: int, draft: Draft) -> MessageRow:
    return MessageRow(
        conversation_id=conversation_id,
        seq=seq,
        author="bot",
        text=draft.text,
        buttons=draft.buttons,
        made_by=draft.made_by,
    )


def _message(row: MessageRow) -> Message:
    author = cast(Author, row.author)
    return Message(row.seq, author, row.text, row.buttons, row.created_at, row.rating)
