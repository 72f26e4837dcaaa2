"""The demo portal of the fictional bank, and whether everybody can use the chat."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from fastapi import FastAPI
from fastapi.testclient import TestClient
from playwright.sync_api import Page, expect

from chatbot.api import ApiConfig
from tests.stand_in_bot import CONFIRM, StandInBot
from tests.ui.conftest import PATIENCE_MS
from tests.ui.window import GREETING, expect_reply, said_by, send, visit
from ui.app import create_app_for

expect.set_options(timeout=PATIENCE_MS)


def serious(page: Page) -> list[str]:
    """What axe finds that keeps somebody from using the page, in its frames too."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.fixture
def portal(bot: StandInBot, page: Page, serve: Callable[[FastAPI], str]) -> Page:
    page.goto(f"{serve(create_app_for(bot))}/demo")
    return page


@pytest.mark.browser
def test_the_chat_goes_along_through_the_portal(portal: Page, bot: StandInBot) -> None:
    portal.get_by_role("button", name="Chat with us").click()
    frame = portal.frame_locator("deskmoe-chat iframe")
    expect(frame.locator("#chat [data-testid=bot]")).to_have_text(GREETING)
    frame.get_by_label("Your message").fill("transfer")
    frame.get_by_role("button", name="Send", exact=True).click()
    expect(frame.locator("#chat [data-testid=bot]").last).to_have_text(CONFIRM)
    portal.get_by_role("link", name="Accounts and fees").click()
    expect(portal.get_by_role("heading", level=1)).to_have_text("Accounts and fees")
    expect(frame.locator("#chat [data-testid=bot]").last).to_have_text(CONFIRM)


@pytest.mark.browser
def test_who_signs_in_to_the_portal_is_known_to_the_bot(portal: Page, bot: StandInBot) -> None:
    with portal.expect_response("**/customer"):
        portal.get_by_label("Signed in as").select_option("Dana Whitfield")
    assert list(bot.store.customers.values()) == ["H-1"]
    portal.get_by_label("Signed in as").select_option("nobody")
    portal.wait_for_timeout(500)
    portal.get_by_role("button", name="Chat with us").click()
    frame = portal.frame_locator("deskmoe-chat iframe")
    expect(frame.locator("#chat [data-testid=bot]")).to_have_text(GREETING)
    newest = list(bot.store.conversations)[-1]
    assert newest not in bot.store.customers


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 375])
def test_axe_finds_nothing_serious_in_portal_widget_and_chat(portal: Page, width: int) -> None:
    portal.set_viewport_size({"width": width, "height": 800})
    assert serious(portal) == []
    portal.get_by_role("button", name="Chat with us").click()
    frame = portal.frame_locator("deskmoe-chat iframe")
    expect(frame.locator("#chat [data-testid=bot]")).to_have_text(GREETING)
    portal.wait_for_timeout(400)
    assert serious(portal) == []


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_chat_page(
    bot: StandInBot, page: Page, serve: Callable[[FastAPI], str], scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    visit(page, serve(create_app_for(bot)))
    send(page, "transfer")
    expect_reply(page, CONFIRM)
    assert said_by("user", page).count() == 1
    assert serious(page) == []


def test_the_demo_can_be_left_out_and_leads_out_of_no_folder(bot: StandInBot) -> None:
    with TestClient(create_app_for(bot)) as client:
        assert "Harbor Trust Bank" in client.get("/demo").text
        for name in ("..%2fdomain.yaml", "domain.yaml", "%2e%2e/domain.yaml", "x.html"):
            assert client.get(f"/demo/{name}").status_code == 404
        assert client.post("/demo/identity", json={"customer": "' OR 1=1"}).status_code == 422
    with TestClient(create_app_for(bot, ApiConfig(demo=False))) as client:
        assert client.get("/demo").status_code == 404
        assert client.get("/widget/origins?site=demo").json() == {"origins": []}


@pytest.mark.browser
def test_the_api_can_be_tried_on_its_own_page(
    bot: StandInBot, page: Page, serve: Callable[[FastAPI], str]
) -> None:
    faults: list[str] = []
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    page.goto(f"{serve(create_app_for(bot))}/docs")
    operation = page.locator(".opblock", has_text="Start Conversation").first
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("201")
    assert len(bot.store.conversations) == 1
    assert faults == []
