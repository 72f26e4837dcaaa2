"""From what a colleague corrects to an NLU that understands it, all in the browser."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fastapi import FastAPI
from playwright.sync_api import Browser, expect

from chatbot.learning import Learning
from domains.schema import Pack
from moe.encoder import MixtureEncoder
from nlu.parser import load_parser
from nlu.pretrained import save_encoder
from tests.chatbot.test_review import HEARD, play
from tests.hearing import ScriptedParser
from tests.nlu.conftest import TINY
from tests.nlu.conftest import tokenizer_file as tokenizer_file
from tests.ui.conftest import PATIENCE_MS
from tests.ui.desk import cases, desk_bot, hire, new_page, press, sign_in
from tests.ui.test_review_page import choose
from tests.ui.window import said_by, send
from ui.app import create_app_for

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE_MS)

CORRECTIONS = 4
MEANT = "is the stolen card lost"
KNOWN = {"send my money": "transfer_money", "how much is my account": "check_balance"}
TRAINING_MS = 20 * PATIENCE_MS


def test_a_correction_changes_what_the_next_nlu_understands(
    browser: Browser,
    pack: Pack,
    tmp_path: Path,
    tokenizer_file: Path,
    serve: Callable[[FastAPI], str],
) -> None:
    torch.manual_seed(0)
    save_encoder(MixtureEncoder(TINY), tmp_path / "encoder", tokenizer_file)
    rows = [json.dumps({"text": text, "intent": intent}) for text, intent in KNOWN.items()]
    (tmp_path / "known.jsonl").write_text("\n".join(rows * 6) + "\n")
    options = ("--no-pack", "--encoder", str(tmp_path / "encoder"), "--epochs", "24")
    rates = ("--encoder-rate", "0.003", "--head-rate", "0.03")
    data = ("--data", str(tmp_path / "known.jsonl"), "--format", "jsonl")
    bot = desk_bot(tmp_path, pack)
    bot.parser = ScriptedParser(*HEARD)  # type: ignore[assignment]
    hire(bot, "ana", "Ana Lindqvist", "supervisor")
    learning = Learning(bot.store.engine, pack, tmp_path / "runs", {"nlu": (*options, *rates, *data)})
    for _ in range(CORRECTIONS):
        play(bot, "weather?")
    page = sign_in(new_page(browser), serve(create_app_for(bot, learning=learning)), "ana", "/review")
    for left in range(CORRECTIONS, 0, -1):
        expect(cases(page)).to_have_count(left)
        cases(page).first.click()
        choose(page, "Intent", "report_lost_card")
        page.get_by_label("Message").fill(MEANT)
        press(page, "Approve")
    expect(cases(page)).to_have_count(0)
    page.get_by_role("link", name="Learning").click()
    press(page, "Retrain the NLU")
    expect(page.locator(".jobs li")).to_contain_text("done", timeout=TRAINING_MS)
    page.context.close()

    (job,) = learning.jobs()
    assert job.result["examples"] == 6 * len(KNOWN) + CORRECTIONS
    bot.parser = load_parser(Path(job.result["model"]), pack)
    customer = new_page(browser)
    customer.goto(serve(create_app_for(bot)))
    expect(said_by("bot", customer)).to_have_count(1)
    send(customer, MEANT)
    expect(said_by("bot", customer).last).to_contain_text("full name")
    assert bot.parser.parse(MEANT).wishes == ("report_lost_card",)
    customer.context.close()
