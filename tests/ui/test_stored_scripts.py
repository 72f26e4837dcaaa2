"""Scripts in all that is stored and shown: no page runs them, each shows them as they were written."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Frame, Page, expect

from chatbot.bot import Chatbot
from chatbot.learning import Learning
from dialog_policy.registry import from_folder, install_shipped
from domains.schema import Pack
from storage.database import transaction
from storage.policies import add_policy
from storage.review import Correction, correct, find
from storage.staff import list_staff
from storage.tables import ConversationRow
from tests.hearing import ScriptedParser, understood
from tests.shipped import SETTINGS
from tests.stand_in_bot import StandInBot
from tests.ui.conftest import PATIENCE_MS
from tests.ui.desk import PERSON, SCRIPT, cases, desk_bot, hand_over, hire, new_page, press, sign_in, talk
from tests.ui.test_widget import bubble, frame
from tests.ui.window import said_by, send
from ui.app import create_app_for

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)

ATTACKS = (
    '<img src=x onerror="window.hit=1">',
    "<script>window.hit=1</script>",
    '<svg onload="window.hit=1"></svg>',
    "<details open ontoggle=window.hit=1>x</details>",
    "[pay](javascript:window.hit=1)",
    '![pay](x"onerror="window.hit=1)',
    '<a href="javascript:window.hit=1">pay</a>',
    "&lt;img src=x onerror=window.hit=1&gt;",
    '"><iframe srcdoc="<script>parent.hit=1</script>"></iframe>',
    "'--></style></textarea></title><script>window.hit=1</script>",
    "{{constructor.constructor('window.hit=1')()}} ${window.hit=1}",
)
ATTACK = " ".join(ATTACKS)
NAME = ATTACKS[0]
"""Where not so much fits."""
TRACES = "img[src=x], [onerror], svg[onload], [ontoggle], iframe[srcdoc], a[href^='javascript']"
ALIKE = [f"{ATTACK} {number}" for number in range(3)]


@pytest.fixture
def bot(tmp_path: Path, pack: Pack) -> Chatbot:
    """With scripts in messages, a name, a site, a correction, a policy, and the name of a supervisor."""
    bot = desk_bot(tmp_path, pack)
    named = understood(f"I am {NAME}", ["inform"], {"name": NAME})
    odd = [understood(text, outside=0.9) for text in (ATTACK, *ALIKE)]
    bot.parser = ScriptedParser(*SCRIPT, named, *odd)  # type: ignore[assignment]
    bot.parser.embed = lambda texts: np.ones((len(texts), 1), np.float32)  # type: ignore[method-assign]
    hire(bot, "eve", NAME, "supervisor")
    policy, weights = from_folder(SETTINGS.models / "policy", pack)
    install_shipped(bot.store.engine, policy, weights)
    candidate = replace(policy, version=NAME, figures={"verdict": ATTACK})
    add_policy(bot.store.engine, candidate, weights, "test")
    return bot


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A job that went wrong with words that run, and one with a report that would."""
    for number, code in enumerate("10"):
        home = tmp_path / "runs" / f"policy-2026010{number + 1}-000000"
        home.mkdir(parents=True)
        about = {"by": NAME, "began": "2026-01-01T00:00:00+00:00", "pid": 1}
        (home / "job.json").write_text(json.dumps(about))
        (home / "told.txt").write_text(f"{ATTACK}\nerror: {ATTACK}\n")
        (home / "out.txt").write_text(f"{json.dumps({'candidate': ATTACK, 'words': ATTACK})}\n")
        (home / "code").write_text(code)
    (home / "report.html").write_text(f"<h1>A report</h1>{ATTACK}")
    return tmp_path / "runs"


@pytest.fixture
def url(bot: Chatbot, runs: Path, serve: Callable[[FastAPI], str]) -> str:
    return serve(create_app_for(bot, learning=Learning(bot.store.engine, bot.pack, runs)))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = new_page(browser)
    page.set_default_timeout(PATIENCE_MS)
    yield page
    page.context.close()


def expect_nothing_ran(page: Page | Frame) -> None:
    page.wait_for_timeout(200)  # for what an image that cannot be loaded would start
    assert page.evaluate("window.hit") is None
    assert page.locator(TRACES).count() == 0


def test_the_chat_shows_what_both_sides_write(bot: Chatbot, url: str, page: Page) -> None:
    page.goto(url)
    expect(said_by("bot", page)).to_have_count(1)
    send(page, ATTACK)
    expect(said_by("user", page)).to_have_text(ATTACK)
    expect(said_by("bot", page)).to_have_count(2)
    expect(page.locator("#chat.typing")).to_have_count(0)
    send(page, f"I am {NAME}")
    expect(said_by("bot", page)).to_have_count(3)
    page.reload()
    expect(said_by("user", page).first).to_have_text(ATTACK)
    expect_nothing_ran(page)


def test_the_frame_and_the_page_around_it_show_what_comes_from_a_colleague(
    serve: Callable[[FastAPI], str], page: Page
) -> None:
    bot = StandInBot()
    page.goto(f"{serve(create_app_for(bot))}/demo")  # type: ignore[arg-type]
    bubble(page).click()
    expect(frame(page).locator("#chat [data-testid=bot]")).to_have_count(1)
    frame(page).get_by_label("Your message").fill(ATTACK)
    frame(page).get_by_role("button", name="Send", exact=True).click()
    expect(frame(page).locator("#chat [data-testid=user]").last).to_have_text(ATTACK)
    expect(frame(page).locator("#chat [data-testid=bot]").last).to_have_text("Is there anything else?")
    expect(frame(page).locator("#chat.typing")).to_have_count(0)
    frame(page).get_by_role("button", name="Talk to a person").click()
    expect(frame(page).locator("#chat [data-testid=bot]").last).to_contain_text("passed you on")
    (conversation,) = {name for name, _, _ in bot.calls}
    bot.store.add(conversation, "agent", ATTACK)
    expect(frame(page).locator("#chat [data-testid=bot]").last).to_contain_text(ATTACK)
    expect_nothing_ran(page)
    expect_nothing_ran(next(inner for inner in page.frames if "site=" in inner.url))


