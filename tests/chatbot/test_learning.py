"""Jobs beside the server: one at a time, ended in words, cancelled without a trace; what the NLU learns."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sqlalchemy import Engine

from chatbot.bot import Chatbot
from chatbot.learning import ABOUT, SAID, Job, Learning, LearningError
from dialog_policy.registry import from_folder, install_shipped
from domains.schema import Pack
from moe.encoder import MixtureEncoder
from nlu.parser import load_parser
from nlu.pretrained import save_encoder
from storage.audit import entries
from storage.policies import read_policies
from storage.review import correct, find
from storage.staff import Staff, add_staff
from tests.chatbot.test_review import HEARD, a_correction, play
from tests.hearing import ScriptedParser
from tests.nlu.conftest import TINY
from tests.nlu.conftest import tokenizer_file as tokenizer_file
from tests.shipped import SETTINGS
from tests.ui.conftest import PATIENCE_MS
from tests.ui.desk import PASSWORD, desk_bot

PATIENCE_SECONDS = 0.02 * PATIENCE_MS


@pytest.fixture
def bot(tmp_path: Path, pack: Pack) -> Chatbot:
    bot = desk_bot(tmp_path, pack)
    bot.parser = ScriptedParser(*HEARD)  # type: ignore[assignment]
    install_shipped(bot.store.engine, *from_folder(SETTINGS.models / "policy", pack))
    return bot


@pytest.fixture
def engine(bot: Chatbot) -> Engine:
    return bot.store.engine


@pytest.fixture
def ana(engine: Engine) -> Staff:
    return add_staff(engine, "ana", "Ana", "supervisor", PASSWORD, "test")


@pytest.fixture
def ben(engine: Engine) -> Staff:
    return add_staff(engine, "ben", "Ben", "agent", PASSWORD, "test")


@pytest.fixture
def learning(engine: Engine, pack: Pack, tmp_path: Path) -> Learning:
    return Learning(engine, pack, tmp_path / "runs")


def end_of(learning: Learning, job: Job) -> Job:
    end = time.monotonic() + PATIENCE_SECONDS
    while (job := learning.job(job.id)).status == "running":
        assert time.monotonic() < end, job
        time.sleep(0.2)
    return job


def test_what_goes_wrong_is_told_in_words(learning: Learning, ana: Staff) -> None:
    job = end_of(learning, learning.start("policy", ana))
    assert job.status == "failed"
    assert "no conversation of pack 'banking'" in job.words
    assert learning.jobs() == (job,)
    assert learning.report(job.id) is None


def test_one_at_a_time_and_cancelled_without_a_trace(
    learning: Learning, ana: Staff, ben: Staff, engine: Engine
) -> None:
    job = learning.start("policy", ana)
    assert (job.status, job.by) == ("running", "Ana")
    elsewhere = Learning(engine, learning.pack, learning.folder)  # as another server would
    with pytest.raises(LearningError, match="being learnt already"):
        elsewhere.start("policy", ana)
    with pytest.raises(LearningError, match="supervisors"):
        learning.cancel(job.id, ben)
    elsewhere.cancel(job.id, ana)
    assert learning.job(job.id).status == "cancelled"
    assert learning.job(job.id).words == "Cancelled by Ana"
    with pytest.raises(LearningError, match="not running"):
        learning.cancel(job.id, ana)
    assert [policy.version for policy in read_policies(engine, "banking")] == ["ppo-1"]
    assert [one.action for one in entries(engine)][-2:] == ["learning.policy", "learning.cancel"]


def test_only_who_supervises_retrains_and_only_with_something_to_learn(
    learning: Learning, ana: Staff, ben: Staff
) -> None:
    with pytest.raises(LearningError, match="Only supervisors"):
        learning.start("policy", ben)
    with pytest.raises(LearningError, match="No correction is approved yet"):
        learning.start("nlu", ana)
    assert learning.jobs() == ()


def test_a_job_whose_server_and_process_are_gone_is_not_said_to_run(learning: Learning) -> None:
    for name, said in (
        ("policy-20260101-000000", ""),
        ("nlu-20260102-000000", '{"examples": 3, "model": "m"}'),
    ):
        home = learning.folder / name
        home.mkdir(parents=True)
        about = {"by": "Ana", "began": f"2026-01-0{len(said) % 7 + 1}T00:00:00+00:00", "pid": 1}
        (home / ABOUT).write_text(json.dumps(about))
        (home / SAID).write_text(said)
    done, failed = learning.jobs()
    assert (done.status, done.result["examples"]) == ("done", 3)
    assert (failed.status, failed.words) == ("failed", "It was interrupted")


@pytest.mark.parametrize("name", ["../chatbot", "policy-1", "nlu-20260101-000000/..", ""])
def test_no_other_file_is_given_away_as_a_report(learning: Learning, name: str) -> None:
    assert learning.report(name) is None


def test_an_agents_correction_becomes_training_data_and_changes_the_next_nlu(
    bot: Chatbot, ana: Staff, ben: Staff, tmp_path: Path, tokenizer_file: Path
) -> None:
    torch.manual_seed(0)
    save_encoder(MixtureEncoder(TINY), tmp_path / "encoder", tokenizer_file)
    known = [("send my money", "transfer_money"), ("how much is my account", "check_balance")]
    data = tmp_path / "known.jsonl"
    rows = [json.dumps({"text": text, "intent": intent}) for text, intent in known]
    data.write_text("\n".join(rows * 20) + "\n")
    rates = ("--encoder-rate", "0.003", "--head-rate", "0.03", "--epochs", "8")
    options = (
        "--no-pack",
        "--encoder",
        str(tmp_path / "encoder"),
        *rates,
        "--data",
        str(data),
        "--format",
        "jsonl",
    )
    learning = Learning(bot.store.engine, bot.pack, tmp_path / "runs", {"nlu": options})
    for _ in range(12):
        play(bot, "weather?")
    # An agent says what each should have been, and a supervisor agrees.
    for finding in find(bot.store.engine, "banking"):
        said = a_correction(
            finding, text="is the stolen card lost", intent="report_lost_card", status="corrected"
        )
        correct(bot.store.engine, said, ben)
        correct(bot.store.engine, replace(said, status="approved"), ana)
    job = end_of(learning, learning.start("nlu", ana))
    assert job.status == "done", job.words
    assert job.steps[0].startswith("epoch 1")
    assert job.result["examples"] == 52
    assert str(job.result["model"]) in job.words
    parser = load_parser(Path(job.result["model"]), None)
    assert parser.parse("is the stolen card lost").wishes == ("report_lost_card",)
    assert parser.parse("send my money").wishes == ("transfer_money",)
