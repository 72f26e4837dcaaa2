"""Every page on a screen of 375 points, and every control of it by the Tab key alone."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from chatbot.bot import Chatbot
from chatbot.learning import Learning
from dialog_policy.registry import from_folder, install_shipped
from domains.schema import Pack
from tests.chatbot.test_review import HEARD, SECRET, play
from tests.hearing import ScriptedParser
from tests.shipped import SETTINGS
from tests.ui.conftest import PATIENCE_MS, free_port, running
from tests.ui.desk import SCRIPT, TRANSFER, cases, desk_bot, hand_over, hire, new_page, press, sign_in
from tests.ui.test_accessibility import grave_faults
from tests.ui.test_widget import bubble, frame
from ui.app import create_app_for

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)

WIDTH = 375

COUNT_CONTROLS = """() => {
    const seen = (one) => one.checkVisibility({visibilityProperty: true, opacityProperty: true})
        && one.getBoundingClientRect().width > 1;
    const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary")];
    const controls = all.filter((one) => seen(one) && !one.disabled && one.tabIndex >= 0);
    controls.forEach((one, number) => { one.dataset.control = number; });
    document.activeElement?.blur();
    return controls.map((one) => one.outerHTML.slice(0, 160));
}"""
FOCUSED = "() => document.activeElement?.dataset?.control ?? null"
CUT_OFF = """(width) => {
    const scrolls = (one) => one && (["auto", "scroll"].includes(getComputedStyle(one).overflowX)
        || scrolls(one.parentElement));
    return [...document.querySelectorAll("[data-control]")].filter((one) => {
        const box = one.getBoundingClientRect();
        return (box.left < -1 || box.right > width + 1) && !scrolls(one.parentElement);
    }).map((one) => one.outerHTML.slice(0, 160));
}"""


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory, pack: Pack) -> Chatbot:
    bot = desk_bot(tmp_path_factory.mktemp("small"), pack)
    bot.parser = ScriptedParser(*SCRIPT, *HEARD)  # type: ignore[assignment]
    install_shipped(bot.store.engine, *from_folder(SETTINGS.models / "policy", pack))
    hire(bot, "ana", "Ana Lindqvist", "supervisor")
    play(bot, "weather?", "hm balance maybe", SECRET)
    hand_over(bot, TRANSFER)
    return bot


@pytest.fixture(scope="module")
def url(bot: Chatbot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    runs: Path = tmp_path_factory.mktemp("runs")
    with ExitStack() as servers:
        app = create_app_for(bot, learning=Learning(bot.store.engine, bot.pack, runs))
        yield servers.enter_context(running(app, free_port()))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = new_page(browser, WIDTH, 740)
    page.set_default_timeout(PATIENCE_MS)
    yield page
    page.context.close()


def expect_usable(page: Page) -> None:
    """Nothing lies beside the screen, and Tab comes to every control."""
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH
    controls = page.evaluate(COUNT_CONTROLS)
    assert controls
    assert page.evaluate(CUT_OFF, WIDTH) == []
    missing = set(range(len(controls)))
    for _ in range(2 * len(controls) + 30):
        page.keyboard.press("Tab")
        reached = page.evaluate(FOCUSED)
        if reached is not None:
            missing.discard(int(reached))
        if not missing:
            break
    assert [controls[number] for number in sorted(missing)] == []


def test_the_chat(url: str, page: Page) -> None:
    page.goto(url)
    expect(page.locator("#suggestions button").first).to_be_visible()
    expect_usable(page)


def test_the_widget(url: str, page: Page) -> None:
    page.goto(f"{url}/demo")
    expect(bubble(page)).to_be_visible()
    expect_usable(page)
    bubble(page).focus()
    page.keyboard.press("Enter")
    message = frame(page).get_by_label("Your message")
    expect(message).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH
    inner = next(inner for inner in page.frames if "site=" in inner.url)
    assert inner.evaluate("document.documentElement.scrollWidth") <= WIDTH


def test_the_sign_in(url: str, page: Page) -> None:
    page.goto(f"{url}/sign-in")
    expect_usable(page)


def test_the_desk(url: str, page: Page, bot: Chatbot) -> None:
    conversation = hand_over(bot, TRANSFER)
    sign_in(page, url, "ana")
    expect(page.locator(f'[data-id="{conversation}"]')).to_be_visible()
    expect_usable(page)
    page.locator(f'[data-id="{conversation}"]').click()
    press(page, "Claim")
    expect(page.get_by_label("Your answer")).to_be_visible()
    expect_usable(page)


def test_the_review(url: str, page: Page) -> None:
    sign_in(page, url, "ana", "/review")
    expect(cases(page).first).to_be_visible()
    expect_usable(page)
    cases(page).first.focus()
    page.keyboard.press("Enter")
    why = page.get_by_role("button", name="Why did it do that?")
    expect(why).to_be_visible()
    why.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".why")).to_be_visible()
    expect_usable(page)


def test_the_insights(url: str, page: Page) -> None:
    sign_in(page, url, "ana", "/insights")
    expect(page.locator("#insights svg, #insights canvas").first).to_be_visible()
    expect_usable(page)
    period = page.get_by_label("Period", exact=True)
    period.focus()
    option = page.get_by_role("option", name="7 days")
    expect(option).to_be_visible()
    page.keyboard.press("ArrowUp")
    expect(option).to_have_class(re.compile(r"\bactive\b"))
    page.keyboard.press("Enter")
    expect(page.locator("#csv a")).not_to_have_attribute("href", "/insights/insights.csv?days=30&site=")


def test_the_learning_page(url: str, page: Page) -> None:
    sign_in(page, url, "ana", "/learning")
    expect(page.locator("#learning tbody tr")).to_have_count(1)
    expect_usable(page)
    press(page, "Roll back the last promotion")
    expect(page.locator(".toast-body")).to_be_visible()


@pytest.mark.parametrize("width", [1280, WIDTH])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_grave_on_the_learning_page(url: str, page: Page, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    sign_in(page, url, "ana", "/learning")
    expect(page.locator("#learning tbody tr")).to_have_count(1)
    assert grave_faults(page) == []
