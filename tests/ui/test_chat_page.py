"""The chat page in a real browser, over a scripted bot."""

import threading
import time
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect

from storage.records import Message
from tests.stand_in_bot import CONFIRM, StandInBot
from tests.ui.conftest import PATIENCE_MS, free_port, running
from tests.ui.window import expect_reply, said_by, send, suggestion, visit
from ui.app import create_app_for
from ui.chat import PERSON, SORRY, STARTERS

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)

RECORD_BOT_TEXTS = """() => {
    window.seen = [];
    const chat = document.querySelector("#chat");
    new MutationObserver(() => {
        const bots = chat.querySelectorAll("[data-testid=bot]");
        window.seen.push(bots[bots.length - 1].innerText);
    }).observe(chat, {subtree: true, childList: true, characterData: true});
}"""


def test_a_message_is_shown_and_answered_word_by_word(chat: Page, bot: StandInBot) -> None:
    bot.thinking = 0.3
    chat.evaluate(RECORD_BOT_TEXTS)
    send(chat, "how long does a transfer to another bank take?")
    expect(said_by("user", chat)).to_have_text("how long does a transfer to another bank take?")
    expect(chat.get_by_label("Your message")).to_have_value("")
    expect(chat.locator("#chat.typing")).to_be_visible()
    expect_reply(chat, "Is there anything else?")
    assert said_by("bot", chat).all_inner_texts()[1:] == [
        "You said: how long does a transfer to another bank take?",
        "Is there anything else?",
    ]
    seen = chat.evaluate("window.seen")
    assert any(text.startswith("You said: how") and not text.endswith("take?") for text in seen), seen


def test_enter_sends(chat: Page) -> None:
    chat.get_by_label("Your message").fill("hello")
    chat.get_by_label("Your message").press("Enter")
    expect_reply(chat, "Is there anything else?")


def test_messages_sent_while_the_bot_still_answers_are_answered_in_their_order(
    chat: Page, bot: StandInBot
) -> None:
    bot.thinking = 0.5
    texts = ("first", "second", "third")
    for text in texts:
        send(chat, text)
        expect(chat.get_by_label("Your message")).to_have_value("")
    expect(said_by("user", chat)).to_have_text(list(texts))
    expect(said_by("bot", chat)).to_have_count(1 + 2 * len(texts))
    assert [text for _, text, _ in bot.calls] == list(texts)


def test_a_quick_reply_sends_its_text_and_goes_away(chat: Page, bot: StandInBot) -> None:
    send(chat, "transfer")
    expect_reply(chat, CONFIRM)
    suggestion(chat, "Yes").click()
    expect(said_by("user", chat).last).to_have_text("Yes, please do")
    expect_reply(chat, "Is there anything else?")
    expect(chat.locator("#suggestions button")).to_have_count(0)


def test_a_new_visitor_is_offered_examples(chat: Page, bot: StandInBot) -> None:
    expect(chat.locator("#suggestions button")).to_have_text(list(STARTERS))
    suggestion(chat, "I lost my card").click()
    expect_reply(chat, "Is there anything else?")
    assert [text for _, text, _ in bot.calls] == ["I lost my card"]


def test_a_person_can_be_asked_for(chat: Page, bot: StandInBot) -> None:
    chat.get_by_label("Your message").fill("half a thought")
    chat.get_by_role("button", name="Talk to a person").click()
    expect_reply(chat, "I have passed you on to a colleague.")
    expect(said_by("user", chat)).to_have_text(PERSON)
    expect(chat.get_by_label("Your message")).to_have_value("half a thought")


def test_a_reload_brings_back_the_conversation_with_its_buttons(chat: Page) -> None:
    send(chat, "transfer")
    expect_reply(chat, CONFIRM)
    visit(chat, chat.url)
    expect_reply(chat, CONFIRM)
    expect(said_by("user", chat)).to_have_text("transfer")
    suggestion(chat, "No").click()
    expect(said_by("user", chat).last).to_have_text("No, do not")


