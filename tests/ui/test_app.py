"""The whole application without a browser."""

from uuid import uuid4

from fastapi.testclient import TestClient

from tests.stand_in_bot import StandInBot
from ui.app import create_app_for
from ui.chat import ChatPage


def test_the_api_and_its_documents_stay_reachable_beside_the_page(bot: StandInBot) -> None:
    with TestClient(create_app_for(bot)) as client:
        assert "Harbor Trust Bank" in client.get("/").text
        assert client.post("/v1/conversations").status_code == 201
        for path in ["/healthz", "/readyz", "/docs", "/openapi.json"]:
            assert client.get(path).status_code == 200


def test_the_page_swallows_no_error_of_the_api(bot: StandInBot) -> None:
    with TestClient(create_app_for(bot)) as client:
        for response in [client.get("/v1/nothing"), client.get("/v1/conversations")]:
            assert response.status_code == 404
            assert response.headers["content-type"] == "application/problem+json"


def test_nobody_can_leave_a_file_on_the_server(bot: StandInBot) -> None:
    with TestClient(create_app_for(bot)) as client:
        response = client.post("/gradio_api/upload", files={"files": b"some bytes"})
        assert response.status_code == 413


def test_two_sends_from_the_same_state_of_the_page_are_one_message(bot: StandInBot) -> None:
    page = ChatPage(bot)
    conversation_id = bot.start()
    nonce = uuid4()
    for _ in range(2):
        list(page.send_typed("hello", conversation_id, nonce))
    list(page.send_typed("hello", conversation_id, uuid4()))
    said = [message.text for message in bot.store.history(conversation_id) if message.author == "customer"]
    assert said == ["hello", "hello"]


def test_an_empty_message_is_not_sent(bot: StandInBot) -> None:
    list(ChatPage(bot).send_typed(" \n", bot.start(), uuid4()))
    assert bot.calls == []
