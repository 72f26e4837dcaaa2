"""What the pages' headers allow."""

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from chatbot.api import ApiConfig
from chatbot.portal import Portal, Site
from tests.stand_in_bot import StandInBot
from ui.app import create_app_for

PORTAL = Portal({"shop": Site("shop", ("https://shop.example", "https://help.shop.example"))})


@pytest.fixture
def client(bot: StandInBot) -> Iterator[TestClient]:
    with TestClient(create_app_for(bot, ApiConfig(portal=PORTAL))) as client:
        yield client


def policy(client: TestClient, path: str) -> dict[str, str]:
    header = client.get(path).headers["content-security-policy"]
    return dict(part.strip().split(" ", 1) for part in header.split(";"))


def test_only_a_sites_own_origins_may_hold_its_chat_in_a_frame(client: TestClient) -> None:
    assert (
        policy(client, "/?site=shop")["frame-ancestors"] == "https://shop.example https://help.shop.example"
    )
    assert policy(client, "/?site=demo")["frame-ancestors"] == "'self'"
    for path in ("/", "/?site=unknown", "/?site=", "/docs", "/docs?site=shop", "/demo/index.html?site=shop"):
        assert policy(client, path)["frame-ancestors"] == "'none'"


def test_only_scripts_with_the_pages_nonce_run(client: TestClient) -> None:
    nonces = set()
    for path in ("/", "/docs", "/demo/index.html"):
        page = client.get(path)
        scripts = policy(client, path)["script-src"]
        assert "'unsafe-inline'" not in scripts
        (nonce,) = set(re.findall(r'<script nonce="([^"]+)"', page.text))
        assert f"'nonce-{nonce}'" in page.headers["content-security-policy"]
        nonces.add(nonce)
    assert len(nonces) == 3


def test_every_answer_says_that_its_type_is_not_to_be_guessed(client: TestClient) -> None:
    for path in ("/", "/healthz", "/v1/nothing", "/widget.js", "/demo/portal.js"):
        assert client.get(path).headers["x-content-type-options"] == "nosniff"


def test_the_frames_page_learns_whom_to_trust(client: TestClient) -> None:
    assert client.get("/widget/origins?site=shop").json() == {
        "origins": ["https://shop.example", "https://help.shop.example"]
    }
    assert client.get("/widget/origins?site=demo").json() == {"origins": ["http://testserver"]}
    assert client.get("/widget/origins?site=unknown").json() == {"origins": []}


def test_a_page_of_another_site_can_do_nothing_with_the_chat_page(
    client: TestClient, bot: StandInBot
) -> None:
    headers = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    for path in ("/gradio_api/queue/join", "/v1/conversations", "/demo/identity"):
        assert client.post(path, json={}, headers=headers).status_code == 403
    read = client.get("/gradio_api/info", headers=headers)
    assert "access-control-allow-origin" not in read.headers
