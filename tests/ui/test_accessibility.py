"""axe-core on every page, on a desk's screen and on a telephone, in light and in dark."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from chatbot.bot import Chatbot
from domains.schema import Pack
from tests.chatbot.test_review import HEARD, SECRET, play
from tests.hearing import ScriptedParser
from tests.ui.conftest import PATIENCE_MS, free_port, running
from tests.ui.desk import SCRIPT, TRANSFER, cases, desk_bot, hand_over, hire, press, sign_in
from tests.ui.test_widget import bubble, frame
from tests.ui.window import send
from ui.app import create_app_for

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)

GRAVE = ("serious", "critical")
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 375, "height": 740}}


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory, pack: Pack) -> Chatbot:
    """With a conversation that waits, one that a colleague has, and turns to review."""
    bot = desk_bot(tmp_path_factory.mktemp("accessibility"), pack)
    bot.parser = ScriptedParser(*SCRIPT, *HEARD)  # type: ignore[assignment]
    hire(bot, "ana", "Ana Lindqvist", "supervisor")
    play(bot, "weather?", "hm balance maybe", SECRET)
    hand_over(bot, TRANSFER)
    return bot


@pytest.fixture(scope="module")
def servers() -> Iterator[ExitStack]:
    with ExitStack() as servers:
        yield servers


@pytest.fixture(scope="module")
def url(bot: Chatbot, servers: ExitStack) -> str:
    return servers.enter_context(running(create_app_for(bot), free_port()))


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> dict[str, int]:
    return SIZES[request.param]


@pytest.fixture(params=["light", "dark"])
def page(browser: Browser, size: dict[str, int], request: pytest.FixtureRequest) -> Iterator[Page]:
    context = browser.new_context(viewport=size, color_scheme=request.param)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def grave_faults(page: Any) -> list[str]:
    """What axe-core finds in a page or a frame: rule, element, reason."""
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {node['target']}: {node['failureSummary']}: {node['html'][:300]}"
        for fault in found
        if fault["impact"] in GRAVE
        for node in fault["nodes"]
    ]


def test_the_chat(url: str, page: Page) -> None:
    page.goto(url)
    expect(page.locator("#chat [data-testid=bot]")).to_be_visible()
    expect(page.locator("#suggestions button").first).to_be_visible()
    assert grave_faults(page) == []
    send(page, TRANSFER)
    expect(page.locator("#chat.typing")).to_have_count(0)
    expect(page.locator("#chat [data-testid=bot]")).to_have_count(2)
    assert grave_faults(page) == []


def test_the_widget_and_the_page_around_it(url: str, page: Page) -> None:
    page.goto(f"{url}/demo")
    expect(bubble(page)).to_be_visible()
    assert grave_faults(page) == []
    bubble(page).click()
    expect(frame(page).locator("#chat [data-testid=bot]")).to_be_visible()
    assert grave_faults(page) == []
    inner = next(inner for inner in page.frames if "site=" in inner.url)
    assert grave_faults(inner) == []


def test_the_sign_in(url: str, page: Page) -> None:
    page.goto(f"{url}/sign-in")
    assert grave_faults(page) == []
    page.get_by_label("Account").fill("nobody")
    page.get_by_label("Password").fill("not a password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert grave_faults(page) == []


def test_the_desk(url: str, page: Page, bot: Chatbot) -> None:
    conversation = hand_over(bot, TRANSFER)
    sign_in(page, url, "ana")
    expect(page.locator(f'[data-id="{conversation}"]')).to_be_visible()
    assert grave_faults(page) == []
    page.locator(f'[data-id="{conversation}"]').click()
    press(page, "Claim")
    expect(page.get_by_label("Your answer")).to_be_visible()
    assert grave_faults(page) == []


def test_the_review(url: str, page: Page) -> None:
    sign_in(page, url, "ana", "/review")
    expect(cases(page).first).to_be_visible()
    assert grave_faults(page) == []
    cases(page).first.click()
    expect(page.get_by_role("button", name="Approve", exact=True)).to_be_visible()
    press(page, "Why did it do that?")
    expect(page.locator(".why")).to_be_visible()
    for folded in page.locator(".why summary").all():
        folded.click()
    assert grave_faults(page) == []


def test_the_insights(url: str, page: Page) -> None:
    sign_in(page, url, "ana", "/insights")
    expect(page.locator("#insights svg, #insights canvas").first).to_be_visible()
    assert grave_faults(page) == []