def test_a_restarted_server_carries_on_with_an_open_page_and_a_reloaded_one(
    bot: StandInBot, page: Page
) -> None:
    port = free_port()
    with running(create_app_for(bot), port) as url:
        visit(page, url)
        send(page, "transfer")
        expect_reply(page, CONFIRM)
    with running(create_app_for(bot), port):
        suggestion(page, "Yes").click()
        expect(said_by("user", page)).to_have_text(["transfer", "Yes, please do"])
        expect_reply(page, "Is there anything else?")
        send(page, "transfer")
        expect_reply(page, CONFIRM)
    with running(create_app_for(bot), port):
        visit(page, url)
        expect(said_by("user", page)).to_have_text(["transfer", "Yes, please do", "transfer"])
        expect(suggestion(page, "Yes")).to_be_visible()
    assert len(bot.store.conversations) == 1


def test_an_unknown_conversation_is_quietly_replaced(chat: Page, bot: StandInBot) -> None:
    send(chat, "hello")
    expect_reply(chat, "Is there anything else?")
    bot.store.conversations.clear()
    send(chat, "are you there?")
    expect(said_by("user", chat)).to_have_text("are you there?")
    expect_reply(chat, "Is there anything else?")
    bot.store.conversations.clear()
    visit(chat, chat.url)
    expect(said_by("user", chat)).to_have_count(0)
    expect(chat.locator(".toast-body")).to_have_count(0)


def test_a_new_conversation_leaves_the_old_one_as_it_was(chat: Page, bot: StandInBot) -> None:
    send(chat, "hello")
    expect_reply(chat, "Is there anything else?")
    chat.get_by_role("button", name="New conversation").click()
    expect(said_by("bot", chat)).to_have_count(1)
    expect(chat.locator("#suggestions button")).to_have_text(list(STARTERS))
    send(chat, "hello again")
    expect_reply(chat, "Is there anything else?")
    old, new = bot.store.conversations.values()
    assert [message.text for message in old if message.author == "customer"] == ["hello"]
    assert [message.text for message in new if message.author == "customer"] == ["hello again"]


def test_thumbs_are_stored_with_their_message_and_shown_again(chat: Page, bot: StandInBot) -> None:
    send(chat, "hello")
    expect_reply(chat, "Is there anything else?")
    (conversation,) = bot.store.conversations.values()

    def expect_ratings(*ratings: int) -> None:
        end = time.monotonic() + 5
        while [message.rating for message in conversation] != list(ratings) and time.monotonic() < end:
            chat.wait_for_timeout(50)
        assert [message.rating for message in conversation] == list(ratings)

    chat.get_by_role("button", name="Like", exact=True).nth(1).click()
    expect_ratings(0, 0, 1, 0)
    chat.get_by_role("button", name="Dislike", exact=True).nth(2).click()
    expect_ratings(0, 0, 1, -1)
    send(chat, "transfer")
    expect_reply(chat, CONFIRM)
    visit(chat, chat.url)
    expect_reply(chat, CONFIRM)
    chat.get_by_role("button", name="Liked", exact=True).click()
    expect_ratings(0, 0, 0, -1, 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        "<script>window.hacked = true</script>",
        "<img src=x onerror='window.hacked = true'>",
        "<b>bold</b> & <a href='javascript:window.hacked = true'>link</a>",
        "**stars** [link](javascript:alert(1)) `code` $$x^2$$ # title",
    ],
)
def test_markup_is_shown_as_it_was_typed(chat: Page, text: str) -> None:
    send(chat, text)
    expect_reply(chat, "Is there anything else?")
    assert said_by("user", chat).inner_text() == text
    assert said_by("bot", chat).nth(1).inner_text() == f"You said: {text}"
    assert (
        chat.locator("#chat .message-content").locator("img, script, a, b, strong, code, .katex").count() == 0
    )
    assert chat.evaluate("window.hacked") is None


