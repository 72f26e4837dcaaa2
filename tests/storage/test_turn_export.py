import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from nlu.understanding import Entity, IntentScore, Understanding
from storage.audit import entries
from storage.conversations import ConversationStore
from storage.database import open_database, transaction
from storage.encryption import new_key
from storage.faults import StorageError
from storage.migration import upgrade
from storage.records import Owner
from storage.tables import TurnRow
from storage.turn_export import export_turns, learning_rows
from storage.vault import pseudonyms, unlock
from tests.storage.test_conversations import STATE, a_record, take_turn


@pytest.fixture
def store(engine: Engine) -> ConversationStore:
    unlock(engine, [new_key()])
    return ConversationStore(engine)


@pytest.fixture
def small() -> Iterator[Engine]:
    engine = open_database("sqlite://")
    upgrade(engine)
    yield engine
    engine.dispose()


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", ["turns.jsonl", "turns.parquet"])
def test_that_a_turn_is_exported_with_all_that_learning_needs(
    engine: Engine, store: ConversationStore, tmp_path: Path, name: str
) -> None:
    conversation = store.create("banking")
    record = a_record()
    with store.turn(conversation, None) as turn:
        turn.finish(record)
    store.rate(conversation, 3, -1)
    assert export_turns(engine, tmp_path / name, "ann") == 1
    (row,) = read(tmp_path / name)
    assert row.pop("hour").endswith(":00:00+00:00")
    name_of = pseudonyms(engine)
    assert row == {
        "conversation": name_of("conversation", conversation),
        "customer": name_of("customer", "c-17"),
        "pack": "banking",
        "turn": 1,
        "text": None,
        "intents": [
            {"intent": score.intent, "probability": score.probability}
            for score in record.understanding.intents
        ],
        "wishes": ["transfer_money"],
        "entities": [{"slot": "amount", "confidence": 0.8, "valid": True}],
        "out_of_scope": 0.01,
        "decisions": [
            {"step": step, **vars(decision)} | {"observation": [0.1, 1.0, -2.5], "mask": [True, False]}
            for step, decision in enumerate(record.decisions, 1)
        ],
        "executions": [{"task": "check_balance", "status": "answered", "outcome": "done"}],
        "replies": [
            {"seq": 2, "made_by": "template", "rating": 0},
            {"seq": 3, "made_by": "moe", "rating": -1},
        ],
        "failures": STATE.failures,
        "completed": ["check_balance"],
        "handed_over": False,
        "closed": False,
        "conversation_status": "open",
        "latency_ms": [{"stage": "nlu", "ms": 4.5}],
    }
    assert [(entry.action, entry.details["turns"]) for entry in entries(engine)] == [("turns.export", 1)]


def test_that_nothing_in_an_export_identifies_anybody(
    engine: Engine, store: ConversationStore, tmp_path: Path
) -> None:
    conversation = store.create("banking", Owner("visitor-token"))
    take_turn(store, conversation, "client-message-1")
    for texts in (False, True):
        path = tmp_path / f"{texts}.jsonl"
        export_turns(engine, path, "ann", texts=texts)
        exported = path.read_text(encoding="utf-8")
        for secret in (conversation, "c-17", "visitor-token", "client-message-1", "$9", "50.00", "$1,250.00"):
            assert secret not in exported


def test_that_texts_come_without_their_values(small: Engine) -> None:
    text = "I am Ann Lee, card 4111 1111 1111 1111, mail ann@example.com, ssn 4821"
    heard = Understanding(
        text,
        (IntentScore("inform", 0.9),),
        ("inform",),
        (Entity("name", 5, 12, "Ann Lee", "Ann Lee", 0.9),),
        0.0,
    )
    store = ConversationStore(small)
    record = a_record()
    with store.turn(store.create("banking"), None) as turn:
        turn.finish(type(record)(**{**vars(record), "text": text, "understanding": heard}))
    (row,) = learning_rows(small, texts=True)
    assert row["text"] == "I am {name}, card ··1111, mail e-mail ··, ssn ··"
    (row,) = learning_rows(small)
    assert row["text"] is None


def test_that_turns_come_in_order_from_a_day_on_and_in_batches(
    small: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.turn_export.BATCH", 2)
    store = ConversationStore(small)
    conversation = store.create("banking")
    for _ in range(5):
        take_turn(store, conversation)
    assert [row["turn"] for row in learning_rows(small)] == [1, 2, 3, 4, 5]
    assert all(len(row["decisions"]) == 2 and len(row["replies"]) == 2 for row in learning_rows(small))
    with transaction(small, write=True) as session:
        for number in (1, 2):
            session.get_one(TurnRow, (conversation, number)).created_at -= timedelta(days=3)
    since = datetime.now(UTC) - timedelta(days=1)
    assert [row["turn"] for row in learning_rows(small, since)] == [3, 4, 5]


def test_that_an_empty_database_makes_an_empty_export(small: Engine, tmp_path: Path) -> None:
    for name in ("turns.jsonl", "turns.parquet"):
        assert export_turns(small, tmp_path / name, "ann") == 0
        assert read(tmp_path / name) == []


@pytest.mark.parametrize(
    ("name", "cause"), [("turns.csv", "ends in .jsonl or .parquet"), ("no/turns.jsonl", "cannot be written")]
)
def test_that_a_file_which_cannot_be_is_refused(small: Engine, tmp_path: Path, name: str, cause: str) -> None:
    with pytest.raises(StorageError, match=cause):
        export_turns(small, tmp_path / name, "ann")
