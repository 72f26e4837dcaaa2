"""One turn of a conversation: what it starts from, and what is written down of it, once.

Nothing is locked while the bot thinks. Each write names the version of the conversation from which the turn
started, and where another was first, nothing is written, and Overtaken says to start again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Connection, Engine, Table, bindparam, func, insert, select, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from storage.columns import UtcTime
from storage.database import TryAgain, connection, transaction
from storage.findings import FINDINGS, finding_row
from storage.handoff import HANDOFFS, RATE, held_at, reason_of
from storage.messages import (
    CONVERSATIONS,
    MESSAGES,
    SAY,
    UnknownConversation,
    as_message,
    bot_message,
    customer_message,
    read_messages,
)
from storage.outbox import Outbox, said
from storage.records import Decision, Event, Execution, ExecutionStatus, Message, TurnRecord
from storage.state import DialogueState
from storage.tables import DecisionRow, ExecutionRow, Status, TurnRow

TURNS, DECISIONS, EXECUTIONS = (cast(Table, row.__table__) for row in (TurnRow, DecisionRow, ExecutionRow))
LAST, EARLIER = TURNS.alias("last"), TURNS.alias("earlier")
ANSWERED = EXECUTIONS.alias("answered")
START = (
    select(
        CONVERSATIONS.c.version,
        CONVERSATIONS.c.state,
        CONVERSATIONS.c.policy_version,
        LAST.c.number.label("last"),
        LAST.c.last_seq.label("last_end"),
        EARLIER.c.number.label("earlier"),
        EARLIER.c.reply_seq.label("earlier_start"),
        EARLIER.c.last_seq.label("earlier_end"),
        held_at(bindparam("id"), bindparam("now", type_=UtcTime())).label("held"),
    )
    .outerjoin_from(
        CONVERSATIONS,
        LAST,
        (LAST.c.conversation_id == CONVERSATIONS.c.id)
        & (
            LAST.c.number
            == select(func.max(TURNS.c.number))
            .where(TURNS.c.conversation_id == bindparam("id"))
            .scalar_subquery()
        ),
    )
    .outerjoin(
        EARLIER,
        (EARLIER.c.conversation_id == CONVERSATIONS.c.id)
        & (EARLIER.c.client_message_id == bindparam("client_message_id")),
    )
    .where(CONVERSATIONS.c.id == bindparam("id"))
)
"""All that a turn starts from, in one query."""
KEEP_ON = SAY.where(CONVERSATIONS.c.version == bindparam("seen")).values(version=CONVERSATIONS.c.version + 1)
FINISH = KEEP_ON.values(
    state=bindparam("state_after"),
    status=bindparam("status_after"),
    customer_id=bindparam("customer"),
    policy_version=func.coalesce(bindparam("policy"), CONVERSATIONS.c.policy_version),
)
THIS_TURN = (TURNS.c.conversation_id == bindparam("conversation")) & (TURNS.c.number == bindparam("turn"))
KEEP_TURN = update(TURNS).where(THIS_TURN).values(state=bindparam("state_after"))
FINISH_TURN = KEEP_TURN.values(
    latency_ms=bindparam("times"),
    latency=bindparam("time"),
    reply_seq=bindparam("first"),
    last_seq=bindparam("last"),
)
ANSWER = (
    update(EXECUTIONS)
    .where(
        EXECUTIONS.c.conversation_id == bindparam("conversation"),
        EXECUTIONS.c.turn == bindparam("this_turn"),
        EXECUTIONS.c.position == bindparam("place"),
    )
    .values(status=bindparam("status_now"), outcome=bindparam("outcome_now"), facts=bindparam("facts_now"))
)
WITHOUT_ANSWER = (
    select(EXECUTIONS.c.idempotency_key, EXECUTIONS.c.slots)
    .where(
        EXECUTIONS.c.conversation_id == bindparam("conversation"),
        EXECUTIONS.c.turn < bindparam("this_turn"),
        EXECUTIONS.c.task == bindparam("what"),
        EXECUTIONS.c.status == "unanswered",
        EXECUTIONS.c.idempotency_key.not_in(
            select(ANSWERED.c.idempotency_key).where(
                ANSWERED.c.conversation_id == bindparam("conversation"), ANSWERED.c.status == "answered"
            )
        ),
    )
    .order_by(EXECUTIONS.c.turn, EXECUTIONS.c.position)
)
"""What was asked for and never answered since. Statements are made once: that costs more than their rows."""
ADD_MESSAGES, ADD_TURN, ADD_DECISIONS, ADD_EXECUTIONS, ADD_HANDOFF, ADD_FINDING = map(
    insert, (MESSAGES, TURNS, DECISIONS, EXECUTIONS, HANDOFFS, FINDINGS)
)


class Overtaken(TryAgain):
    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"Conversation {conversation_id!r} went on meanwhile; start the turn again")


class Turn:
    """One turn while the bot thinks. `keep` and `finish` raise Overtaken, having written nothing."""

    state: DialogueState
    """Before the turn."""
    policy_version: str | None
    """Which policy has decided so far; None at the first turn."""
    number: int
    """Counts the turns of the conversation from 1; of an answered turn, the number it was given."""
    held: bool
    """Whether a colleague has the conversation, so that the bot is silent."""
    answered: tuple[Message, ...] | None
    """The stored replies where this client_message_id was handled before; else None."""
    unfinished: TurnRecord | None
    """What was kept of a turn that a crash interrupted. It has to be finished before any other begins.

    Its last execution has no outcome: whether it was carried out is known to the business system alone.
    """

    def __init__(
        self,
        engine: Engine,
        conversation_id: str,
        client_message_id: str | None,
        outbox: Outbox | None = None,
    ) -> None:
        self._engine = engine
        self._outbox = outbox or Outbox()
        self._conversation_id = conversation_id
        self._client_message_id = client_message_id
        self._kept: TurnRecord | None = None
        self._done = False
        self.answered = None
        with transaction(engine) as session:
            known = {
                "id": conversation_id,
                "client_message_id": client_message_id,
                "now": datetime.now(UTC),
            }
            start = session.connection().execute(START, known).first()
            if start is None:
                raise UnknownConversation(conversation_id)
            self._version, self.state, self.held = start.version, start.state, start.held
            self.policy_version = start.policy_version
            unfinished = start.last is not None and start.last_end is None
            self.number = (start.last or 0) + (not unfinished)
            if start.earlier_end is not None:
                self.number, self._done = start.earlier, True
                self.answered = read_messages(
                    session, conversation_id, start.earlier_start, start.earlier_end
                )
            elif unfinished:
                self._kept = _read(session, conversation_id, self.number)
        self.unfinished = self._kept

    @property
    def conversation_id(self) -> str:
        return self._conversation_id

    def idempotency_key(self, position: int, task: str, slots: Mapping[str, str]) -> str:
        """For the execution at `position` of this turn, counted from 1.

        The same for the same turn and position; and where an earlier execution of the same had no answer,
        that one's, so that it can only happen once.
        """
        mine = {"conversation": self._conversation_id, "this_turn": self.number, "what": task}
        with connection(self._engine) as opened:
            for row in opened.execute(WITHOUT_ANSWER, mine):
                if row.slots == slots:
                    return str(row.idempotency_key)
        return f"{self._conversation_id}:{self.number}:{position}"

    def keep(self, record: TurnRecord) -> None:
        """Make what is known so far outlive a crash; the record's last execution is asked for next."""
        first = self._kept is None
        with self._writing(KEEP_ON, more=int(first)) as (opened, seq, events):
            if first:
                message = customer_message(self._conversation_id, seq, record.text)
                opened.execute(ADD_MESSAGES, [message])
                events.append(said(self._conversation_id, as_message(message)))
                opened.execute(ADD_TURN, [self._turn(seq, record)])
            else:
                opened.execute(KEEP_TURN, self._this_turn(record))
            self._write_steps(opened, record, "intended")
        self._kept = record

    def finish(self, record: TurnRecord) -> tuple[Message, ...]:
        """Write the turn down, once. Returns the bot's messages as they now stand in the history."""
        asked, count = int(self._kept is None), len(record.replies)
        about = {
            "state_after": record.state,
            "status_after": status_of(record.state),
            "customer": record.state.customer_id,
            "policy": record.decisions[-1].policy_version if record.decisions else None,
        }
        with self._writing(FINISH, more=asked + count, **about) as (opened, last, events):
            first = last - count + 1
            replies = [
                bot_message(self._conversation_id, seq, draft)
                for seq, draft in enumerate(record.replies, first)
            ]
            question = [customer_message(self._conversation_id, first - 1, record.text)] if asked else []
            if question or replies:
                opened.execute(ADD_MESSAGES, [*question, *replies])
            events += self._events([*question, *replies], record.state, record.rating)
            if asked:
                row = self._turn(first - 1, record)
                opened.execute(ADD_TURN, [row | {"reply_seq": first, "last_seq": last}])
            else:
                ends = {"first": first, "last": last, "times": record.latency_ms, "time": _sum(record)}
                opened.execute(FINISH_TURN, self._this_turn(record) | ends)
            self._write_steps(opened, record, "unanswered")
            self._write_consequences(opened, record)
        self._done = True
        return tuple(as_message(row) for row in replies)

    @contextmanager
    def _writing(
        self, change: ReturningUpdate[Any], more: int, **about: Any
    ) -> Iterator[tuple[Connection, int, list[Event]]]:
        """A transaction that holds the conversation, the seq of the last of `more` messages, and events.

        Raises Overtaken where somebody was first.
        """
        events: list[Event] = []
        if self._done:
            raise RuntimeError(f"Turn {self.number} of {self._conversation_id} is written already")
        mine = {"conversation": self._conversation_id, "seen": self._version, "more": more}
        with connection(self._engine, write=True) as opened:
            seq = opened.execute(change, {**mine, **about, "now": datetime.now(UTC)}).scalar()
            if seq is None:
                raise Overtaken(self._conversation_id)
            yield opened, seq, events
            self._outbox.put(opened, events)
        self._version += 1
        self._outbox.tell(events)

    def _events(
        self, messages: list[dict[str, Any]], after: DialogueState, rating: int | None
    ) -> list[Event]:
        events = [said(self._conversation_id, as_message(row)) for row in messages]
        if after.handed_over and not self.state.handed_over:
            events.append(Event("handoff", self._conversation_id))
        if rating is not None:
            events.append(Event("rated", self._conversation_id, {"stars": rating}))
        if after.closed and not self.state.closed:
            events.append(Event("closed", self._conversation_id))
        return events

    def _this_turn(self, record: TurnRecord) -> dict[str, Any]:
        return {"conversation": self._conversation_id, "turn": self.number, "state_after": record.state}

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
            "latency": _sum(record),
            "intent": next(iter(record.understanding.wishes), None),
            "confidence": record.understanding.top.probability,
        }

    def _write_consequences(self, opened: Connection, record: TurnRecord) -> None:
        """What staff have to do with after this turn."""
        turn = {"conversation_id": self._conversation_id, "turn": self.number}
        if record.state.handed_over and not self.state.handed_over:
            opened.execute(ADD_HANDOFF, [turn | {"reason": reason_of(record.state)}])
        if record.rating is not None:
            opened.execute(RATE, {"conversation": self._conversation_id, "stars": record.rating})
        finding = finding_row(record)
        if finding:
            opened.execute(ADD_FINDING, [turn | finding])

    def _write_steps(self, opened: Connection, record: TurnRecord, without_answer: ExecutionStatus) -> None:
        """What is new since the last time, and the answer to the execution that was waited for."""
        turn = {"conversation_id": self._conversation_id, "turn": self.number}
        known_decisions = len(self._kept.decisions) if self._kept else 0
        known_executions = len(self._kept.executions) if self._kept else 0
        decisions = decision_rows(turn, record)[known_decisions:]
        executions = execution_rows(turn, record, without_answer)
        if decisions:
            opened.execute(ADD_DECISIONS, decisions)
        if known_executions:
            waited_for = executions[known_executions - 1]
            answer = {f"{name}_now": waited_for[name] for name in ("status", "outcome", "facts")}
            mine = {
                "conversation": self._conversation_id,
                "this_turn": self.number,
                "place": known_executions,
            }
            opened.execute(ANSWER, mine | answer)
        if executions[known_executions:]:
            opened.execute(ADD_EXECUTIONS, executions[known_executions:])


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
                row.explored,
                row.shadow_version,
                row.shadow_action,
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


def _sum(record: TurnRecord) -> float:
    return sum(record.latency_ms.values())


def decision_rows(turn: Mapping[str, Any], record: TurnRecord) -> list[dict[str, Any]]:
    return [{**turn, "step": step, **vars(decision)} for step, decision in enumerate(record.decisions, 1)]


def execution_rows(
    turn: Mapping[str, Any], record: TurnRecord, without_answer: ExecutionStatus
) -> list[dict[str, Any]]:
    return [
        {
            **turn,
            "position": position,
            **vars(execution),
            "status": without_answer if execution.outcome is None else "answered",
        }
        for position, execution in enumerate(record.executions, 1)
    ]


def status_of(state: DialogueState) -> Status:
    if state.closed:
        return "closed"
    return "handed_over" if state.handed_over else "open"
