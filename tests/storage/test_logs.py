"""Whole conversations read back for learning."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from storage.batch import HeldConversation, write_conversations
from storage.conversations import ConversationStore
from storage.database import connection, open_database, transaction
from storage.desk_tables import CorrectionRow, StaffRow
from storage.faults import StorageError
from storage.logs import LogError, packs, read_conversations
from storage.migration import check, upgrade
from storage.outcomes import Outcomes, count_outcomes
from storage.records import Draft, Owner, TurnRecord
from tests.storage.test_conversations import a_record

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def held(name: str, rating: int = 0, **state: Any) -> HeldConversation:
    records: list[TurnRecord] = []
    for number in (1, 2):
        record = a_record(key=f"{name}-{number}")
        records.append(replace(record, state=replace(record.state, **state) if state else record.state))
    return HeldConversation(
        Draft("Hello"),
        tuple(records),
        f"visitor-{name}",
        NOW - timedelta(hours=3),
        NOW - timedelta(hours=2),
        rating,
        name,
    )


@pytest.fixture
def small() -> Iterator[Engine]:
    engine = open_database("sqlite://")
    upgrade(engine)
    yield engine
    engine.dispose()


def test_that_a_served_conversation_is_read_back_whole(engine: Engine) -> None:
    store = ConversationStore(engine)
    name = store.create("banking", Owner(visitor="browser"))
    record = a_record()
    for _ in range(2):
        with store.turn(name, None) as turn:
            turn.finish(replace(record, executions=()))
    store.rate(name, 3, 1)
    (found,) = read_conversations(engine, "banking")
    assert (found.id, found.visitor, found.rating) == (name, "browser", 1)
    assert [turn.number for turn in found.turns] == [1, 2]
    assert found.turns[0].heard == record.understanding
    assert [d.action for d in found.turns[0].decisions] == [d.action for d in record.decisions]
    assert [d.probability for d in found.decisions] == [d.probability for d in record.decisions] * 2


def test_that_conversations_written_at_once_are_in_order_and_read_back(engine: Engine) -> None:
    write_conversations(engine, "banking", [held("a", 1), held("b", -1)])
    assert check(engine) == []
    found = list(read_conversations(engine, "banking"))
    assert [(c.id, c.rating, len(c.turns)) for c in found] == [("a", 1, 2), ("b", -1, 2)]
    assert found[0].began == NOW - timedelta(hours=3)
    assert all(c.settled(NOW) for c in found)
    assert ConversationStore(engine).history("a")[0].text == "Hello"


def test_that_a_conversation_is_settled_once_the_customer_was_silent_for_long(small: Engine) -> None:
    write_conversations(small, "banking", [held("a")])
    (found,) = read_conversations(small, "banking")
    assert not found.settled(NOW - timedelta(hours=2) + timedelta(minutes=5))
    assert found.settled(NOW)


def test_that_since_and_pack_narrow_what_is_read(small: Engine) -> None:
    write_conversations(small, "banking", [held("a")])
    write_conversations(small, "library", [held("b")])
    assert [c.id for c in read_conversations(small, "banking")] == ["a"]
    assert list(read_conversations(small, "banking", NOW)) == []
    assert packs(small) == {"banking": 1, "library": 1}


def test_that_conversations_of_other_policies_can_be_left_out(small: Engine) -> None:
    write_conversations(small, "banking", [held("a")])
    version = a_record().decisions[-1].policy_version
    assert len(list(read_conversations(small, "banking", versions=[version]))) == 1
    assert not list(read_conversations(small, "banking", versions=["other"]))


@pytest.mark.parametrize("value", ["NULL", "0", "1.5"])
def test_that_decisions_without_their_probability_are_refused(small: Engine, value: str) -> None:
    write_conversations(small, "banking", [held("a")])
    with connection(small, write=True) as opened:
        opened.execute(text("CREATE TABLE loose AS SELECT * FROM decisions"))
        opened.execute(text(f"UPDATE loose SET probability = {value} WHERE turn = 2"))
        opened.execute(text("DROP TABLE decisions"))
        opened.execute(text("ALTER TABLE loose RENAME TO decisions"))
    with pytest.raises(LogError, match=r"Conversation a, turn 2: .* without its probability"):
        list(read_conversations(small, "banking"))


def test_that_a_database_without_our_tables_is_refused(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'foreign.db'}")
    with connection(engine, write=True) as opened:
        opened.execute(text("CREATE TABLE songs (title TEXT)"))
    with pytest.raises(StorageError, match="chatbot database upgrade"):
        list(read_conversations(engine, "banking"))
    engine.dispose()


def test_that_approved_corrections_come_with_their_turns(small: Engine) -> None:
    write_conversations(small, "banking", [held("a")])
    with transaction(small, write=True) as session:
        session.add(StaffRow(id="s", account="ann", name="Ann", role="agent", password="x"))
        session.flush()
        for turn, action, status in ((1, "clarify", "approved"), (2, "handoff", "corrected")):
            session.add(
                CorrectionRow(
                    conversation_id="a", turn=turn, text="…", action=action, status=status, staff_id="s"
                )
            )
    (found,) = read_conversations(small, "banking")
    assert [turn.correction for turn in found.turns] == ["clarify", None]


def test_that_outcomes_are_counted_by_policy(engine: Engine) -> None:
    write_conversations(
        engine,
        "banking",
        [held("a", -1, closed=True), held("b", handed_over=True), held("c"), held("d", 1, closed=True)],
    )
    version = a_record().decisions[-1].policy_version
    long_ago = NOW - timedelta(days=1)
    assert count_outcomes(engine, "banking", version, long_ago, NOW) == Outcomes(4, 1, 1, 1)
    assert count_outcomes(engine, "banking", "other", long_ago, NOW) == Outcomes(0, 0, 0, 0)
    assert count_outcomes(engine, "banking", version, NOW, NOW) == Outcomes(0, 0, 0, 0)
