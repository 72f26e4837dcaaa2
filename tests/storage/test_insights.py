"""Counts over conversations, against counting by hand."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, update

from nlu.understanding import IntentScore, Understanding
from storage.conversations import ConversationStore
from storage.database import transaction
from storage.desk import Desk
from storage.insights import BUCKET_MS, Insights, look, sites
from storage.records import Draft
from storage.staff import add_staff
from storage.tables import ConversationRow, TurnRow
from tests.storage.test_conversations import a_record
from tests.storage.test_desk import PASSWORD, WAITING

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
YESTERDAY = NOW - timedelta(days=1)


def seen(engine: Engine, days: int = 30, pack: str = "banking") -> Insights:
    return look(engine, pack, NOW - timedelta(days=days), NOW + timedelta(hours=1))


def play(engine: Engine, at: datetime, *intents: str | None, pack: str = "banking", ms: float = 10) -> str:
    """A conversation in which the business system did something in the first turn."""
    store = ConversationStore(engine)
    conversation = store.create(pack, None, Draft("Hello!"))
    for number, intent in enumerate(intents):
        heard = Understanding("hm", (IntentScore(intent or "x", 0.9),), (intent,) if intent else (), (), 0.0)
        record = replace(
            a_record(key=f"{conversation}:{number}"), understanding=heard, latency_ms={"a": ms - 1, "b": 1}
        )
        with store.turn(conversation, None) as turn:
            turn.finish(record if number == 0 else replace(record, executions=()))
    with transaction(engine, write=True) as session:
        mine = ConversationRow.id == conversation
        session.execute(update(ConversationRow).where(mine).values(created_at=at))
        session.execute(update(TurnRow).where(TurnRow.conversation_id == conversation).values(created_at=at))
    return conversation


@pytest.fixture
def conversations(engine: Engine) -> list[str]:
    return [
        play(engine, NOW, "greeting", "check_balance"),
        play(engine, NOW, None, ms=100),
        play(engine, YESTERDAY, "check_balance"),
        play(engine, NOW - timedelta(days=40), "age_limit"),
        play(engine, NOW, "age_limit", pack="telecom"),
    ]


def test_that_conversations_are_counted_by_day_and_policy(engine: Engine, conversations: list[str]) -> None:
    found = seen(engine)
    assert {day: tally.conversations for day, tally in found.days.items()} == {
        "2026-05-19": 1,
        "2026-05-20": 2,
    }
    assert found.total.conversations == found.total.contained == 3
    assert found.total.messages == 3 + 3 * 4
    assert [tally.conversations for tally in found.policies.values()] == [3]
    assert seen(engine, 60).total.conversations == 4
    assert seen(engine, 60, "telecom").total.conversations == 1
    assert seen(engine, pack="nothing").total.containment == 0


def test_that_sites_are_told_apart(engine: Engine, conversations: list[str]) -> None:
    with transaction(engine, write=True) as session:
        mine = ConversationRow.id == conversations[0]
        session.execute(update(ConversationRow).where(mine).values(site="https://shop.example"))
    assert sites(engine, "banking") == ["https://shop.example"]
    found = look(engine, "banking", YESTERDAY, NOW + timedelta(hours=1), "https://shop.example")
    assert (found.total.conversations, found.turns) == (1, 2)
    assert look(engine, "banking", YESTERDAY, NOW, "' OR 1=1 --").total.conversations == 0


def test_that_turns_are_counted_by_intent_and_time(engine: Engine, conversations: list[str]) -> None:
    found = seen(engine)
    assert Counter(found.intents) == Counter({"check_balance": 2, "greeting": 1, "": 1})
    assert found.turns == 4
    assert found.latency.p50_ms == pytest.approx(10, abs=BUCKET_MS)
    assert found.latency.p95_ms == pytest.approx(100, abs=BUCKET_MS)
    assert found.latencies["2026-05-19"].p95_ms == pytest.approx(10, abs=BUCKET_MS)


def test_that_what_was_handed_over_done_and_rated_is_counted(
    engine: Engine, conversations: list[str]
) -> None:
    store, desk = ConversationStore(engine), Desk(engine)
    ana = add_staff(engine, "ana", "Ana", "agent", PASSWORD, "test")
    first, second, *_ = conversations
    for conversation in (first, second):
        with store.turn(conversation, None) as turn:
            turn.finish(replace(a_record(key=f"x{conversation}"), state=WAITING))
        desk.claim(conversation, ana)
    desk.resolve(first, ana, Draft("How did we do?"))
    desk.give_back(second, ana, Draft("Here I am."))
    with store.turn(first, None) as turn:
        turn.finish(replace(a_record("4", key="y"), state=turn.state, rating=4))
    bot_message = next(one for one in store.history(first) if one.author == "bot" and one.seq > 1)
    store.rate(first, bot_message.seq, -1)
    found = seen(engine)
    assert found.total.contained == 1
    assert found.total.done == 3
    assert found.handoffs == {"asked": 2}
    assert found.ratings == {4: 1}
    assert found.thumbs == {-1: 1}
