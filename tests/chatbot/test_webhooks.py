"""Events to a webhook that takes them, or does not yet."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, update

from chatbot.portal import Portal, Webhook
from chatbot.webhooks import SIGNATURE, Delivery, DeliveryConfig
from storage.conversations import ConversationStore
from storage.database import transaction
from storage.outbox import Outbox, count_parcels
from storage.records import Draft
from storage.tables import OutboxRow

SECRET = "a secret of the crm that is long enough"


class Crm(HTTPServer):
    """Answers with `status`, and keeps what it was sent."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[str, bytes]] = []


class Handler(BaseHTTPRequestHandler):
    server: Crm

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers[SIGNATURE], body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def crm() -> Iterator[Crm]:
    crm = Crm()
    threading.Thread(target=crm.serve_forever, daemon=True).start()
    yield crm
    crm.shutdown()
    crm.server_close()


@pytest.fixture
def webhook(crm: Crm) -> Webhook:
    return Webhook("crm", f"http://127.0.0.1:{crm.server_port}/hook", SecretStr(SECRET))


@pytest.fixture
def store(engine: Engine) -> ConversationStore:
    return ConversationStore(engine, Outbox(["crm"]))


def deliver(engine: Engine, webhook: Webhook, **config: Any) -> None:
    with httpx.Client() as client:
        Delivery(engine, Portal({}, {"crm": webhook}), DeliveryConfig(**config)).deliver_due(client)


def told(crm: Crm) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in crm.got]


def test_events_come_in_order_and_signed(
    engine: Engine, store: ConversationStore, crm: Crm, webhook: Webhook
) -> None:
    conversation = store.create("banking", None, Draft("Hello"))
    store.rate(conversation, 1, 1)
    deliver(engine, webhook)
    assert [event["event"] for event in told(crm)] == ["started", "message", "rated"]
    assert {event["conversation_id"] for event in told(crm)} == {conversation}
    assert told(crm)[1]["data"] == {"seq": 1, "author": "bot", "text": "Hello"}
    for signature, body in crm.got:
        moment, digest = (part.partition("=")[2] for part in signature.split(","))
        expected = hmac.new(SECRET.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
        assert hmac.compare_digest(digest, expected)
    deliver(engine, webhook)
    assert len(crm.got) == 3
    assert count_parcels(engine) == 0


def test_only_the_events_that_were_asked_for_are_sent(
    engine: Engine, store: ConversationStore, crm: Crm, webhook: Webhook
) -> None:
    store.create("banking", None, Draft("Hello"))
    picky = Webhook("crm", webhook.url, webhook.secret, frozenset({"started"}))
    deliver(engine, picky)
    assert [event["event"] for event in told(crm)] == ["started"]
    assert count_parcels(engine) == 0


@pytest.mark.parametrize("trouble", ["status", "away"])
def test_what_was_not_taken_is_tried_again_later_with_the_same_id(
    engine: Engine, store: ConversationStore, crm: Crm, webhook: Webhook, trouble: str
) -> None:
    store.create("banking")
    crm.status = 500
    away = Webhook("crm", "http://127.0.0.1:9/", webhook.secret)
    deliver(engine, away if trouble == "away" else webhook, first_pause_seconds=0)
    assert count_parcels(engine) == 1
    crm.status = 204
    deliver(engine, webhook)
    assert count_parcels(engine) == 0
    assert len({event["id"] for event in told(crm)}) == 1


def test_a_pause_grows_with_each_attempt_and_keeps_others_waiting_for_nothing(
    engine: Engine, store: ConversationStore, crm: Crm, webhook: Webhook
) -> None:
    store.create("banking")
    crm.status = 503
    deliver(engine, webhook, first_pause_seconds=60)
    deliver(engine, webhook, first_pause_seconds=60)
    assert len(crm.got) == 1
    with transaction(engine) as session:
        row = session.query(OutboxRow).one()
        assert row.attempts == 1
        assert row.due_at is not None
        assert timedelta(seconds=30) < row.due_at - datetime.now(UTC) < timedelta(seconds=90)


def test_an_event_that_nobody_took_for_days_is_given_up_and_logged(
    engine: Engine, store: ConversationStore, crm: Crm, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    store.create("banking")
    crm.status = 500
    with transaction(engine, write=True) as session:
        session.execute(update(OutboxRow).values(created_at=datetime.now(UTC) - timedelta(days=4)))
    deliver(engine, webhook)
    assert "never took event" in caplog.text
    assert count_parcels(engine) == 0


def test_an_event_of_a_webhook_that_is_no_longer_configured_goes_away(
    engine: Engine, store: ConversationStore
) -> None:
    store.create("banking")
    with httpx.Client() as client:
        assert Delivery(engine, Portal()).deliver_due(client)
    assert count_parcels(engine) == 0


def test_the_thread_delivers_what_it_is_woken_for_and_stops(
    engine: Engine, store: ConversationStore, crm: Crm, webhook: Webhook
) -> None:
    delivery = Delivery(engine, Portal({}, {"crm": webhook}), DeliveryConfig(look_seconds=60))
    store.outbox.listener = delivery.wake
    thread = threading.Thread(target=delivery.run)
    thread.start()
    store.create("banking")
    for _ in range(500):
        if crm.got:
            break
        threading.Event().wait(0.02)
    delivery.stop()
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert [event["event"] for event in told(crm)] == ["started"]
