"""Who gets to the pages for staff, over plain HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from chatbot.bot import Chatbot
from domains.schema import Pack
from storage.staff import form_token, signed_in
from tests.ui.desk import PASSWORD, desk_bot, hire
from ui.app import create_app_for
from ui.guard import COOKIE

SITE = "https://bank.example"
OWN = {"origin": SITE}


@pytest.fixture
def bot(tmp_path: Path, pack: Pack) -> Chatbot:
    bot = desk_bot(tmp_path, pack)
    hire(bot, "ana", "Ana Lindqvist")
    return bot


@pytest.fixture
def client(bot: Chatbot) -> Iterator[TestClient]:
    with TestClient(create_app_for(bot), base_url=SITE, follow_redirects=False) as client:
        yield client


def enter(client: TestClient, headers: dict[str, str] = OWN, **fields: str) -> Response:
    form = {"account": "ana", "password": PASSWORD, **fields}
    return client.post("/sign-in", data=form, headers=headers)


def test_the_desk_sends_strangers_to_the_sign_in_and_its_machinery_refuses_them(client: TestClient) -> None:
    for path in ("/desk", "/desk/"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/desk")
    for path in ("/desk/config", "/desk/gradio_api/info", "/desk/gradio_api/queue/data", "/desk/theme.css"):
        assert client.get(path).status_code == 401
    for path in ("/desk/gradio_api/queue/join", "/desk/gradio_api/run/predict", "/desk/gradio_api/upload"):
        assert client.post(path, json={}, headers=OWN).status_code == 401


def test_signing_in_sets_a_cookie_that_scripts_and_other_sites_do_not_get(client: TestClient) -> None:
    answer = enter(client)
    assert (answer.status_code, answer.headers["location"]) == (303, "/desk/")
    parts = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")}
    assert {"httponly", "samesite=lax", "secure", "path=/"} <= parts
    assert "Desk" in client.get("/desk/").text


def test_without_https_the_cookie_works_too(bot: Chatbot) -> None:
    with TestClient(create_app_for(bot), base_url="http://127.0.0.1") as client:
        answer = enter(client, {"origin": "http://127.0.0.1"})
        assert "secure" not in answer.history[0].headers["set-cookie"].lower()
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {}, {"sec-fetch-site": "cross-site"}],
)
def test_no_other_site_can_act_in_the_name_of_staff(client: TestClient, headers: dict[str, str]) -> None:
    assert enter(client, headers).status_code == 403
    assert enter(client).status_code == 303
    for path in ("/sign-out", "/desk/gradio_api/queue/join", "/desk/gradio_api/upload"):
        assert client.post(path, headers=headers).status_code == 403
    assert client.get("/desk/").status_code == 200


def test_signing_out_needs_the_token_of_the_form(client: TestClient, bot: Chatbot) -> None:
    enter(client)
    token = client.cookies[COOKIE]
    assert client.post("/sign-out", data={"form": "guessed"}, headers=OWN).status_code == 403
    assert signed_in(bot.store.engine, token)
    assert client.post("/sign-out", data={"form": form_token(token)}, headers=OWN).status_code == 303
    assert signed_in(bot.store.engine, token) is None


@pytest.mark.parametrize(
    "after", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x"]
)
def test_the_sign_in_leads_to_our_own_pages_only(client: TestClient, after: str) -> None:
    assert after not in client.get("/sign-in", params={"next": after}).text
    assert enter(client, next=after).headers["location"] == "/desk/"


def test_what_is_typed_into_the_sign_in_is_shown_as_text(client: TestClient) -> None:
    answer = enter(client, account='"><script>alert(1)</script>')
    assert answer.status_code == 401
    assert "<script>" not in answer.text


def test_guessing_is_answered_with_429(client: TestClient) -> None:
    answers = [enter(client, password="wrong").status_code for _ in range(6)]
    assert answers == [401] * 5 + [429]
    assert enter(client).status_code == 429


@pytest.mark.parametrize("cookie", ["", "x", "' OR 1=1 --", "a" * 5000])
def test_a_made_up_session_is_none(client: TestClient, cookie: str) -> None:
    client.cookies.set(COOKIE, cookie)
    assert client.get("/desk/").status_code == 303


def test_no_other_site_can_frame_the_pages_for_staff(client: TestClient) -> None:
    enter(client)
    for path in ("/sign-in", "/desk/"):
        headers = client.get(path).headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"


def test_the_chat_page_is_still_for_everybody(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert "x-frame-options" not in answer.headers
