"""Between what happened in a turn and its rows."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from storage.database import transaction
from storage.messages import UnknownConversation
from storage.records import Decision, Execution, ExecutionStatus, TurnRecord
from storage.tables import DecisionRow, ExecutionRow, TurnRow

Row = dict[str, Any]


def read_unfinished(engine: Engine, conversation_id: str, number: int) -> TurnRecord:
    """What is written down of an unfinished turn."""
    with transaction(engine) as session:
        turn = session.get(TurnRow, (conversation_id, number))
        if turn is None:
            raise UnknownConversation(conversation_id)  # erased meanwhile
        return read_record(session, turn)


def read_record(session: Session, turn: TurnRow) -> TurnRecord:
    """What is written down of `turn`, but for the replies."""
    mine = (DecisionRow.conversation_id == turn.conversation_id, DecisionRow.turn == turn.number)
    decisions = session.scalars(select(DecisionRow).where(*mine).order_by(DecisionRow.step)).all()
    mine = (ExecutionRow.conversation_id == turn.conversation_id, ExecutionRow.turn == turn.number)
    executions = session.scalars(select(ExecutionRow).where(*mine).order_by(ExecutionRow.position)).all()
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


def total_latency(record: TurnRecord) -> float:
    """Milliseconds, all stages together."""
    return sum(record.latency_ms.values())


def decision_rows(turn: Mapping[str, Any], record: TurnRecord) -> list[Row]:
    return [{**turn, "step": step, **vars(decision)} for step, decision in enumerate(record.decisions, 1)]


def execution_rows(turn: Mapping[str, Any], record: TurnRecord, without_answer: ExecutionStatus) -> list[Row]:
    return [
        {
            **turn,
            "position": position,
            **vars(execution),
            "status": without_answer if execution.outcome is None else "answered",
        }
        for position, execution in enumerate(record.executions, 1)
    ]
