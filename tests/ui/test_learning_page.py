"""Retraining, its report, promotion and rollback, from the page."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect

from chatbot.bot import Chatbot
from chatbot.learning import Learning
from dialog_policy.policy import load_policy
from dialog_policy.registry import from_folder, install_shipped
from dialog_policy.simulation import SimulationConfig, simulate
from domains.schema import Pack
from storage.audit import entries
from tests.dialog_policy.conftest import MakeEnv
from tests.dialog_policy.conftest import make_env as make_env
from tests.shipped import SETTINGS
from tests.ui.conftest import PATIENCE_MS
from tests.ui.desk import desk_bot, hire, new_page, press, sign_in
from tests.ui.test_accessibility import grave_faults
from ui.app import create_app_for

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)

TRAINING_MS = 20 * PATIENCE_MS


@pytest.fixture
def bot(tmp_path: Path, pack: Pack, make_env: MakeEnv) -> Chatbot:
    """With 120 conversations, and the shipped policy live."""
    bot = desk_bot(tmp_path, pack)
    install_shipped(bot.store.engine, *from_folder(SETTINGS.models / "policy", pack))
    live = load_policy(SETTINGS.models / "policy", pack)
    simulate(bot.store.engine, make_env(0.2), live, SimulationConfig(120, explore=0.5))
    hire(bot, "ana", "Ana Lindqvist", "supervisor")
    hire(bot, "ben", "Ben Okoro")
    return bot


@pytest.fixture
def url(bot: Chatbot, tmp_path: Path, serve: Callable[[FastAPI], str]) -> str:
    learning = Learning(bot.store.engine, bot.pack, tmp_path / "runs", {"policy": ["--trial"]})
    return serve(create_app_for(bot, learning=learning))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = new_page(browser, 1280, 1000)
    page.set_default_timeout(PATIENCE_MS)
    yield page
    page.context.close()


def statuses(page: Page) -> dict[str, str]:
    rows = page.locator("#learning tbody tr").all()
    return {row.locator("th").inner_text(): row.locator("td").first.inner_text() for row in rows}


def test_a_supervisor_retrains_reads_the_report_promotes_and_rolls_back(
    bot: Chatbot, url: str, page: Page
) -> None:
    sign_in(page, url, "ana", "/learning")
    assert statuses(page) == {"ppo-1": "live"}
    press(page, "Retrain the policy")
    expect(page.locator("#learning progress")).to_be_visible()
    expect(page.get_by_role("button", name="Retrain the NLU")).to_be_disabled()
    expect(page.locator("#learning")).to_contain_text("120 conversations read", timeout=TRAINING_MS)
    expect(page.locator(".jobs li")).to_contain_text("done", timeout=TRAINING_MS)
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Read the report").click()
    expect(opened.value.get_by_role("heading", level=1)).to_have_text("Retraining of ppo-1")
    opened.value.close()
    rows = page.locator("#learning tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first.locator("td").first).to_have_text("candidate")
    assert grave_faults(page) == []
    candidate = rows.first.locator("th").inner_text()
    press(page, "Promote")  # the judge had 48 conversations, and finds nothing better by them
    expect(page.locator(".toast-body")).to_contain_text("The judge's word on policy")
    page.get_by_label("Also where the judge did not find it better").check()
    page.get_by_label("Why").fill("to see it work")
    press(page, "Promote")
    expect(rows.first.locator("td").first).to_have_text("live")
    assert statuses(page) == {candidate: "live", "ppo-1": "retired"}
    press(page, "Roll back the last promotion")
    expect(rows.first.locator("td").first).to_have_text("rolled back")
    assert statuses(page) == {candidate: "rolled back", "ppo-1": "live"}
    done = [(entry.action, entry.actor) for entry in entries(bot.store.engine)]
    for action in ("learning.policy", "policies.live", "policies.withdraw"):
        assert (action, "staff ana") in done


def test_a_job_is_cancelled_from_the_page(url: str, page: Page) -> None:
    sign_in(page, url, "ana", "/learning")
    press(page, "Retrain the policy")
    press(page, "Cancel")
    expect(page.locator(".jobs li")).to_contain_text("cancelled: Cancelled by Ana Lindqvist")
    press(page, "Retrain the NLU")
    expect(page.locator(".toast-body")).to_contain_text("No correction is approved yet")


def test_agents_do_not_see_it(url: str, page: Page) -> None:
    sign_in(page, url, "ben")
    expect(page.get_by_role("link", name="Learning")).to_have_count(0)
    for path in ("/learning/", "/learning/reports/policy-20260101-000000"):
        assert page.request.get(f"{url}{path}").status == 403
