"""One turn of a conversation: what it starts from, and what is written down of it, once.

Nothing is locked while the bot thinks. Each write names the version of the conversation from which the turn
started, and where another was first, nothing is written, and Overtaken says to start again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol, cast

from sqlalchemy import CursorResult, Engine, func, insert, select, update
from sqlalchemy.orm import Session

from storage.database import StorageError, TryAgain, transaction
from storage.records import Author, Decision, Draft, Execution, Message, TurnRecord
from storage.state import DialogueState
from storage.tables import ConversationRow, DecisionRow, ExecutionRow, MessageRow, Status, TurnRow


class UnknownConversation(StorageError):
    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"There is no conversation {conversation_id!r}; make one first")


class Overtaken(TryAgain):
    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"Conversation {conversation_id!r} went on meanwhile; start the turn again")


class Turn(Protocol):
    """One turn while the bot thinks."""

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

    @property
    def unfinished(self) -> TurnRecord | None:
        """What was kept of a turn that a crash interrupted. It has to be finished before any other begins.

        Its last execution has no outcome: whether it was carried out is known to the business system alone.
        """
        ...

    def idempotency_key(self, position: int, task: str, slots: Mapping[str, str]) -> str:
        """For the execution at `position` of this turn, counted from 1.

        The same for the same turn and position; and where an earlier execution of the same had no answer,
        that one's, so that it can only happen once.
        """
        ...

    def keep(self, record: TurnRecord) -> None:
        """Make what is known so far outlive a crash; the record's last execution is asked for next."""
        ...

    def finish(self, record: TurnRecord) -> tuple[Message, ...]:
        """Write the turn down, once. Returns the bot's messages as they now stand in the history."""
        ...


