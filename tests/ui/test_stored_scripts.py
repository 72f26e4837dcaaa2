"""What others wrote is text on the pages that show it: names of policies, of sites, of staff, of customers.

Messages are tried on each page in that page's own tests.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect

from chatbot.bot import Chatbot
from chatbot.learning import Learning
from dialog_policy.registry import from_folder, install_shipped
from domains.schema import Pack
from storage.policies import add_policy
from storage.records import Owner
from tests.shipped import SETTINGS
from tests.ui.conftest import PATIENCE_MS
from tests.ui.desk import PERSON, cases, desk_bot, hire, new_page, sign_in
from ui.app import create_app_for

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)

ATTACK = '<img src=x onerror="hit=1"><script>hit=1</script>'


@pytest.fixture
def bot(tmp_path: Path, pack: Pack) -> Chatbot:
    bot = desk_bot(tmp_path, pack)
    policy, weights = from_folder(SETTINGS.models / "policy", pack)
    install_shipped(bot.store.engine, policy, weights)
    named = replace(policy, version=ATTACK, figures={"verdict": ATTACK})
    add_policy(bot.store.engine, named, weights + b" ", "test")
    hire(bot, "ana", ATTACK, "supervisor")
    conversation = bot.start(Owner(site=ATTACK))
    bot.recognise(conversation, "1")
    bot.reply(conversation, PERSON)
    return bot


@pytest.fixture
def url(bot: Chatbot, tmp_path: Path, serve: Callable[[FastAPI], str]) -> str:
    learning = Learning(bot.store.engine, bot.pack, tmp_path / "runs", {})
    return serve(create_app_for(bot, learning=learning))


def test_names_of_all_kinds_are_text_on_every_page_for_staff(url: str, browser: Browser) -> None:
    page = new_page(browser)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for path in ("/desk", "/review", "/insights", "/learning"):
        if path == "/desk":
            sign_in(page, url, "ana", path)
        page.goto(f"{url}{path}/")
        expect(page.locator("body")).to_contain_text(ATTACK)
        harmless(page)
    page.goto(f"{url}/desk/")
    cases(page).click()
    expect(page.locator("body")).to_contain_text("Claim")
    harmless(page)
    assert errors == []
    page.context.close()


def test_a_policys_name_is_text_where_it_is_chosen(url: str, browser: Browser) -> None:
    page = sign_in(new_page(browser), url, "ana", "/learning")
    expect(page.locator("#learning tbody th").first).to_have_text(ATTACK)
    page.get_by_label("Version", exact=True).click()
    expect(page.get_by_role("option", name=ATTACK)).to_be_visible()
    harmless(page)
    page.context.close()


def harmless(page: Page) -> None:
    assert page.evaluate("window.hit") is None
    assert page.locator("img[src=x]").count() == 0
