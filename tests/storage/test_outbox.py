"""What is told of a conversation, when, and what is kept for webhooks."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, select

from storage.conversations import ConversationStore, UnknownMessage
from storage.database import transaction
from storage.driver import Driver
from storage.faults import StorageError
from storage.outbox import Outbox
from storage.records import Draft, Event
from storage.tables import OutboxRow
from storage.turns import Overtaken
from tests.storage.test_conversations import a_record, take_turn


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def store(engine: Engine, heard: list[Event]) -> ConversationStore:
    store = ConversationStore(engine, Outbox(["crm"]))
    store.outbox.listener = heard.append
    return store


def kept(engine: Engine) -> list[Event]:
    with transaction(engine) as session:
        return [row.event for row in session.scalars(select(OutboxRow).order_by(OutboxRow.id))]


def test_what_is_told_is_kept_for_the_webhook(
    store: ConversationStore, engine: Engine, heard: list[Event]
) -> None:
    conversation = store.create("banking", None, Draft("Hello"))
    store.rate(conversation, 1, -1)
    assert [(event.kind, dict(event.details)) for event in heard] == [
        ("started", {}),
        ("message", {"seq": 1, "author": "bot", "text": "Hello"}),
        ("rated", {"seq": 1, "rating": -1}),
    ]
    assert kept(engine) == heard


def test_what_did_not_happen_is_neither_told_nor_kept(
    store: ConversationStore, engine: Engine, heard: list[Event]
) -> None:
    conversation = store.create("banking")
    with pytest.raises(UnknownMessage):
        store.rate(conversation, 1, 1)
    assert [event.kind for event in heard] == [event.kind for event in kept(engine)] == ["started"]


def test_without_webhooks_nothing_is_kept(engine: Engine) -> None:
    ConversationStore(engine).create("banking", None, Draft("Hello"))
    assert kept(engine) == []


def test_a_turn_tells_what_was_said_in_it_once(
    store: ConversationStore, engine: Engine, heard: list[Event]
) -> None:
    conversation = store.create("banking")
    with store.turn(conversation, None) as turn:
        turn.keep(replace(a_record(), replies=(), executions=()))
        assert [event.kind for event in heard] == ["started", "message"]
        turn.finish(a_record())
    assert [event.details["seq"] for event in heard[1:]] == [1, 2, 3]
    assert kept(engine) == heard


def test_a_turn_that_was_overtaken_is_neither_told_nor_kept(
    store: ConversationStore, engine: Engine, heard: list[Event]
) -> None:
    conversation = store.create("banking")
    with store.turn(conversation, None) as turn:
        take_turn(store, conversation)
        before = list(heard)
        with pytest.raises(Overtaken):
            turn.finish(a_record(key="key-2"))
    assert kept(engine) == heard == before


def test_a_turn_that_cannot_be_written_whole_is_neither_told_nor_kept(
    store: ConversationStore, engine: Engine, heard: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = store.create("banking")

    def lose(driver: Driver) -> None:
        raise StorageError("lost")

    with store.turn(conversation, None) as turn, monkeypatch.context() as patch:
        patch.setattr(Driver, "commit", lose)
        with pytest.raises(StorageError, match="lost"):
            turn.finish(a_record())
    assert [event.kind for event in heard] == [event.kind for event in kept(engine)] == ["started"]
    assert store.history(conversation) == ()
