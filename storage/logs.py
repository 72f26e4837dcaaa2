"""Whole conversations as they were logged, for what learns from them and judges by them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from nlu.understanding import Understanding
from storage.database import snapshot
from storage.desk_tables import CorrectionRow
from storage.faults import StorageError
from storage.state import DialogueState
from storage.tables import ConversationRow, DecisionRow, ExecutionRow, MessageRow, Status, TurnRow

BATCH = 100
"""Conversations that are in memory at once."""
SILENCE = timedelta(minutes=30)
"""After which a customer who did not answer has left."""


class LogError(StorageError):
    """The log cannot be learnt from; the message says why and what to do."""


@dataclass(frozen=True)
class LoggedDecision:
    observation: tuple[float, ...]
    mask: tuple[bool, ...]
    action: str
    probability: float
    policy_version: str
    feature_version: int
    explored: bool


@dataclass(frozen=True)
class LoggedTurn:
    number: int
    heard: Understanding
    state: DialogueState
    """After the turn."""
    decisions: tuple[LoggedDecision, ...]
    executions: tuple[tuple[str, str | None], ...]
    """Task and outcome; the outcome is None where no answer came."""
    rating: int
    """The customer's last thumbs on a reply of this turn: 1, -1, or 0 for none."""
    correction: str | None
    """The action that staff say the turn should have begun with."""


@dataclass(frozen=True)
class LoggedConversation:
    """Its end may still be open: see `settled`."""

    id: str
    pack: str
    status: Status
    visitor: str | None
    """Who wrote it, as far as that is known: the browser, or the authenticated customer."""
    began: datetime
    last: datetime
    turns: tuple[LoggedTurn, ...] = field(repr=False)

    def settled(self, now: datetime) -> bool:
        """Whether no more is to be expected of it."""
        return self.status != "open" or self.last < now - SILENCE

    @property
    def rating(self) -> int:
        """The last thumbs; 0 where there were none."""
        return next((turn.rating for turn in reversed(self.turns) if turn.rating), 0)

    @property
    def decisions(self) -> Iterator[LoggedDecision]:
        return (decision for turn in self.turns for decision in turn.decisions)


def read_conversations(
    engine: Engine, pack: str, since: datetime | None = None, *, versions: Sequence[str] | None = None
) -> Iterator[LoggedConversation]:
    """The conversations of `pack` that began at or after `since`, oldest first, but for unfinished turns.

    `versions` narrows to those whose last action one of these policies chose. Raises LogError where a
    decision is without its probability.
    """
    wanted = (
        select(ConversationRow)
        .where(ConversationRow.pack == pack)
        .order_by(ConversationRow.created_at, ConversationRow.id)
    )
    if since is not None:
        wanted = wanted.where(ConversationRow.created_at >= since)
    if versions is not None:
        wanted = wanted.where(ConversationRow.policy_version.in_(versions))
    with snapshot(engine) as session:
        for batch in session.scalars(wanted.execution_options(yield_per=BATCH)).partitions():
            yield from _whole(session, batch)


def packs(engine: Engine) -> dict[str, int]:
    """How many conversations there are of each pack."""
    query = select(ConversationRow.pack, func.count()).group_by(ConversationRow.pack)
    with snapshot(engine) as session:
        return dict(session.execute(query).tuples().all())


def _whole(session: Session, conversations: Sequence[ConversationRow]) -> Iterator[LoggedConversation]:
    ids = [row.id for row in conversations]
    decisions = _by_turn(session, DecisionRow, DecisionRow.step, ids)
    executions = _by_turn(session, ExecutionRow, ExecutionRow.position, ids)
    ratings = _ratings(session, ids)
    corrections = _corrections(session, ids)
    turns: dict[str, list[LoggedTurn]] = {}
    query = select(TurnRow).where(TurnRow.conversation_id.in_(ids), TurnRow.last_seq.is_not(None))
    for row in session.scalars(query.order_by(TurnRow.conversation_id, TurnRow.number)):
        place = (row.conversation_id, row.number)
        last_seq = cast(int, row.last_seq)
        rated = [
            rating
            for seq, rating in ratings.get(row.conversation_id, ())
            if row.message_seq < seq <= last_seq
        ]
        turns.setdefault(row.conversation_id, []).append(
            LoggedTurn(
                row.number,
                row.understanding,
                row.state,
                tuple(_decision(decision) for decision in decisions.get(place, ())),
                tuple((execution.task, execution.outcome) for execution in executions.get(place, ())),
                rated[-1] if rated else 0,
                corrections.get(place),
            )
        )
    for conversation in conversations:
        yield LoggedConversation(
            conversation.id,
            conversation.pack,
            cast(Status, conversation.status),
            conversation.visitor or conversation.customer_id,
            conversation.created_at,
            conversation.updated_at,
            tuple(turns.get(conversation.id, ())),
        )


def _decision(row: DecisionRow) -> LoggedDecision:
    probability = cast(float | None, row.probability)
    if probability is None or not 0 < probability <= 1:
        raise LogError(
            f"Conversation {row.conversation_id}, turn {row.turn}: the decision {row.action} is logged "
            "without its probability, so nothing can be judged by it; leave such conversations out "
            "with --since"
        )
    return LoggedDecision(
        row.observation,
        row.mask,
        row.action,
        probability,
        row.policy_version,
        row.feature_version,
        row.explored,
    )


def _by_turn(session: Session, rows: Any, order: Any, ids: Sequence[str]) -> dict[tuple[str, int], list[Any]]:
    found: dict[tuple[str, int], list[Any]] = {}
    for row in session.scalars(select(rows).where(rows.conversation_id.in_(ids)).order_by(order)):
        found.setdefault((row.conversation_id, row.turn), []).append(row)
    return found


def _ratings(session: Session, ids: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    query = (
        select(MessageRow.conversation_id, MessageRow.seq, MessageRow.rating)
        .where(MessageRow.conversation_id.in_(ids), MessageRow.rating != 0)
        .order_by(MessageRow.seq)
    )
    found: dict[str, list[tuple[int, int]]] = {}
    for row in session.execute(query):
        found.setdefault(row.conversation_id, []).append((row.seq, row.rating))
    return found


def _corrections(session: Session, ids: Sequence[str]) -> dict[tuple[str, int], str]:
    query = select(CorrectionRow).where(
        CorrectionRow.conversation_id.in_(ids),
        CorrectionRow.status == "approved",
        CorrectionRow.action.is_not(None),
    )
    return {(row.conversation_id, row.turn): str(row.action) for row in session.scalars(query)}
