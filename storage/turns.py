"""One turn of a conversation: what it starts from, and what is written down of it, once.

Nothing is locked while the bot thinks. Each write names the version of the conversation from which the turn
started, and where another was first, nothing is written, and Overtaken says to start again.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from storage.database import transaction
from storage.driver import Statement, driving
from storage.faults import TryAgain
from storage.findings import finding_row
from storage.handoff import reason_of
from storage.messages import (
    ADD_MESSAGE,
    UnknownConversation,
    as_message,
    bot_message,
    customer_message,
    read_messages,
)
from storage.outbox import Outbox, said
from storage.records import Event, ExecutionStatus, Message, OpenCall, TurnRecord
from storage.state import DialogueState
from storage.tables import Status
from storage.turn_records import Row, decision_rows, execution_rows, read_unfinished, total_latency
from storage.turn_statements import (
    ADD_DECISION,
    ADD_EXECUTION,
    ADD_FINDING,
    ADD_HANDOFF,
    ADD_TURN,
    ANSWER,
    FINISH,
    FINISH_TURN,
    KEEP_ON,
    KEEP_TURN,
    OPEN_CALLS,
    RATE_COLLEAGUE,
    START,
)

NOBODY: Mapping[str, None] = dict.fromkeys(("claimed_by", "lease_until", "ended", "ended_at", "rating"))
"""Of a conversation that begins to wait for a colleague."""

Work = list[tuple[Statement, Row]]
"""Statements with their values, in their order."""

UNFINISHED: Mapping[str, int | None] = {"reply_seq": None, "last_seq": None}

ANSWERED_ELSEWHERE = ("uq_executions_answered", "executions.idempotency_key")
"""In the driver's error where another conversation of the customer settled the same call meanwhile."""


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
        ids = {
            "id": conversation_id,
            "client_message_id": client_message_id,
            "now": datetime.now(UTC),
        }
        with driving(engine) as driver:
            found = driver.rows(START, ids)
        if not found:
            raise UnknownConversation(conversation_id)
        (start,) = found
        self._version, self._seq, self.state = start["version"], start["seq"], start["state"]
        self.held, self.policy_version = bool(start["held"]), start["policy_version"]
        unfinished = start["last"] is not None and start["last_end"] is None
        self.number = (start["last"] or 0) + (not unfinished)
        if start["earlier_end"] is not None:
            self.number, self._done = start["earlier"], True
            with transaction(engine) as session:
                self.answered = read_messages(
                    session, conversation_id, start["earlier_start"], start["earlier_end"]
                )
        elif unfinished:
            self._kept = read_unfinished(engine, conversation_id, self.number)
        self.unfinished = self._kept

    @property
    def conversation_id(self) -> str:
        return self._conversation_id

    def idempotency_key(self, position: int) -> str:
        """For the execution at `position` of this turn, counted from 1."""
        return f"{self._conversation_id}:{self.number}:{position}"

    def open_calls(self, task: str, customer_id: str | None) -> tuple[OpenCall, ...]:
        """Earlier calls for `task` that may have been carried out or not, oldest first."""
        mine = {"conversation": self._conversation_id, "customer": customer_id, "what": task}
        with driving(self._engine) as driver:
            rows = driver.rows(OPEN_CALLS, mine)
        calls = {
            row["idempotency_key"]: OpenCall(
                row["idempotency_key"], row["slots"], row["conversation_id"] == self._conversation_id
            )
            for row in rows
        }
        return tuple(calls.values())

    def keep(self, record: TurnRecord) -> None:
        """Make what is known so far outlive a crash; the record's last execution is asked for next."""
        asked = self._asked(record)
        work = self._begun(record, asked, UNFINISHED) or [(KEEP_TURN, self._this_turn(record))]
        work += self._steps(record, "intended")
        self._write(KEEP_ON, self._seq + len(asked), {}, work, self._said(asked))
        self._kept = record

    def finish(self, record: TurnRecord) -> tuple[Message, ...]:
        """Write the turn down, once. Returns the bot's messages as they now stand in the history."""
        asked = self._asked(record)
        first = self._seq + len(asked) + 1
        last = first + len(record.replies) - 1
        ends = {"first": first, "last": last, "times": record.latency_ms, "time": total_latency(record)}
        work = self._begun(record, asked, {"reply_seq": first, "last_seq": last}) or [
            (FINISH_TURN, self._this_turn(record) | ends)
        ]
        replies = [
            bot_message(self._conversation_id, seq, draft) for seq, draft in enumerate(record.replies, first)
        ]
        work += [(ADD_MESSAGE, row) for row in replies]
        work += self._steps(record, "unanswered")
        about = {
            "state_after": record.state,
            "status_after": status_of(record.state),
            "customer": record.state.customer_id,
            "policy": record.decisions[-1].policy_version if record.decisions else None,
        }
        events = self._said([*asked, *replies]) + self._events(record)
        self._write(FINISH, last, about, work + self._consequences(record), events)
        self._done = True
        return tuple(as_message(row) for row in replies)

    def _write(
        self, change: Statement, last: int, about: Mapping[str, Any], work: Work, events: Sequence[Event]
    ) -> None:
        """One transaction, after which `last` is the last message. Raises Overtaken."""
        if self._done:
            raise RuntimeError(f"Turn {self.number} of {self._conversation_id} is written already")
        mine = {
            "conversation": self._conversation_id,
            "seen": self._version,
            "more": last - self._seq,
            "now": datetime.now(UTC),
        }
        try:
            with driving(self._engine, write=True) as driver:
                if not driver.run(change, {**mine, **about}):
                    raise Overtaken(self._conversation_id)
                for statement, values in work:
                    driver.run(statement, values)
                self._outbox.put(driver, events)
        except self._engine.dialect.loaded_dbapi.IntegrityError as error:
            if any(sign in str(error) for sign in ANSWERED_ELSEWHERE):
                raise Overtaken(self._conversation_id) from error
            raise
        self._version, self._seq = self._version + 1, last
        self._outbox.tell(events)

    def _said(self, messages: Sequence[Row]) -> list[Event]:
        return [said(self._conversation_id, as_message(row)) for row in messages]

    def _events(self, record: TurnRecord) -> list[Event]:
        """What has happened in this turn beside messages."""
        events = []
        if record.state.handed_over and not self.state.handed_over:
            events.append(Event("handoff", self._conversation_id))
        if record.rating is not None:
            events.append(Event("rated", self._conversation_id, {"stars": record.rating}))
        if record.state.closed and not self.state.closed:
            events.append(Event("closed", self._conversation_id))
        return events

    def _asked(self, record: TurnRecord) -> list[Row]:
        """The customer's message, unless it is kept already."""
        if self._kept is not None:
            return []
        return [customer_message(self._conversation_id, self._seq + 1, record.text)]

    def _begun(self, record: TurnRecord, asked: Sequence[Row], ends: Mapping[str, int | None]) -> Work:
        """The message `asked`, and the turn that it begins; nothing where it has begun."""
        if not asked:
            return []
        turn = {
            "conversation_id": self._conversation_id,
            "number": self.number,
            "client_message_id": self._client_message_id,
            "message_seq": asked[0]["seq"],
            **ends,
            "text": record.text,
            "understanding": record.understanding,
            "state": record.state,
            "latency_ms": record.latency_ms,
            "latency": total_latency(record),
            "intent": next(iter(record.understanding.wishes), None),
            "confidence": record.understanding.top.probability,
            "created_at": datetime.now(UTC),
        }
        return [(ADD_MESSAGE, asked[0]), (ADD_TURN, turn)]

    def _this_turn(self, record: TurnRecord) -> Row:
        return {"conversation": self._conversation_id, "turn": self.number, "state_after": record.state}

    def _consequences(self, record: TurnRecord) -> Work:
        """What staff have to do with after this turn."""
        turn = {"conversation_id": self._conversation_id, "turn": self.number}
        work: Work = []
        if record.state.handed_over and not self.state.handed_over:
            row = {**turn, **NOBODY, "reason": reason_of(record.state), "waiting_since": datetime.now(UTC)}
            work.append((ADD_HANDOFF, row))
        if record.rating is not None:
            work.append((RATE_COLLEAGUE, {"conversation": self._conversation_id, "stars": record.rating}))
        finding = finding_row(record)
        if finding:
            work.append((ADD_FINDING, {**turn, **finding, "created_at": datetime.now(UTC)}))
        return work

    def _steps(self, record: TurnRecord, without_answer: ExecutionStatus) -> Work:
        """What is new since the last time, and the answer to the execution that was waited for."""
        turn = {"conversation_id": self._conversation_id, "turn": self.number}
        known_decisions = len(self._kept.decisions) if self._kept else 0
        known_executions = len(self._kept.executions) if self._kept else 0
        decisions = decision_rows(turn, record)[known_decisions:]
        executions = execution_rows(turn, record, without_answer)
        work: Work = [(ADD_DECISION, row) for row in decisions]
        if known_executions:
            waited_for = executions[known_executions - 1]
            mine = {
                "conversation": self._conversation_id,
                "this_turn": self.number,
                "place": known_executions,
            }
            answer = {f"{name}_now": waited_for[name] for name in ("status", "outcome", "facts")}
            work.append((ANSWER, mine | answer))
        work += [
            (ADD_EXECUTION, row | {"created_at": datetime.now(UTC)}) for row in executions[known_executions:]
        ]
        return work


def status_of(state: DialogueState) -> Status:
    if state.closed:
        return "closed"
    return "handed_over" if state.handed_over else "open"
