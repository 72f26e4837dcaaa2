"""The desk in a real browser, with the customer in another."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from chatbot.bot import Chatbot
from domains.schema import Pack
from storage.audit import entries
from storage.database import transaction
from storage.desk_tables import HandoffRow
from storage.staff import deactivate
from storage.tables import ExecutionRow
from tests.ui.conftest import PATIENCE_MS
from tests.ui.desk import (
    PASSWORD,
    SECRET,
    TRANSFER,
    answer,
    cases,
    desk_bot,
    hand_over,
    hire,
    new_page,
    press,
    sign_in,
    talk,
)
from tests.ui.window import said_by, send, suggestion
from ui.app import create_app_for

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)

ATTACK = """<img src=x onerror="hit=1"><script>hit=1</script> {{constructor}} ${window.hit=1} `x` &amp;"""


@pytest.fixture
def bot(tmp_path: Path, pack: Pack) -> Chatbot:
    bot = desk_bot(tmp_path, pack)
    hire(bot, "ana", "Ana Lindqvist")
    return bot


@pytest.fixture
def url(bot: Chatbot, serve: Callable[[FastAPI], str]) -> str:
    return serve(create_app_for(bot))


@pytest.fixture
def window(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens pages, each in a profile of its own."""
    opened: list[Page] = []

    def open_page(width: int = 1280, height: int = 800) -> Page:
        opened.append(new_page(browser, width, height))
        opened[-1].set_default_timeout(PATIENCE_MS)
        return opened[-1]

    yield open_page
    for page in opened:
        page.context.close()


def test_a_conversation_goes_from_the_bot_to_a_colleague_and_back_and_is_resolved_and_rated(
    bot: Chatbot, url: str, window: Callable[..., Page]
) -> None:
    customer, desk = window(), sign_in(window(), url, "ana")
    customer.goto(url)
    expect(said_by("bot", customer)).to_have_count(1)
    send(customer, TRANSFER)
    expect(said_by("bot", customer)).to_have_count(2)
    customer.get_by_role("button", name="Talk to a person").click()
    expect(cases(desk)).to_have_count(1)
    expect(cases(desk)).to_contain_text("Asked for a person")
    expect(cases(desk)).to_contain_text("transfer money")
    cases(desk).click()
    press(desk, "Claim")
    expect(said_by("bot", customer).last).to_have_text("Ana Lindqvist has joined the conversation.")
    for number in (1, 2, 3):
        before = said_by("bot", customer).count()
        send(customer, f"question {number}")
        expect(talk(desk).last).to_have_text(f"question {number}")
        answer(desk, f"answer {number}")
        expect(said_by("bot", customer).last).to_have_text(f"Ana Lindqvist\nanswer {number}")
        expect(said_by("bot", customer)).to_have_count(before + 1)
    press(desk, "Give back to the bot")
    expect(said_by("bot", customer).last).to_contain_text("This is Marlow again")
    expect(said_by("bot", customer).last).to_contain_text("transfer money")
    send(customer, "Dana Whitfield")
    expect(said_by("bot", customer).last).to_contain_text("Social Security")
    customer.get_by_role("button", name="Talk to a person").click()
    cases(desk).click()
    press(desk, "Claim")
    expect(talk(desk).last).to_have_text("Ana Lindqvist has joined the conversation.")
    press(desk, "Resolve")
    expect(said_by("bot", customer).last).to_contain_text("How did we do")
    suggestion(customer, "5 ★").click()
    expect(said_by("bot", customer).last).to_contain_text("Thank you for telling us")
    expect(cases(desk)).to_have_count(0)
    with transaction(bot.store.engine) as session:
        rows = session.execute(select(HandoffRow.ended, HandoffRow.rating).order_by(HandoffRow.turn)).all()
        assert [tuple(row) for row in rows] == [("returned", None), ("resolved", 5)]
        assert session.scalars(select(ExecutionRow)).all() == []


def test_what_a_colleague_writes_is_there_after_the_customer_comes_back(
    bot: Chatbot, url: str, window: Callable[..., Page]
) -> None:
    customer, desk = window(), sign_in(window(), url, "ana")
    customer.goto(url)
    expect(said_by("bot", customer)).to_have_count(1)
    customer.get_by_role("button", name="Talk to a person").click()
    cases(desk).click()
    press(desk, "Claim")
    customer.goto("about:blank")
    answer(desk, "Are you still there?")
    customer.goto(url)
    expect(said_by("bot", customer).last).to_have_text("Ana Lindqvist\nAre you still there?")
    answer(desk, "Good that you are back.")
    expect(said_by("bot", customer).last).to_have_text("Ana Lindqvist\nGood that you are back.")


def test_of_two_colleagues_the_second_is_told_and_the_first_has_the_conversation(
    bot: Chatbot, url: str, window: Callable[..., Page]
) -> None:
    hire(bot, "ben", "Ben Okoro")
    hand_over(bot)
    ana, ben = sign_in(window(), url, "ana"), sign_in(window(), url, "ben")
    for page in (ana, ben):
        cases(page).click()
        expect(page.get_by_role("button", name="Claim", exact=True)).to_be_visible()
    ana.locator("#claim").dispatch_event("click")
    ben.evaluate("document.querySelector('#claim')?.click()")  # gone where the page has heard of it already
    badges = [page.locator(".badge") for page in (ana, ben)]
    for badge in badges:
        expect(badge).to_contain_text("With")
    assert sorted(badge.inner_text() == "With you" for badge in badges) == [False, True]
    loser = ben if badges[0].inner_text() == "With you" else ana
    expect(loser.get_by_label("Your answer")).to_be_hidden()
    expect(loser.get_by_text("1 with other colleagues")).to_be_visible()


