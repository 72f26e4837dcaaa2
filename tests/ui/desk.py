"""A bot with scripted ears over a real store, staff for its desk, and what a test does in their windows."""

from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect

from chatbot.bot import Chatbot
from chatbot.reply import TemplateReply
from dialog_policy.policy import RulePolicy
from domains.schema import Pack
from storage.conversations import ConversationStore
from storage.database import open_database
from storage.migration import upgrade
from storage.records import Role
from storage.staff import add_staff
from tests.hearing import ScriptedParser, understood

PASSWORD = "correct horse battery staple"
PERSON = "I would like to talk to a person"
TRANSFER = "please send $50"
SECRET = "my account is 4400127316"
SCRIPT = (
    understood(PERSON, ["human"]),
    understood(TRANSFER, ["transfer_money"], {"transfer_amount": "$50"}),
    understood(SECRET, ["inform"], {"account_number": "4400127316"}),
    understood("Dana Whitfield", ["inform"], {"name": "Dana Whitfield"}),
    understood("what is my balance?", ["check_balance"]),
)


def desk_bot(folder: Path, pack: Pack) -> Chatbot:
    engine = open_database(f"sqlite:///{folder / 'chatbot.db'}")
    upgrade(engine)
    backend = pack.backend(f"sqlite:///{folder / 'bank.db'}")
    parser = ScriptedParser(*SCRIPT)
    return Chatbot(pack, parser, RulePolicy(pack), backend, TemplateReply(pack), ConversationStore(engine))  # type: ignore[arg-type]


def hire(bot: Chatbot, account: str, name: str, role: Role = "agent") -> None:
    add_staff(bot.store.engine, account, name, role, PASSWORD, "test")


def hand_over(bot: Chatbot, *texts: str) -> str:
    conversation = bot.start()
    for text in (*texts, PERSON):
        bot.reply(conversation, text)
    return conversation


def sign_in(page: Page, url: str, account: str, path: str = "/desk") -> Page:
    page.goto(f"{url}{path}")
    page.get_by_label("Account").fill(account)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    return page


def new_page(browser: Browser, width: int = 1280, height: int = 800) -> Page:
    """In a profile of its own."""
    return browser.new_context(viewport={"width": width, "height": height}).new_page()


def cases(page: Page) -> Locator:
    return page.locator("button.case")


def talk(page: Page) -> Locator:
    return page.locator(".talk .text")


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def answer(page: Page, text: str) -> None:
    page.get_by_label("Your answer").fill(text)
    press(page, "Send")
    expect(talk(page).last).to_have_text(text)
