"""What the server writes down of its own work: JSON lines and figures for Prometheus."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from chatbot.api import create_api
from chatbot.logs import JsonFormatter, within
from storage.masking import MaskingFilter
from tests.stand_in_bot import StandInBot


@pytest.fixture
def bot() -> StandInBot:
    return StandInBot()


@pytest.fixture
def client(bot: StandInBot) -> Iterator[TestClient]:
    with TestClient(create_api(bot), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What a handler writes that is set up as the server's own."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(MaskingFilter())
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("chatbot")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_request_is_one_line_with_its_id_and_without_what_was_said(
    client: TestClient, written: io.StringIO
) -> None:
    path = f"/v1/conversations/{client.post('/v1/conversations').json()['id']}"
    answer = client.post(f"{path}/messages", json={"text": "my secret wish"}, headers={"X-Request-ID": "r-1"})
    assert answer.headers["x-request-id"] == "r-1"
    line = lines(written)[-1]
    assert line["request_id"] == "r-1"
    assert (line["method"], line["status"]) == ("POST", 200)
    assert line["route"] == "/v1/conversations/{conversation_id}/messages"
    assert "secret" not in written.getvalue()


def test_a_request_without_a_proper_id_gets_one(client: TestClient) -> None:
    ids = {
        client.get("/healthz", headers={"X-Request-ID": given}).headers["x-request-id"]
        for given in ("", "a b", "x" * 65, '{"a": 1}')
    }
    assert len(ids) == 4
    assert all(len(one) == 32 for one in ids)


def test_a_failure_is_logged_with_the_request_that_met_it(client: TestClient, written: io.StringIO) -> None:
    path = f"/v1/conversations/{client.post('/v1/conversations').json()['id']}"
    client.post(f"{path}/messages", json={"text": "explode"}, headers={"X-Request-ID": "r-2"})
    failure = next(line for line in lines(written) if line["level"] == "error")
    assert failure["request_id"] == "r-2"
    assert "RuntimeError" in failure["exception"]


def test_a_line_knows_its_conversation_and_masks_numbers(written: io.StringIO) -> None:
    with within("c-1"):
        logging.getLogger("chatbot.bot").warning("the card is %s", "5412 7500 0343 6467")
    logging.getLogger("chatbot.bot").warning("nobody's")
    inside, outside = lines(written)
    assert inside["conversation_id"] == "c-1"
    assert "0343" not in inside["message"]
    assert "conversation_id" not in outside


def test_the_figures_are_what_prometheus_reads(client: TestClient, bot: StandInBot) -> None:
    conversation = client.post("/v1/conversations").json()["id"]
    bot.store.handed_over.add(conversation)
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "chatbot_waiting_conversations 1.0" in answer.text
    for name in (
        "chatbot_turns_total",
        "chatbot_turn_stage_seconds",
        "chatbot_fallbacks_total",
        "chatbot_handoffs_total",
        "chatbot_executions_total",
        "chatbot_errors_total",
        "chatbot_requests_at_work",
        "chatbot_webhook_events_waiting",
    ):
        assert f"# TYPE {name.removesuffix('_total')}" in answer.text
    assert conversation not in answer.text
    counted = 'chatbot_request_seconds_count{method="POST",route="/v1/conversations",status="201"}'
    assert counted in answer.text


def test_the_figures_come_without_a_database(client: TestClient, bot: StandInBot) -> None:
    bot.store.down = True
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert "chatbot_waiting_conversations NaN" in answer.text