@pytest.mark.parametrize("double_click", ["element => { element.click(); element.click() }", None])
def test_a_double_click_sends_once(chat: Page, bot: StandInBot, double_click: str | None) -> None:
    bot.thinking = 0.3
    (conversation,) = bot.store.conversations.values()
    chat.get_by_label("Your message").fill("transfer")
    for button in [chat.get_by_role("button", name="Send", exact=True), suggestion(chat, "Yes")]:
        if double_click:
            button.evaluate(double_click)
        else:
            button.dblclick()
        expect(chat.locator("#chat.typing")).to_be_visible()
        expect(chat.locator("#chat.typing")).to_have_count(0)
    expect_reply(chat, "Is there anything else?")
    chat.wait_for_timeout(700)
    assert [m.text for m in conversation if m.author == "customer"] == ["transfer", "Yes, please do"]


def test_a_failure_keeps_the_text_and_a_second_try_sends_it(chat: Page, bot: StandInBot) -> None:
    bot.store.down = True
    send(chat, "where is my card?")
    expect(chat.locator(".toast-body")).to_contain_text(SORRY)
    expect(chat.get_by_label("Your message")).to_have_value("where is my card?")
    bot.store.down = False
    chat.get_by_role("button", name="Send", exact=True).click()
    expect_reply(chat, "Is there anything else?")
    expect(said_by("user", chat)).to_have_text("where is my card?")


def test_an_unexpected_failure_shows_nothing_of_the_server(chat: Page) -> None:
    send(chat, "explode")
    expect(chat.locator(".toast-body")).to_contain_text(SORRY)
    expect(chat.get_by_label("Your message")).to_have_value("explode")
    assert "secret" not in chat.content().replace('"secret"', "")
    assert "Traceback" not in chat.content()


def test_a_message_that_is_too_long_is_refused_with_a_reason_and_kept(chat: Page) -> None:
    send(chat, "x" * 4001)
    expect(chat.locator(".toast-body")).to_contain_text("Your message is too long")
    expect(chat.get_by_label("Your message")).to_have_value("x" * 4001)
    expect(said_by("user", chat)).to_have_count(0)


def test_a_page_opened_without_a_database_says_so(
    bot: StandInBot, page: Page, serve: Callable[[FastAPI], str]
) -> None:
    bot.store.down = True
    page.goto(serve(create_app_for(bot)))
    expect(page.locator(".toast-body")).to_contain_text("We cannot reach your conversation right now")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(chat: Page, theme: str) -> None:
    chat.set_viewport_size({"width": 375, "height": 667})
    visit(chat, f"{chat.url}?__theme={theme}")
    send(chat, "transfer")
    expect_reply(chat, CONFIRM)
    assert chat.evaluate("document.documentElement.scrollWidth") == 375
    assert chat.evaluate("document.documentElement.scrollHeight") == 667
    for name in ["Talk to a person", "New conversation", "Send", "Yes", "No"]:
        box = chat.get_by_role("button", name=name, exact=True).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 375
        assert box["y"] + box["height"] <= 667
        assert box["height"] >= 32


def test_the_page_asks_no_other_site_and_carries_no_gradio_footer(
    bot: StandInBot, page: Page, serve: Callable[[FastAPI], str]
) -> None:
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    url = serve(create_app_for(bot))
    visit(page, url)
    send(page, "hello")
    expect_reply(page, "Is there anything else?")
    assert [request for request in requests if not request.startswith((url, "data:", "blob:"))] == []
    assert errors == []
    expect(page).to_have_title("Harbor Trust Bank – chat")
    expect(page.get_by_text("gradio")).to_have_count(0)


class MeetingBot(StandInBot):
    """Answers three visitors at the same moment, or none of them."""

    meeting = threading.Barrier(3)

    def reply(
        self, conversation_id: str, text: str, client_message_id: str | None = None
    ) -> tuple[Message, ...]:
        self.meeting.wait(PATIENCE_MS / 1000)
        return super().reply(conversation_id, text, client_message_id)


def test_several_visitors_are_served_at_once(browser: Browser, serve: Callable[[FastAPI], str]) -> None:
    url = serve(create_app_for(MeetingBot()))
    pages = [visit(browser.new_context().new_page(), url) for _ in range(3)]
    for page in pages:
        send(page, "hello")
    for page in pages:
        expect_reply(page, "Is there anything else?")
        page.context.close()
