"""The insights in a real browser."""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect

from chatbot.bot import Chatbot
from domains.schema import Pack
from tests.ui.conftest import PATIENCE_MS
from tests.ui.desk import TRANSFER, desk_bot, hand_over, hire, new_page, sign_in
from ui.app import create_app_for

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def bot(tmp_path: Path, pack: Pack) -> Chatbot:
    bot = desk_bot(tmp_path, pack)
    hire(bot, "ana", "Ana Lindqvist", "supervisor")
    hire(bot, "ben", "Ben Okoro")
    for _ in range(3):
        bot.reply(bot.start(), TRANSFER)
    hand_over(bot)
    return bot


@pytest.fixture
def url(bot: Chatbot, serve: Callable[[FastAPI], str]) -> str:
    return serve(create_app_for(bot))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = new_page(browser)
    page.set_default_timeout(PATIENCE_MS)
    yield page
    page.context.close()


def test_a_supervisor_sees_figures_and_charts_and_takes_them_along(url: str, page: Page) -> None:
    sign_in(page, url, "ana", "/insights")
    tiles = page.locator(".tiles div")
    expect(tiles.nth(0)).to_contain_text("4")
    expect(tiles.nth(1)).to_contain_text("75.0%")
    expect(page.locator("#insights svg, #insights canvas").first).to_be_visible()
    expect(page.locator("#insights table")).to_contain_text("rules")
    with page.expect_download() as download:
        page.get_by_text("Download as CSV").click()
    rows = list(csv.reader(Path(download.value.path()).read_text().splitlines()))
    assert rows[0] == ["kind", "name", "figure", "value"]
    assert ["intent", "transfer_money", "turns", "3"] in rows


def test_agents_see_neither_the_page_nor_the_file(url: str, page: Page) -> None:
    sign_in(page, url, "ben")
    expect(page.get_by_role("link", name="Insights")).to_have_count(0)
    for path in ("/insights/", "/insights/insights.csv"):
        answer = page.request.get(f"{url}{path}")
        assert answer.status == 403
