"""The widget on a page of another site, in a browser that lets no third party keep anything."""

import functools
import json
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import BrowserContext, FrameLocator, Locator, Page, Playwright, expect
from pydantic import SecretStr

from chatbot.api import ApiConfig
from chatbot.identity import sign_identity
from chatbot.portal import Portal, Site
from tests.stand_in_bot import CONFIRM, StandInBot
from tests.ui.conftest import CHROMIUM_OPTIONS, PATIENCE_MS, chromium_path
from tests.ui.window import GREETING
from ui.app import create_app_for

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)

HOST_PAGE = """<!doctype html><html lang="en"><title>{title}</title><body>
<h1>{title}</h1><a href="second.html">Second page</a> <button id="after">After</button>
<script src="{bot}/widget.js" data-site="{site}"></script>
<script>
    window.heard = [];
    for (const name of ["ready", "message", "handoff", "unread"])
        deskmoe.on(name, (detail) => heard.push([name, detail]));
</script></body></html>"""
NO_THIRD_PARTIES = {"profile": {"cookie_controls_mode": 1, "block_third_party_cookies": True}}
"""Chromium's settings for "Block third-party cookies"; its storage is blocked with them."""
SECRET = SecretStr("a secret of the shop that is long enough")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    return folder


@pytest.fixture
def origin(folder: Path) -> Iterator[str]:
    """A web server of another site: the bot is 127.0.0.1, this is localhost."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def shop(origin: str) -> Site:
    return Site("shop", (origin,), SECRET)


@pytest.fixture
def url(bot: StandInBot, shop: Site, folder: Path, serve: Callable[[FastAPI], str]) -> str:
    """The bot's server; the site's two pages stand in `folder`."""
    url = serve(create_app_for(bot, ApiConfig(portal=Portal({"shop": shop}))))
    for name, site in (("index", "shop"), ("second", "shop"), ("strange", "demo")):
        page = HOST_PAGE.format(title=name, bot=url, site=site)
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return url


@pytest.fixture
def strict(tmp_path: Path, playwright_driver: Playwright) -> Iterator[BrowserContext]:
    """A browser in which third parties may keep nothing."""
    profile = tmp_path / "profile"
    (profile / "Default").mkdir(parents=True)
    (profile / "Default" / "Preferences").write_text(json.dumps(NO_THIRD_PARTIES), encoding="utf-8")
    context = playwright_driver.chromium.launch_persistent_context(
        profile, executable_path=chromium_path(), headless=True, args=CHROMIUM_OPTIONS
    )
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(strict: BrowserContext, origin: str, url: str) -> Page:
    page = strict.new_page()
    page.goto(f"{origin}/index.html")
    return page


def bubble(page: Page) -> Locator:
    return page.locator("deskmoe-chat .bubble")


def frame(page: Page) -> FrameLocator:
    return page.frame_locator("deskmoe-chat iframe")


def said_by(role: str, page: Page) -> Locator:
    return frame(page).locator(f"#chat [data-testid={role}]")


def ask(page: Page, text: str, answer: str) -> None:
    frame(page).get_by_label("Your message").fill(text)
    frame(page).get_by_role("button", name="Send", exact=True).click()
    expect(said_by("bot", page).last).to_have_text(answer)
    expect(frame(page).locator("#chat.typing")).to_have_count(0)
    page.wait_for_timeout(400)


def test_a_conversation_goes_on_over_a_reload_and_a_second_page_without_third_party_storage(
    page: Page, bot: StandInBot, url: str
) -> None:
    bubble(page).click()
    expect(said_by("bot", page)).to_have_text(GREETING)
    ask(page, "transfer", CONFIRM)
    page.reload()
    expect(said_by("bot", page).last).to_have_text(CONFIRM)  # and the chat is still open
    page.get_by_role("link", name="Second page").click()
    expect(page).to_have_title("second")
    expect(said_by("user", page)).to_have_text("transfer")
    ask(page, "hello", "Is there anything else?")
    (conversation,) = bot.store.conversations.values()
    assert [message.text for message in conversation if message.author == "customer"] == ["transfer", "hello"]
    inner = next(frame for frame in page.frames if frame.url.startswith(url))
    refused = "() => { try { localStorage.length; return false } catch { return true } }"
    assert inner.evaluate(refused), "the browser lets third parties keep something, so this shows nothing"
    assert inner.url == f"{url}/?site=shop"
    assert page.context.cookies() == []


def test_the_page_is_told_what_happens(page: Page, bot: StandInBot) -> None:
    bubble(page).click()
    expect(said_by("bot", page)).to_have_text(GREETING)
    ask(page, "I would like to talk to a person", "I have passed you on to a colleague.")
    page.wait_for_function("heard.some(([name]) => name === 'handoff')")
    heard = page.evaluate("heard")
    assert heard[0][0] == "ready"
    said = [(detail["author"], detail["text"]) for name, detail in heard if name == "message"]
    assert said == [
        ("customer", "I would like to talk to a person"),
        ("bot", "I have passed you on to a colleague."),
    ]
    page.evaluate("deskmoe.close()")
    (conversation,) = bot.store.conversations
    bot.store.add(conversation, "agent", "Good morning, this is Jo.")
    page.wait_for_function("heard.some(([name, count]) => name === 'unread' && count === 1)")
    expect(bubble(page)).to_have_accessible_name("Open chat, 1 new messages")
    bubble(page).click()
    expect(said_by("bot", page).last).to_have_text("Good morning, this is Jo.")
    expect(bubble(page)).to_have_accessible_name("Close chat")


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    page.get_by_role("button", name="After").focus()
    page.keyboard.press("Tab")
    expect(bubble(page)).to_be_focused()
    page.keyboard.press("Enter")
    expect(frame(page).get_by_label("Your message")).to_be_focused()
    page.keyboard.type("transfer")
    page.keyboard.press("Enter")
    expect(said_by("bot", page).last).to_have_text(CONFIRM)
    page.keyboard.press("Escape")
    expect(page.locator("deskmoe-chat .panel")).to_be_hidden()
    expect(bubble(page)).to_be_focused()


def test_a_frame_that_loads_in_the_background_leaves_the_focus_alone(page: Page) -> None:
    page.get_by_role("button", name="After").focus()
    page.wait_for_function("heard.some(([name]) => name === 'ready')")
    expect(page.get_by_role("button", name="After")).to_be_focused()


def test_on_a_small_screen_the_chat_covers_the_page_and_keeps_the_focus(page: Page) -> None:
    page.set_viewport_size({"width": 375, "height": 700})
    bubble(page).click()
    expect(frame(page).get_by_label("Your message")).to_be_focused()
    box = page.locator("deskmoe-chat .panel").bounding_box()
    assert box == {"x": 0, "y": 0, "width": 375, "height": 700}
    expect(page.locator("deskmoe-chat [role=dialog]")).to_have_attribute("aria-modal", "true")
    for _ in range(12):
        page.keyboard.press("Tab")
        # The frame has a process of its own: the focus travels through the browser, for a moment.
        page.wait_for_function("document.activeElement.localName === 'deskmoe-chat'")
    page.get_by_role("button", name="Close chat").click()
    expect(page.locator("deskmoe-chat .panel")).to_be_hidden()


def test_a_customer_who_is_signed_in_is_known_and_another_gets_another_conversation(
    page: Page, bot: StandInBot, shop: Site
) -> None:
    bubble(page).click()
    page.evaluate("token => deskmoe.setCustomer(token)", sign_identity("dana", shop))
    assert list(bot.store.customers.values()) == ["dana"]
    page.evaluate("token => deskmoe.setCustomer(token)", sign_identity("omar", shop))
    assert sorted(bot.store.customers.values()) == ["dana", "omar"]
    assert len(bot.store.conversations) == 2
    problem = page.evaluate("token => deskmoe.setCustomer(token).catch((error) => error.message)", "forged")
    assert "refused" in problem


def test_reset_forgets_the_conversation(page: Page, bot: StandInBot) -> None:
    bubble(page).click()
    ask(page, "transfer", CONFIRM)
    page.evaluate("deskmoe.reset()")
    expect(said_by("user", page)).to_have_count(0)
    expect(said_by("bot", page)).to_have_text(GREETING)
    page.wait_for_function("Object.values(localStorage).some((kept) => JSON.parse(kept).session)")
    page.wait_for_timeout(400)  # another process of the browser may serve the reload: it has to hear of it
    page.reload()
    expect(said_by("bot", page)).to_have_text(GREETING)
    assert len(bot.store.conversations) == 2


def test_the_locale_changes_the_words_of_the_widget(page: Page) -> None:
    page.evaluate("deskmoe.setLocale('de-CH')")
    expect(bubble(page)).to_have_accessible_name("Chat öffnen")


def test_a_site_that_is_not_listed_can_neither_frame_nor_call_the_chat(
    strict: BrowserContext, origin: str, url: str, bot: StandInBot
) -> None:
    page = strict.new_page()
    page.goto(f"{origin}/strange.html")  # names the demo's site, where this origin is not listed
    with page.expect_event("console", lambda line: "frame-ancestors" in line.text):
        page.evaluate("deskmoe.open()")
    assert page.evaluate("heard") == []
    elsewhere = strict.new_page()
    elsewhere.goto(url)  # whose own pages may call; one of a third origin may not
    expect(elsewhere.locator("#chat [data-testid=bot]").first).to_have_text(GREETING)
    before = len(bot.store.conversations)
    stranger = origin.replace("localhost", "127.0.0.1")
    page.goto(f"{stranger}/index.html")
    for mode in ("cors", "no-cors"):
        call = f"fetch('{url}/v1/conversations', {{method: 'POST', mode: '{mode}'}})"
        outcome = page.evaluate(f"{call}.then((answer) => answer.type, () => 'failed')")
        assert outcome in ("failed", "opaque")
    assert len(bot.store.conversations) == before


def test_the_script_is_small() -> None:
    script = Path(__file__).parents[2] / "ui" / "widget" / "widget.js"
    assert script.stat().st_size <= 15_000


def test_a_chat_that_stays_open_on_the_next_page_leaves_the_focus_alone(page: Page) -> None:
    bubble(page).click()
    expect(said_by("bot", page)).to_have_text(GREETING)
    page.reload()
    page.get_by_role("button", name="After").focus()
    expect(said_by("bot", page)).to_have_text(GREETING)
    page.wait_for_function("heard.some(([name]) => name === 'ready')")
    expect(page.get_by_role("button", name="After")).to_be_focused()
