"""The whole product in a real browser: shipped models, real databases, money that moves."""

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.shipped import shipped_bot
from tests.ui.conftest import PATIENCE_MS, free_port, running
from tests.ui.window import said_by, send, suggestion
from ui.app import create_app_for

pytestmark = [pytest.mark.browser, pytest.mark.shipped]
expect.set_options(timeout=PATIENCE_MS)

SCREENSHOTS = os.environ.get("CHATBOT_SCREENSHOTS")
"""A folder for pictures of this conversation, such as docs/screenshots."""


def test_that_a_customer_moves_money_over_a_reload_and_a_restart(page: Page, tmp_path: Path) -> None:
    port = free_port()
    with running(create_app_for(shipped_bot(tmp_path)), port) as url:
        page.goto(url)
        expect(said_by("bot", page).first).to_contain_text("Marlow")
        keep(page, "chat-start")
        answer(page, "hi, i need to send $150 to 4400127324", "name")
        answer(page, "Dana Whitfield", "Social Security")
        page.reload()
        expect(said_by("user", page).last).to_have_text("Dana Whitfield")
        expect(said_by("bot", page).last).to_contain_text("Social Security")
        answer(page, "4821", "account number")
    with running(create_app_for(shipped_bot(tmp_path)), port) as url:
        page.goto(url)
        expect(said_by("user", page).last).to_have_text("4821")
        answer(page, "4400127316", r"\$150\.00")
        keep(page, "chat-confirm")
        suggestion(page, "Yes, go ahead").click()
        expect(said_by("bot", page).last).to_contain_text(re.compile(r"\$2,300\.00"))
        expect(said_by("bot", page).last).to_contain_text("?")  # the last words of the reply
        keep(page, "chat-done")
    bank = shipped_bot(tmp_path).backend
    assert bank.balance("4400127316") == 2_300_00  # type: ignore[attr-defined]
    assert bank.balance("4400127324") == 8_270_50  # type: ignore[attr-defined]


def answer(page: Page, text: str, pattern: str) -> None:
    """Send `text` and wait for the reply to it."""
    before = said_by("bot", page).count()
    send(page, text)
    expect(said_by("bot", page)).to_have_count(before + 1)
    expect(said_by("bot", page).last).to_contain_text(re.compile(pattern))
    expect(page.locator("#chat.typing")).to_have_count(0)
    page.wait_for_timeout(250)


def keep(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")
