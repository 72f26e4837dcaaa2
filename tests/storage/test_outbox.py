"""What is told of a conversation, when, and what is kept for webhooks."""

import pytest
from sqlalchemy import Engine, select

from storage.conversations import ConversationStore, UnknownMessage
from storage.database import transaction
from storage.outbox import Outbox
from storage.records import Draft, Event
from storage.tables import OutboxRow


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
