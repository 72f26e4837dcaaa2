"""What people and programs send by mistake or on purpose: a clear answer, and the conversation goes on."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import event

from chatbot.api import create_api
from chatbot.bot import Chatbot
from tests.shipped import shipped_bot

pytestmark = pytest.mark.shipped


@pytest.fixture
def bot(tmp_path: Path) -> Chatbot:
    return shipped_bot(tmp_path)


@pytest.fixture
def client(bot: Chatbot) -> Iterator[TestClient]:
    with TestClient(create_api(bot), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def path(client: TestClient) -> str:
    return f"/v1/conversations/{client.post('/v1/conversations').json()['id']}"


def send(client: TestClient, path: str, message: str) -> Response:
    return client.post(f"{path}/messages", json={"text": message})


def goes_on(client: TestClient, path: str) -> bool:
    """Whether the conversation still takes a message and answers it."""
    response = send(client, path, "what is your routing number?")
    return response.status_code == 200 and "021307553" in response.json()["messages"][-1]["text"]


EMPTY = {"empty": "", "blank": "   \n ", "control": "\x00\x01\x1b", "invisible": "\u200b\u200d"}


@pytest.mark.parametrize("message", EMPTY.values(), ids=EMPTY.keys())
def test_that_a_message_without_content_is_refused_in_words(
    message: str, client: TestClient, path: str
) -> None:
    response = send(client, path, message)
    assert response.status_code == 422
    assert response.json()["detail"]
    assert "Traceback" not in response.text
    assert goes_on(client, path)


def test_that_a_message_of_100_kilobytes_is_refused_by_size(client: TestClient, path: str) -> None:
    response = send(client, path, "a" * 100_000)
    assert response.status_code == 413
    assert goes_on(client, path)


def test_that_a_message_of_5000_characters_is_refused_with_the_limit(client: TestClient, path: str) -> None:
    response = send(client, path, "please " * 700)
    assert response.status_code == 422
    assert "4,000" in response.json()["detail"]
    assert goes_on(client, path)


ODD = {
    "emoji": "😀😀🎉",
    "script": "<script>alert(1)</script>",
    "markup": "<b>hi</b> & <img src=x onerror=alert(1)>",
    "sql": "' OR 1=1; DROP TABLE turns; --",
    "hebrew": "שלום",
    "direction": "\u202eevil",
    "bell": "a\x07b",
    "marks": "?" * 3000,
    "braces": "{name} {0} %s ${7*7}",
}


@pytest.mark.parametrize("message", ODD.values(), ids=ODD.keys())
def test_that_odd_messages_get_an_answer_and_break_nothing(
    message: str, client: TestClient, path: str
) -> None:
    response = send(client, path, message)
    assert response.status_code == 200, response.text
    reply = response.json()["messages"][-1]["text"]
    assert reply
    assert "<script>" not in reply
    assert goes_on(client, path)


def test_that_a_lone_surrogate_in_json_breaks_nothing(client: TestClient, path: str) -> None:
    body = b'{"text": "hello \\ud83d there"}'
    response = client.post(f"{path}/messages", content=body, headers={"content-type": "application/json"})
    assert response.status_code in (200, 422)
    assert goes_on(client, path)


def test_that_an_unknown_conversation_is_a_404_with_a_cause(client: TestClient) -> None:
    response = send(client, "/v1/conversations/ffffffffffffffffffffffffffffffff", "hello")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_that_a_database_turned_read_only_is_a_503_and_loses_nothing(
    client: TestClient, path: str, bot: Chatbot
) -> None:
    assert send(client, path, "hello").status_code == 200
    before = client.get(path).json()["messages"]
    engine = bot.store.engine

    def lock(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute("PRAGMA query_only = ON")

    event.listen(engine, "checkout", lock)
    response = send(client, path, "what is my balance")
    event.remove(engine, "checkout", lock)
    assert response.status_code == 503
    assert response.headers["retry-after"]
    assert "Traceback" not in response.text
    assert client.get(path).json()["messages"] == before
    engine.dispose()
    assert goes_on(client, path)
