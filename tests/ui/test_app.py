"""The whole application without a browser."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from chatbot.access import Access, Session
from chatbot.workers import Workers
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
        nothing, wrong_method = client.get("/v1/nothing"), client.get("/v1/conversations")
        assert (nothing.status_code, wrong_method.status_code) == (404, 405)
        assert wrong_method.headers["allow"] == "POST"
        for response in (nothing, wrong_method):
            assert response.headers["content-type"] == "application/problem+json"


def test_nobody_can_leave_a_file_on_the_server(bot: StandInBot) -> None:
    with TestClient(create_app_for(bot)) as client:
        response = client.post("/gradio_api/upload", files={"files": b"some bytes"})
        assert response.status_code == 413


@pytest.fixture
def chat_page(bot: StandInBot) -> ChatPage:
    return ChatPage(bot, Access(bot, Workers(), lambda text: None, lambda address: address))


def by(address: str) -> Any:
    """What Gradio tells of the browser that did something."""
    return SimpleNamespace(client=SimpleNamespace(host=address), query_params={})


def said(bot: StandInBot, session: str) -> list[str]:
    history = bot.store.history(Session.read(session).conversation_id)
    return [message.text for message in history if message.author == "customer"]


def test_two_sends_from_the_same_state_of_the_page_are_one_message(
    bot: StandInBot, chat_page: ChatPage
) -> None:
    session, nonce = chat_page.load(None, by("visitor"))[chat_page.session], uuid4()
    for _ in range(2):
        list(chat_page.send_typed("hello", session, nonce, by("visitor")))
    list(chat_page.send_typed("hello", session, uuid4(), by("visitor")))
    assert said(bot, session) == ["hello", "hello"]


def test_an_empty_message_is_not_sent(bot: StandInBot, chat_page: ChatPage) -> None:
    list(chat_page.send_typed(" \n", None, uuid4(), by("visitor")))
    assert bot.calls == []


def test_a_session_with_another_token_shows_nothing_of_the_conversation(
    bot: StandInBot, chat_page: ChatPage
) -> None:
    session = chat_page.load(None, by("visitor"))[chat_page.session]
    list(chat_page.send_typed("hello", session, uuid4(), by("visitor")))
    stolen = f"{Session.read(session).conversation_id}.guessed"
    mine = chat_page.load(stolen, by("thief"))[chat_page.session]
    assert Session.read(mine).conversation_id != Session.read(session).conversation_id
    list(chat_page.send_typed("give me that", stolen, uuid4(), by("thief")))
    assert said(bot, session) == ["hello"]
