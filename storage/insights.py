"""Counts over many conversations, made by the database from indexes: nothing of what people wrote is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Engine,
    Executable,
    Integer,
    Select,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    select,
    true,
)
from sqlalchemy.orm import Session

from storage.database import snapshot
from storage.desk_tables import HandoffRow
from storage.tables import ConversationRow, ExecutionRow, MessageRow, TurnRow

BUCKET_MS = 5
"""Latencies are counted in steps of so much."""
MOST_INTENTS = 15


@dataclass(frozen=True)
class Tally:
    """Conversations of a day, or of a policy version."""

    conversations: int
    contained: int
    """Those that were never handed over."""
    done: int
    """Those in which the business system carried out what the customer wanted."""
    messages: int

    @property
    def containment(self) -> float:
        return self.contained / self.conversations if self.conversations else 0.0

    @property
    def resolution(self) -> float:
        return self.done / self.conversations if self.conversations else 0.0


@dataclass(frozen=True)
class Latency:
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Insights:
    days: Mapping[str, Tally]
    policies: Mapping[str, Tally]
    turns: int
    intents: Mapping[str, int]
    """The most frequent ones; what was out of scope stands under an empty name."""
    latencies: Mapping[str, Latency]
    """By day."""
    latency: Latency
    handoffs: Mapping[str, int]
    """By reason."""
    ratings: Mapping[int, int]
    """Stars → how often customers gave them."""
    thumbs: Mapping[int, int]

    @property
    def total(self) -> Tally:
        tallies = list(self.days.values())
        return Tally(*(sum(getattr(one, name) for one in tallies) for name in Tally.__annotations__))


def sites(engine: Engine, pack: str) -> list[str]:
    """Where conversations began, but for the program's own pages."""
    known = (ConversationRow.pack == pack, ConversationRow.site.is_not(None))
    with snapshot(engine) as session:
        return sorted(
            str(site) for site in session.scalars(select(ConversationRow.site).where(*known).distinct())
        )


def look(engine: Engine, pack: str, since: datetime, until: datetime, site: str | None = None) -> Insights:
    """Conversations of `pack` that began from `since` on and before `until`, with all that came of them.

    Those of one `site`, or all.
    """
    mine = and_(
        ConversationRow.site == site if site else true(),
        ConversationRow.pack == pack,
        ConversationRow.created_at >= since,
        ConversationRow.created_at < until,
        ConversationRow.last_seq > 1,  # somebody wrote
    )
    with snapshot(engine) as session:
        tallies = _tally(session, mine)
        turns = _turns(session, pack, since, until, site)
        latency = _day(session, TurnRow.created_at)
        bucket = cast(TurnRow.latency / BUCKET_MS, Integer)
        counted = session.execute(
            turns.with_only_columns(latency, bucket, func.count())
            .where(TurnRow.latency.is_not(None))
            .group_by(latency, bucket)
        ).all()
        intents = session.execute(
            turns.with_only_columns(TurnRow.intent, func.count())
            .group_by(TurnRow.intent)
            .order_by(func.count().desc())
        ).all()
        return Insights(
            days=_sum_by(tallies, 0),
            policies=_sum_by(tallies, 1),
            turns=sum(count for _, count in intents),
            intents={name or "": count for name, count in intents[:MOST_INTENTS]},
            latencies={
                day: _latency([row for row in counted if row[0] == day])
                for day in sorted({row[0] for row in counted})
            },
            latency=_latency(counted),
            handoffs=_count(session, _handoffs(mine, HandoffRow.reason)),
            ratings=_count(session, _handoffs(mine, HandoffRow.rating)),
            thumbs=_count(session, _thumbs(mine)),
        )


def _tally(session: Session, mine: ColumnElement[bool]) -> Sequence[Any]:
    """Day, policy version, and the numbers of a Tally."""
    day = _day(session, ConversationRow.created_at)
    handed_over = exists().where(HandoffRow.conversation_id == ConversationRow.id)
    done = exists().where(
        ExecutionRow.conversation_id == ConversationRow.id,
        ExecutionRow.outcome == "done",
    )
    query = select(
        day,
        ConversationRow.policy_version,
        func.count(),
        func.sum(case((handed_over, 0), else_=1)),
        func.sum(case((done, 1), else_=0)),
        func.sum(ConversationRow.last_seq),
    ).where(mine)
    return session.execute(query.group_by(day, ConversationRow.policy_version)).all()


def _sum_by(rows: Sequence[Any], column: int) -> dict[str, Tally]:
    sums: dict[str, list[int]] = {}
    for row in rows:
        numbers = sums.setdefault(str(row[column] or "none"), [0, 0, 0, 0])
        for place, number in enumerate(row[2:]):
            numbers[place] += int(number)
    return {name: Tally(*numbers) for name, numbers in sorted(sums.items())}


def _turns(session: Session, pack: str, since: datetime, until: datetime, site: str | None) -> Select[Any]:
    """The join costs most of the time, and is only needed for a site, or where packs share a database."""
    turns = select(TurnRow).where(TurnRow.created_at >= since, TurnRow.created_at < until)
    other = session.scalar(select(ConversationRow.id).where(ConversationRow.pack != pack).limit(1))
    if other is None and site is None:
        return turns
    turns = turns.join(ConversationRow, ConversationRow.id == TurnRow.conversation_id)
    return turns.where(ConversationRow.pack == pack, ConversationRow.site == site if site else true())


def _handoffs(mine: ColumnElement[bool], column: Any) -> Select[Any]:
    query = select(column, func.count()).join(
        ConversationRow, ConversationRow.id == HandoffRow.conversation_id
    )
    return query.where(mine, column.is_not(None)).group_by(column).order_by(column)


def _thumbs(mine: ColumnElement[bool]) -> Executable:
    query = select(MessageRow.rating, func.count()).join(
        ConversationRow, ConversationRow.id == MessageRow.conversation_id
    )
    return query.where(mine, MessageRow.rating != 0).group_by(MessageRow.rating)


def _count(session: Session, query: Executable) -> dict[Any, int]:
    return dict(session.execute(query).tuples().all())


def _day(session: Session, column: Any) -> ColumnElement[str]:
    if session.get_bind().dialect.name == "postgresql":
        return cast(func.date(func.timezone("UTC", column)), Text())
    return func.substr(column, 1, 10, type_=Text())


def _latency(rows: Sequence[Any]) -> Latency:
    """From counts by bucket."""
    counts: dict[int, int] = {}
    for _, bucket, count in rows:
        counts[bucket] = counts.get(bucket, 0) + count
    return Latency(_quantile(counts, 0.5), _quantile(counts, 0.95))


def _quantile(counts: Mapping[int, int], share: float) -> float:
    left = share * sum(counts.values())
    for bucket in sorted(counts):
        left -= counts[bucket]
        if left <= 0:
            return (bucket + 0.5) * BUCKET_MS
    return 0.0