class OpenTurn:
    """Raises Overtaken from `keep` and `finish`, which then have written nothing."""

    def __init__(self, engine: Engine, conversation_id: str, client_message_id: str | None) -> None:
        self._engine = engine
        self._conversation_id = conversation_id
        self._client_message_id = client_message_id
        self._kept: TurnRecord | None = None
        self._done = False
        self.answered: tuple[Message, ...] | None = None
        with transaction(engine) as session:
            conversation = find(session, conversation_id)
            self._version, self.state = conversation.version, conversation.state
            last, open_ = self._last(session)
            self.number = last if open_ else last + 1
            earlier = self._earlier(session)
            if earlier is not None:
                self.number, self._done = earlier[0], True
                self.answered = messages(session, conversation_id, *earlier[1:])
            elif open_:
                self._kept = _read(session, conversation_id, self.number)
        self.unfinished = self._kept

    def idempotency_key(self, position: int, task: str, slots: Mapping[str, str]) -> str:
        rows = select(ExecutionRow).where(
            ExecutionRow.conversation_id == self._conversation_id,
            ExecutionRow.turn < self.number,
            ExecutionRow.task == task,
        )
        with transaction(self._engine) as session:
            earlier = session.scalars(rows.order_by(ExecutionRow.turn, ExecutionRow.position)).all()
        settled = {row.idempotency_key for row in earlier if row.status == "answered"}
        for row in earlier:
            if row.idempotency_key not in settled and row.slots == slots:
                return row.idempotency_key
        return f"{self._conversation_id}:{self.number}:{position}"

    def keep(self, record: TurnRecord) -> None:
        with self._writing({}) as session:
            if self._kept is None:
                seq = _last_seq(session, self._conversation_id) + 1
                session.execute(insert(MessageRow), [self._customer_message(seq, record)])
                session.execute(insert(TurnRow), [self._turn(seq, record)])
            else:
                self._update_turn(session, record)
            self._write_steps(session, record, "intended")
        self._kept = record

    def finish(self, record: TurnRecord) -> tuple[Message, ...]:
        about: dict[str, Any] = {
            "state": record.state,
            "status": _status(record.state),
            "customer_id": record.state.customer_id,
        }
        if record.decisions:
            about["policy_version"] = record.decisions[-1].policy_version
        with self._writing(about) as session:
            seq = _last_seq(session, self._conversation_id) + 1
            said = [] if self._kept else [self._customer_message(seq, record)]
            first = seq + len(said)
            replies = [
                bot_message(self._conversation_id, at, draft)
                for at, draft in enumerate(record.replies, first)
            ]
            ends = {"reply_seq": first, "last_seq": first + len(replies) - 1}
            if said or replies:
                session.execute(insert(MessageRow), [*said, *replies])
            if self._kept is None:
                session.execute(insert(TurnRow), [self._turn(seq, record) | ends])
            else:
                self._update_turn(session, record, **ends)
            self._write_steps(session, record, "unanswered")
        self._done = True
        return tuple(message(row) for row in replies)

    @contextmanager
    def _writing(self, about: Mapping[str, Any]) -> Iterator[Session]:
        """A transaction that holds the conversation's row, and exists only where nobody was first."""
        if self._done:
            raise RuntimeError(f"Turn {self.number} of {self._conversation_id} is written already")
        mine = (ConversationRow.id == self._conversation_id, ConversationRow.version == self._version)
        change = (
            update(ConversationRow)
            .where(*mine)
            .values(**about, version=self._version + 1, updated_at=datetime.now(UTC))
        )
        with transaction(self._engine, write=True) as session:
            result = session.execute(change, execution_options={"synchronize_session": False})
            if cast("CursorResult[Any]", result).rowcount != 1:
                raise Overtaken(self._conversation_id)
            yield session
        self._version += 1

    def _turn(self, seq: int, record: TurnRecord) -> dict[str, Any]:
        return {
            "conversation_id": self._conversation_id,
            "number": self.number,
            "client_message_id": self._client_message_id,
            "message_seq": seq,
            "reply_seq": None,
            "last_seq": None,
            "text": record.text,
            "understanding": record.understanding,
            "state": record.state,
            "latency_ms": record.latency_ms,
        }

    def _update_turn(self, session: Session, record: TurnRecord, **ends: int) -> None:
        mine = (TurnRow.conversation_id == self._conversation_id, TurnRow.number == self.number)
        session.execute(
            update(TurnRow).where(*mine).values(state=record.state, latency_ms=record.latency_ms, **ends),
            execution_options={"synchronize_session": False},
        )

    def _customer_message(self, seq: int, record: TurnRecord) -> dict[str, Any]:
        return _message(self._conversation_id, seq, "customer", record.text)

    def _write_steps(self, session: Session, record: TurnRecord, without_answer: str) -> None:
        """What is new since the last time, and the answer to the execution that was waited for."""
        turn = {"conversation_id": self._conversation_id, "turn": self.number}
        known_decisions = len(self._kept.decisions) if self._kept else 0
        known_executions = len(self._kept.executions) if self._kept else 0
        decisions = [
            {**turn, "step": step, **vars(decision)} for step, decision in enumerate(record.decisions, 1)
        ][known_decisions:]
        executions = [
            {
                **turn,
                "position": position,
                **vars(execution),
                "status": without_answer if execution.outcome is None else "answered",
            }
            for position, execution in enumerate(record.executions, 1)
        ]
        if decisions:
            session.execute(insert(DecisionRow), decisions)
        if known_executions:
            waited_for = executions[known_executions - 1]
            key = (ExecutionRow.conversation_id, ExecutionRow.turn, ExecutionRow.position)
            same = [column == waited_for[column.key] for column in key]
            answer = {name: waited_for[name] for name in ("status", "outcome", "facts")}
            session.execute(
                update(ExecutionRow).where(*same).values(answer),
                execution_options={"synchronize_session": False},
            )
        if executions[known_executions:]:
            session.execute(insert(ExecutionRow), executions[known_executions:])

    def _last(self, session: Session) -> tuple[int, bool]:
        """The last turn's number, and whether it is unfinished."""
        turns = select(TurnRow.number, TurnRow.last_seq).where(
            TurnRow.conversation_id == self._conversation_id
        )
        row = session.execute(turns.order_by(TurnRow.number.desc()).limit(1)).first()
        return (0, False) if row is None else (row.number, row.last_seq is None)

    def _earlier(self, session: Session) -> tuple[int, int, int] | None:
        """Number, first and last reply of the finished turn with this client_message_id."""
        if self._client_message_id is None:
            return None
        row = session.execute(
            select(TurnRow.number, TurnRow.reply_seq, TurnRow.last_seq).where(
                TurnRow.conversation_id == self._conversation_id,
                TurnRow.client_message_id == self._client_message_id,
            )
        ).first()
        if row is None or row.reply_seq is None or row.last_seq is None:
            return None
        return row.number, row.reply_seq, row.last_seq


