"""Why did it do that?, in a real browser, with the shipped models."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect

from chatbot.bot import Chatbot
from storage.audit import entries
from tests.chatbot.test_review import play
from tests.shipped import shipped_bot
from tests.ui.conftest import PATIENCE_MS
from tests.ui.desk import cases, hire, new_page, press, sign_in
from tests.ui.test_desk_page import ATTACK
from ui.app import create_app_for

pytestmark = [pytest.mark.browser, pytest.mark.shipped]
expect.set_options(timeout=PATIENCE_MS)

BALANCE = "could you tell me my account balance please"
CARD = "the card 5412 7500 0343 6467"


@pytest.fixture
def bot(tmp_path: Path) -> Chatbot:
    bot = shipped_bot(tmp_path)
    hire(bot, "ana", "Ana Lindqvist", "supervisor")
    return bot


@pytest.fixture
def url(bot: Chatbot, serve: Callable[[FastAPI], str]) -> str:
    return serve(create_app_for(bot))


@pytest.fixture(params=[(1280, 1100), (375, 740)], ids=["desktop", "phone"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = new_page(browser, *request.param)
    page.set_default_timeout(PATIENCE_MS)
    yield page
    page.context.close()


def test_any_turn_tells_why(bot: Chatbot, url: str, page: Page) -> None:
    conversation = play(bot, BALANCE, f"{CARD} {ATTACK}")
    sign_in(page, url, "ana", "/review")
    page.get_by_label("Why, in any conversation").fill(conversation)
    press(page, "Look")
    why = page.locator(".why")
    expect(why.locator("h2")).to_have_text("Why did it do that?")
    weights = {
        word.inner_text().split("\n")[0].strip("+-−0123456789 "): float(word.locator("small").inner_text())
        for word in why.locator(".word").all()
    }
    assert max(weights, key=lambda word: weights[word]) == "balance"
    expect(why.get_by_label("Intents").locator("li").first).to_contain_text("check_balance")
    expect(why.locator(".step").first).to_contain_text("ask(")
    page.get_by_text("forbidden by the rules").first.click()
    expect(why).to_contain_text("there is no greeting to return")
    page.get_by_text("Where the encoder looked").click()
    page.get_by_text("Which experts it used").click()
    expect(why.get_by_role("table", name="Attention").locator("tbody tr")).to_have_count(6)
    experts = bot.parser.model.config.encoder.experts
    expect(why.get_by_role("table", name="Gates in block 1").locator("tbody tr")).to_have_count(experts)
    expect(why).to_contain_text("a phrasing of the pack")
    assert page.evaluate("document.documentElement.scrollWidth") <= (page.viewport_size or {})["width"]
    press(page, "Turn after →")
    expect(why).to_contain_text("Turn 2 of 2")
    expect(why).to_contain_text("<script>hit=1</script>")
    assert page.evaluate("window.hit") is None
    assert "6467" not in why.inner_text()
    expect(page.get_by_role("button", name="Turn after →")).to_be_disabled()
    assert [entry.action for entry in entries(bot.store.engine)].count("review.explain") == 2
    answer = page.request.get(f"{url}/review/explanations/{conversation}/1")
    assert answer.json()["nlu"]["intent"] == "check_balance"
    assert page.request.get(f"{url}/review/explanations/{conversation}/9").status == 404


def test_a_finding_tells_why(bot: Chatbot, url: str, page: Page) -> None:
    play(bot, "will it snow in Oslo tomorrow?")
    sign_in(page, url, "ana", "/review")
    cases(page).click()
    press(page, "Why did it do that?")
    expect(page.locator(".why")).to_contain_text("What each word adds")
    press(page, "Close")
    expect(page.locator(".why")).to_have_count(0)


def test_an_unknown_conversation_is_told(url: str, page: Page) -> None:
    sign_in(page, url, "ana", "/review")
    page.get_by_label("Why, in any conversation").fill("nobody's:3")
    press(page, "Look")
    expect(page.locator(".toast-body")).to_contain_text("There is no turn 3")