def test_details_stay_hidden_until_they_are_revealed_which_the_audit_knows(
    bot: Chatbot, url: str, window: Callable[..., Page]
) -> None:
    conversation = hand_over(bot, "what is my balance?", "Dana Whitfield", "4821", SECRET)
    desk = sign_in(window(), url, "ana")
    cases(desk).click()
    press(desk, "Claim")
    expect(desk.locator("#side")).to_contain_text("••••")
    shown = desk.locator("#desk").inner_text()
    assert "4400127316" not in shown
    assert "4821" not in shown
    press(desk, "Reveal details")
    expect(talk(desk).filter(has_text=SECRET)).to_be_visible()
    press(desk, "Hide details")
    expect(talk(desk).filter(has_text=SECRET)).to_have_count(0)
    deeds = [(one.actor, one.object) for one in entries(bot.store.engine) if one.action == "desk.reveal"]
    assert deeds == [("staff ana", f"conversation {conversation}")]


def test_the_bot_suggests_what_it_would_say_and_does_nothing(
    bot: Chatbot, url: str, window: Callable[..., Page]
) -> None:
    conversation = hand_over(bot)
    desk = sign_in(window(), url, "ana")
    cases(desk).click()
    press(desk, "Claim")
    bot.reply(conversation, TRANSFER)
    expect(desk.locator("#hint")).to_contain_text("Marlow would say")
    state = bot.store.state(conversation)
    press(desk, "Use")
    expect(desk.get_by_label("Your answer")).not_to_have_value("")
    assert bot.store.state(conversation) == state
    assert desk.get_by_label("Your answer").input_value() in desk.locator("#hint").inner_text()


def test_notes_are_for_colleagues_only(bot: Chatbot, url: str, window: Callable[..., Page]) -> None:
    hire(bot, "ben", "Ben Okoro")
    conversation = hand_over(bot)
    ana, ben = sign_in(window(), url, "ana"), sign_in(window(), url, "ben")
    for page in (ana, ben):
        cases(page).click()
    ana.get_by_label("New note").fill("wants a call back")
    press(ana, "Add")
    expect(ben.locator(".notes")).to_contain_text("wants a call back")
    assert all("call back" not in message.text for message in bot.store.history(conversation))


def test_nothing_that_a_customer_or_a_colleague_writes_runs_on_a_page(
    bot: Chatbot, url: str, window: Callable[..., Page]
) -> None:
    hire(bot, "eve", ATTACK[:80].strip())
    customer, desk = window(), sign_in(window(), url, "eve")
    errors: list[str] = []
    for page in (customer, desk):
        page.on("pageerror", lambda error: errors.append(str(error)))
    customer.goto(url)
    expect(said_by("bot", customer)).to_have_count(1)
    send(customer, ATTACK)
    expect(said_by("bot", customer)).to_have_count(2)
    customer.get_by_role("button", name="Talk to a person").click()
    expect(cases(desk)).to_have_count(1)
    cases(desk).click()
    press(desk, "Claim")
    expect(talk(desk).filter(has_text=ATTACK)).to_have_count(1)
    desk.get_by_label("New note").fill(ATTACK)
    press(desk, "Add")
    expect(desk.locator(".notes")).to_contain_text(ATTACK)
    answer(desk, ATTACK)
    expect(said_by("bot", customer).last).to_contain_text(ATTACK)
    for page in (customer, desk):
        assert page.evaluate("window.hit") is None
        assert page.locator("img[src=x]").count() == 0
    assert errors == []


def test_a_session_that_ends_leads_to_the_sign_in(
    bot: Chatbot, url: str, window: Callable[..., Page]
) -> None:
    desk = sign_in(window(), url, "ana")
    deactivate(bot.store.engine, "ana", "test")
    expect(desk.get_by_role("button", name="Sign in")).to_be_visible()


def test_signing_out_ends_the_session(url: str, window: Callable[..., Page]) -> None:
    desk = sign_in(window(), url, "ana")
    press(desk, "Sign out")
    expect(desk.get_by_role("button", name="Sign in")).to_be_visible()
    desk.goto(f"{url}/desk")
    expect(desk.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_wrong_password_is_told_and_guessing_is_stopped(url: str, window: Callable[..., Page]) -> None:
    page = window()
    page.goto(f"{url}/desk")
    for _ in range(6):
        page.get_by_label("Account").fill("ana")
        page.get_by_label("Password").fill("a wrong password")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("Too many attempts")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("Too many attempts")


def test_the_desk_works_on_a_telephone_and_by_keyboard_alone(
    bot: Chatbot, url: str, window: Callable[..., Page]
) -> None:
    hand_over(bot)
    page = window(375, 740)
    page.goto(f"{url}/desk")
    expect(page.get_by_label("Account")).to_be_focused()
    page.keyboard.type("ana")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(cases(page)).to_have_count(1)
    cases(page).focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Claim", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_label("Your answer").focus()
    page.keyboard.type("Hello from the train")
    page.keyboard.press("Enter")
    expect(talk(page).last).to_have_text("Hello from the train")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    page.get_by_role("button", name="← All conversations").focus()
    page.keyboard.press("Enter")
    expect(cases(page)).to_be_visible()