def find(session: Session, conversation_id: str) -> ConversationRow:
    row = session.get(ConversationRow, conversation_id)
    if row is None:
        raise UnknownConversation(conversation_id)
    return row


def append(session: Session, conversation_id: str, draft: Draft) -> Message:
    """A bot message at the end. Holds the conversation's row, so that nobody else takes the same number."""
    now = datetime.now(UTC)
    touch = update(ConversationRow).where(ConversationRow.id == conversation_id).values(updated_at=now)
    result = session.execute(touch, execution_options={"synchronize_session": False})
    if cast("CursorResult[Any]", result).rowcount != 1:
        raise UnknownConversation(conversation_id)
    row = bot_message(conversation_id, _last_seq(session, conversation_id) + 1, draft)
    session.execute(insert(MessageRow), [row])
    return message(row)


def messages(
    session: Session, conversation_id: str, first: int = 1, last: int | None = None
) -> tuple[Message, ...]:
    query = select(MessageRow).where(MessageRow.conversation_id == conversation_id, MessageRow.seq >= first)
    if last is not None:
        query = query.where(MessageRow.seq <= last)
    return tuple(message(vars(row)) for row in session.scalars(query.order_by(MessageRow.seq)))


def bot_message(conversation_id: str, seq: int, draft: Draft) -> dict[str, Any]:
    row = _message(conversation_id, seq, "bot", draft.text)
    return row | {"buttons": draft.buttons, "made_by": draft.made_by}


def message(row: Mapping[str, Any]) -> Message:
    names = ("seq", "author", "text", "buttons", "created_at", "rating")
    return Message(**{name: row[name] for name in names})


def _message(conversation_id: str, seq: int, author: Author, text: str) -> dict[str, Any]:
    return {
        "conversation_id": conversation_id,
        "seq": seq,
        "author": author,
        "text": text,
        "buttons": (),
        "made_by": None,
        "rating": 0,
        "created_at": datetime.now(UTC),
    }


def _read(session: Session, conversation_id: str, number: int) -> TurnRecord:
    """What is written down of an unfinished turn."""
    turn = session.get_one(TurnRow, (conversation_id, number))
    mine = (DecisionRow.conversation_id == conversation_id, DecisionRow.turn == number)
    decisions = session.scalars(select(DecisionRow).where(*mine).order_by(DecisionRow.step))
    mine = (ExecutionRow.conversation_id == conversation_id, ExecutionRow.turn == number)
    executions = session.scalars(select(ExecutionRow).where(*mine).order_by(ExecutionRow.position))
    return TurnRecord(
        text=turn.text,
        understanding=turn.understanding,
        decisions=tuple(
            Decision(
                row.observation,
                row.feature_version,
                row.mask,
                row.action,
                row.probability,
                row.policy_version,
            )
            for row in decisions
        ),
        executions=tuple(
            Execution(row.idempotency_key, row.task, row.slots, row.outcome, row.facts) for row in executions
        ),
        replies=(),
        state=turn.state,
        latency_ms=turn.latency_ms,
    )


def _status(state: DialogueState) -> Status:
    if state.closed:
        return "closed"
    return "handed_over" if state.handed_over else "open"


def _last_seq(session: Session, conversation_id: str) -> int:
    seqs = select(func.max(MessageRow.seq)).where(MessageRow.conversation_id == conversation_id)
    return session.scalar(seqs) or 0
