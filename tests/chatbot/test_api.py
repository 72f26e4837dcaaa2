"""The HTTP interface over a scripted bot."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from chatbot.api import create_api
from chatbot.streams import split_words
from tests.stand_in_bot import CONFIRM, StandInBot

LIMIT = 64 * 1024


@pytest.fixture
def bot() -> StandInBot:
    return StandInBot()


@pytest.fixture
def client(bot: StandInBot) -> Iterator[TestClient]:
    with TestClient(create_api(bot), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def conversation(client: TestClient) -> str:
    """The path of a new conversation, whose cookie the client keeps."""
    return f"/v1/conversations/{client.post('/v1/conversations').json()['id']}"


def send(client: TestClient, conversation: str, **body: Any) -> httpx.Response:
    return client.post(f"{conversation}/messages", json=body)


def assert_problem(response: httpx.Response, status: int, detail: str) -> None:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert problem["title"]
    assert detail in problem["detail"]


def test_a_conversation_starts_with_a_greeting(client: TestClient) -> None:
    response = client.post("/v1/conversations")
    assert response.status_code == 201
    assert response.json()["messages"] == [
        {"seq": 1, "author": "bot", "text": "Hello, I am Marlow. How can I help you today?"}
    ]


def test_a_message_is_answered_with_its_buttons(client: TestClient, conversation: str) -> None:
    response = send(client, conversation, text="transfer")
    assert response.status_code == 200
    buttons = [{"label": "Yes", "text": "Yes, please do"}, {"label": "No", "text": "No, do not"}]
    assert response.json() == {"messages": [{"seq": 3, "author": "bot", "text": CONFIRM, "buttons": buttons}]}


def test_the_history_holds_every_message_in_order(client: TestClient, conversation: str) -> None:
    send(client, conversation, text="hello")
    history = client.get(conversation).json()
    assert history["status"] == "open"
    assert conversation.endswith(history["id"])
    assert [(message["seq"], message["author"]) for message in history["messages"]] == [
        (1, "bot"),
        (2, "customer"),
        (3, "bot"),
        (4, "bot"),
    ]


def test_the_same_client_message_id_acts_once(client: TestClient, conversation: str) -> None:
    first = send(client, conversation, text="hello", client_message_id="m-1")
    second = send(client, conversation, text="hello", client_message_id="m-1")
    assert first.json() == second.json()
    assert len(client.get(conversation).json()["messages"]) == 4


def test_a_stream_gives_the_words_then_the_message_then_the_end(
    client: TestClient, conversation: str
) -> None:
    response = client.post(
        f"{conversation}/messages", json={"text": "two\nlines 🏦"}, headers={"Accept": "text/event-stream"}
    )
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    lines = [block.split("\n") for block in response.text.strip().split("\n\n")]
    events = [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in lines]
    names = [name for name, _ in events]
    assert names == ["token"] * 5 + ["message"] + ["token"] * 4 + ["message", "done"]
    messages = [data for name, data in events if name == "message"]
    assert messages[0] == {"seq": 3, "author": "bot", "text": "You said: two\nlines 🏦"}
    for message in messages:
        words = [data["text"] for name, data in events if name == "token" and data["seq"] == message["seq"]]
        assert "".join(words) == message["text"]


@pytest.mark.parametrize("text", ["", " ", "one", "  two  words\n", "a\n\nb c"])
def test_the_words_of_a_text_join_to_it(text: str) -> None:
    assert "".join(split_words(text)) == text


def test_a_stream_is_refused_as_any_other_message(client: TestClient, conversation: str) -> None:
    headers = {"Accept": "text/event-stream"}
    response = client.post(f"{conversation}/messages", json={"text": "x" * 4001}, headers=headers)
    assert_problem(response, 422, "too long")


@pytest.mark.parametrize(
    "text", ["Ünïcödé 你好 🙋🏽‍♀️", "<script>alert(1)</script>", "tab\tand\nnewline", "x" * 4000]
)
def test_any_readable_text_is_taken_as_it_is(client: TestClient, conversation: str, text: str) -> None:
    assert send(client, conversation, text=text).status_code == 200
    assert client.get(conversation).json()["messages"][1]["text"] == text


@pytest.mark.parametrize(
    ("text", "reason"), [("", "type a message"), ("\x00\x07\x1b", "type a message"), ("x" * 4001, "too long")]
)
def test_a_bad_message_is_refused_with_the_reason(
    client: TestClient, conversation: str, text: str, reason: str
) -> None:
    assert_problem(send(client, conversation, text=text), 422, reason)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"not json", "body"),
        (b"{}", "body.text: Field required"),
        (b'{"text": 5}', "body.text"),
        (b'{"text": null}', "body.text"),
        (b'{"text": "hi", "mood": "bad"}', "body.mood"),
        (b'{"text": "hi", "client_message_id": "a b"}', "body.client_message_id"),
        (b'{"text": "\\ud800"}', ""),
        (b'{"text": "\xff"}', ""),
    ],
)
def test_a_body_that_is_no_message_is_refused(
    client: TestClient, conversation: str, body: bytes, detail: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = client.post(f"{conversation}/messages", content=body, headers=headers)
    assert_problem(response, 400 if body.endswith(b'\xff"}') else 422, detail)


@pytest.mark.parametrize("body", [b'{"text": "' + b"x" * 100_000 + b'"}', b" " * (LIMIT + 1)])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_over_the_limit_is_refused(
    client: TestClient, bot: StandInBot, conversation: str, body: bytes, streamed: bool
) -> None:
    pieces = iter([body[:50_000], body[50_000:]])
    response = client.post(f"{conversation}/messages", content=pieces if streamed else body)
    assert_problem(response, 413, "65536 bytes")
    assert ("content-length" in response.request.headers) is not streamed
    assert bot.calls == []


def test_a_body_of_just_the_limit_is_read(client: TestClient, conversation: str) -> None:
    body = b'{"text": "hello"}'
    padding = b" " * (LIMIT - len(body))
    headers = {"Content-Type": "application/json"}
    response = client.post(f"{conversation}/messages", content=iter([body, padding]), headers=headers)
    assert response.status_code == 200


def test_an_unknown_conversation_is_not_found(client: TestClient) -> None:
    unknown = "/v1/conversations/0123456789abcdef"
    assert_problem(client.get(unknown), 404, "no such conversation")
    assert_problem(send(client, unknown, text="hello"), 404, "no such conversation")
    assert_problem(
        client.post(f"{unknown}/messages/1/rating", json={"rating": 1}), 404, "no such conversation"
    )


def test_a_rating_is_stored_and_can_be_taken_back(client: TestClient, conversation: str) -> None:
    for rating, shown in [(1, 1), (-1, -1), (0, None)]:
        response = client.post(f"{conversation}/messages/1/rating", json={"rating": rating})
        assert response.status_code == 204
        assert client.get(conversation).json()["messages"][0].get("rating") == shown


@pytest.mark.parametrize("rating", [2, "up", None, 0.5])
def test_any_other_rating_is_refused(client: TestClient, conversation: str, rating: Any) -> None:
    response = client.post(f"{conversation}/messages/1/rating", json={"rating": rating})
    assert_problem(response, 422, "body.rating")


@pytest.mark.parametrize(
    ("seq", "status"), [("2", 404), ("9", 404), ("0", 422), ("99999999999", 422), ("x", 422)]
)
def test_only_messages_of_the_bot_can_be_rated(
    client: TestClient, conversation: str, seq: str, status: int
) -> None:
    send(client, conversation, text="hello")
    assert_problem(client.post(f"{conversation}/messages/{seq}/rating", json={"rating": 1}), status, "")


def test_a_database_that_does_not_answer_is_a_reason_to_try_again(
    client: TestClient, bot: StandInBot, conversation: str
) -> None:
    bot.store.down = True
    responses = [
        client.post("/v1/conversations"),
        client.get(conversation),
        send(client, conversation, text="hello"),
        client.post(f"{conversation}/messages/1/rating", json={"rating": 1}),
    ]
    for response in responses:
        assert_problem(response, 503, "The database does not answer")
        assert int(response.headers["retry-after"]) > 0


def test_an_unexpected_failure_is_logged_and_tells_nothing(
    client: TestClient, conversation: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = send(client, conversation, text="explode")
    assert_problem(response, 500, "The service failed")
    assert "secret" not in response.text
    assert "a secret of the server" in caplog.text


def test_what_does_not_exist_is_a_problem_too(client: TestClient) -> None:
    assert_problem(client.get("/v1/nothing"), 404, "Not Found")
    assert_problem(client.delete("/v1/conversations"), 405, "Method Not Allowed")


def test_the_process_is_alive_without_a_database_but_not_ready(client: TestClient, bot: StandInBot) -> None:
    assert client.get("/readyz").json() == {"status": "ready"}
    bot.store.down = True
    assert client.get("/healthz").status_code == 200
    assert_problem(client.get("/readyz"), 503, "the database file is locked")


def test_the_openapi_document_names_every_operation_and_its_errors(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["info"]["title"] == "Harbor Trust Bank chatbot"
    assert set(document["paths"]) == {
        "/v1/conversations",
        "/v1/conversations/{conversation_id}",
        "/v1/conversations/{conversation_id}/messages",
        "/v1/conversations/{conversation_id}/events",
        "/v1/conversations/{conversation_id}/customer",
        "/v1/conversations/{conversation_id}/messages/{seq}/rating",
        "/v1/models",
        "/v1/chat/completions",
        "/webhooks/rest/webhook",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    responses = document["paths"]["/v1/conversations/{conversation_id}/messages"]["post"]["responses"]
    assert set(responses) == {"200", "400", "401", "403", "404", "408", "413", "422", "429", "503"}
    assert set(responses["200"]["content"]) == {"application/json", "text/event-stream"}
    assert set(responses["422"]["content"]) == {"application/problem+json"}


def test_the_documents_need_no_other_site(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert "//" not in address
        assert client.get(f"/{address}").status_code == 200