def test_the_desk_shows_messages_names_notes_and_answers(bot: Chatbot, url: str, page: Page) -> None:
    hand_over(bot, "what is my balance?", f"I am {NAME}", ATTACK)
    sign_in(page, url, "eve")
    expect(page.locator("#top")).to_contain_text(NAME)
    cases(page).click()
    press(page, "Claim")
    expect(talk(page).filter(has_text=ATTACK)).to_have_count(1)
    press(page, "Reveal details")
    expect(talk(page).filter(has_text=NAME).first).to_be_visible()
    page.get_by_label("New note").fill(ATTACK)
    press(page, "Add")
    expect(page.locator(".notes")).to_contain_text(ATTACK)
    page.get_by_label("Your answer").fill(ATTACK)
    press(page, "Send")
    expect(talk(page).last).to_have_text(ATTACK)
    expect_nothing_ran(page)


def test_the_review_shows_messages_corrections_groups_and_why(bot: Chatbot, url: str, page: Page) -> None:
    conversation = bot.start()
    for text in (*ALIKE, PERSON):
        bot.reply(conversation, text)
    (eve,) = list_staff(bot.store.engine)
    sign_in(page, url, "eve", "/review")
    expect(cases(page).first).to_be_visible()
    cases(page).last.click()
    expect(page.locator(".talk")).to_contain_text(ALIKE[0])
    expect(page.get_by_label("Message")).to_be_visible()
    press(page, "Why did it do that?")
    expect(page.locator(".why .said").first).to_contain_text(ALIKE[0])
    press(page, "Look for new intents")
    page.locator("#proposals summary").click()
    expect(page.locator("#proposals")).to_contain_text(ATTACKS[1])
    page.get_by_label("Why, in any conversation").fill(f"{NAME}:1")
    press(page, "Look")
    expect(page.locator(".toast-body")).to_contain_text("There is no turn")
    expect_nothing_ran(page)
    finding = find(bot.store.engine, "banking")[-1]
    made = Correction(finding.conversation_id, finding.turn, ATTACK, None, (), None, "corrected", NAME)
    correct(bot.store.engine, made, eve)
    page.reload()
    page.get_by_label("Status", exact=True).click()
    page.get_by_role("option", name="Corrected").click()
    expect(cases(page)).to_have_count(1)
    expect(cases(page)).to_contain_text(f"by {NAME}")
    cases(page).click()
    expect(page.get_by_label("Message")).to_be_visible()
    expect_nothing_ran(page)


def test_the_insights_show_the_names_of_sites(bot: Chatbot, url: str, page: Page) -> None:
    conversation = bot.start()
    bot.reply(conversation, ATTACK)
    with transaction(bot.store.engine) as session:
        row = session.get(ConversationRow, conversation)
        assert row is not None
        row.site = NAME
    sign_in(page, url, "eve", "/insights")
    expect(page.locator("#insights svg, #insights canvas").first).to_be_visible()
    page.get_by_label("Site", exact=True).click()
    page.get_by_role("option", name=NAME).click()
    expect(page.locator("#csv a")).to_have_attribute(
        "href", "/insights/insights.csv?days=30&site=%3Cimg+src%3Dx+onerror%3D%22window.hit%3D1%22%3E"
    )
    expect_nothing_ran(page)


def test_the_learning_page_shows_verdicts_and_what_jobs_have_told(url: str, page: Page) -> None:
    sign_in(page, url, "eve", "/learning")
    expect(page.locator("#learning table")).to_contain_text(ATTACK)
    expect(page.locator(".jobs")).to_contain_text(ATTACKS[1])
    page.get_by_label("Why").fill(ATTACK[:290])
    press(page, "Roll back the last promotion")
    expect(page.locator(".toast-body")).to_be_visible()
    expect_nothing_ran(page)
    with page.expect_popup() as opened:
        page.get_by_role("link", name="Read the report").click()
    expect(opened.value.get_by_role("heading", level=1)).to_have_text("A report")
    opened.value.wait_for_timeout(200)
    assert opened.value.evaluate("window.hit") is None  # its policy lets no script run, whoever wrote it


def test_the_page_of_the_api_shows_what_it_is_given_and_follows_no_address(
    serve: Callable[[FastAPI], str], page: Page
) -> None:
    url, strange = serve(create_app_for(StandInBot())), list[str]()  # type: ignore[arg-type]
    page.on("request", lambda sent: None if sent.url.startswith((url, "data:")) else strange.append(sent.url))
    for query in (
        "?url=https://evil.example/openapi.json&configUrl=https://evil.example/config.json",
        "#/<img src=x onerror=window.hit=1>",
    ):
        page.goto("about:blank")
        page.goto(f"{url}/docs{query}")
        expect(page.locator(".opblock").first).to_be_visible()
        expect_nothing_ran(page)
    operation = page.locator(".opblock", has_text="Talk As Rasa").first
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.locator("textarea").first.fill(json.dumps({"sender": NAME, "message": ATTACK, "x": ATTACK}))
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".curl-command")).to_contain_text(ATTACKS[1])
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("401")
    expect_nothing_ran(page)
    assert strange == []
