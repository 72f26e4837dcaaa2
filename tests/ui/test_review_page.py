"""The review in a real browser."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect

from chatbot.bot import Chatbot
from domains.schema import Pack
from storage.review import approved, find
from tests.chatbot.test_review import HEARD, SECRET, play
from tests.hearing import ScriptedParser
from tests.ui.conftest import PATIENCE_MS
from tests.ui.desk import cases, desk_bot, hire, new_page, press, sign_in
from tests.ui.test_desk_page import ATTACK
from ui.app import create_app_for

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def bot(tmp_path: Path, pack: Pack) -> Chatbot:
    bot = desk_bot(tmp_path, pack)
    bot.parser = ScriptedParser(*HEARD)  # type: ignore[assignment]
    hire(bot, "ana", "Ana Lindqvist", "supervisor")
    hire(bot, "ben", "Ben Okoro")
    return bot


@pytest.fixture
def url(bot: Chatbot, serve: Callable[[FastAPI], str]) -> str:
    return serve(create_app_for(bot))


@pytest.fixture(params=[(1280, 900), (375, 740)], ids=["desktop", "phone"])
def window(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = new_page(browser, *request.param)
    page.set_default_timeout(PATIENCE_MS)
    yield page
    page.context.close()


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=option).first.click()


def test_a_supervisor_corrects_a_turn_which_becomes_training_data(
    bot: Chatbot, url: str, window: Page
) -> None:
    play(bot, "weather?", "hm balance maybe")
    page = sign_in(window, url, "ana", "/review")
    expect(cases(page)).to_have_count(2)
    choose(page, "Found because of", "In doubt")
    expect(cases(page)).to_have_count(1)
    cases(page).click()
    expect(page.locator(".scores")).to_contain_text("check_balance")
    choose(page, "Intent", "age_limit")
    page.get_by_label("Message").fill("am I [21](charge_amount) enough?")
    choose(page, "The bot should have", "answer")
    press(page, "Approve")
    expect(page.get_by_label("Message")).to_be_hidden()
    (learnt,) = approved(bot.store.engine, "banking")
    assert (learnt.text, learnt.intent, learnt.action) == ("am I 21 enough?", "age_limit", "answer")
    assert [label.slot for label in learnt.entities] == ["charge_amount"]
    with page.expect_download() as download:
        page.get_by_text("Approved turns").click()
    assert '"intent": "age_limit"' in Path(download.value.path()).read_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= (page.viewport_size or {})["width"]


def test_an_agent_saves_and_cannot_approve(bot: Chatbot, url: str, browser: Browser) -> None:
    play(bot, "weather?")
    page = sign_in(new_page(browser), url, "ben", "/review")
    cases(page).click()
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_hidden()
    press(page, "Save")
    expect(cases(page)).to_have_count(0)
    (finding,) = find(bot.store.engine, "banking", status="corrected")
    assert finding.correction is not None
    assert finding.correction.by == "Ben Okoro"
    page.context.close()


def test_a_slot_that_does_not_exist_is_told_and_nothing_is_lost(
    bot: Chatbot, url: str, browser: Browser
) -> None:
    play(bot, "weather?")
    page = sign_in(new_page(browser), url, "ana", "/review")
    cases(page).click()
    page.get_by_label("Message").fill("is it [warm](heat)?")
    press(page, "Approve")
    expect(page.locator(".toast-body")).to_contain_text("There is no slot 'heat'")
    expect(page.get_by_label("Message")).to_have_value("is it [warm](heat)?")
    assert list(approved(bot.store.engine, "banking")) == []
    page.context.close()


def test_pages_of_turns_can_be_turned(bot: Chatbot, url: str, browser: Browser) -> None:
    for _ in range(23):
        play(bot, "weather?")
    page = sign_in(new_page(browser), url, "ana", "/review")
    expect(cases(page)).to_have_count(20)
    press(page, "Older →")
    expect(cases(page)).to_have_count(3)
    press(page, "← Newer")
    expect(cases(page)).to_have_count(20)
    page.context.close()


def test_nothing_that_a_customer_wrote_runs_and_nothing_that_identifies_is_shown(
    bot: Chatbot, url: str, browser: Browser
) -> None:
    play(bot, SECRET)
    bot.parser.heard[ATTACK] = replace(HEARD[1], text=ATTACK)  # type: ignore[attr-defined]
    play(bot, ATTACK)
    page = sign_in(new_page(browser), url, "ana", "/review")
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    expect(cases(page).first).to_contain_text("<script>hit=1</script>")
    cases(page).first.click()
    expect(page.locator(".talk")).to_contain_text(ATTACK)
    cases(page).last.click()
    expect(page.locator(".talk")).to_contain_text("I am")
    shown = page.locator("#desk").inner_text() + page.get_by_label("Message").input_value()
    for secret in ("0343", "6467", "dana@example.org", "99887766"):
        assert secret not in shown
    assert page.evaluate("window.hit") is None
    assert errors == []
    page.context.close()
