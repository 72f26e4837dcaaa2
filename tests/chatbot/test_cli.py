"""The command line as an operator meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from chatbot.settings import ROOT
from storage.migration import head

MODELS = ROOT / "models"


def chatbot(*words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("chatbot")), *words]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )


def the_error(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that a failed command leaves."""
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


@pytest.mark.shipped
def test_that_understand_prints_intents_and_entities_as_json() -> None:
    result = chatbot("understand", "I want to send $50 to 4400127324", "--json")
    heard = json.loads(result.stdout)
    assert heard["wishes"] == ["transfer_money"]
    assert {entity["slot"]: entity["value"] for entity in heard["entities"]} == {
        "transfer_amount": "50.00",
        "target_account_number": "4400127324",
    }


@pytest.mark.shipped
def test_that_chat_answers_in_the_terminal(tmp_path: Path) -> None:
    result = chatbot(
        "chat",
        "--json",
        "--database",
        f"sqlite:///{tmp_path / 'c.db'}",
        stdin="what is your routing number\n",
    )
    replies = [json.loads(line) for line in result.stdout.splitlines()]
    assert "021307553" in replies[-1]["text"]


@pytest.mark.shipped
def test_that_a_broken_model_file_is_named(tmp_path: Path) -> None:
    copytree(MODELS, tmp_path / "models")
    (tmp_path / "models" / "nlu" / "model.safetensors").write_bytes(b"not weights")
    error = the_error(chatbot("understand", "hello", CHATBOT_MODELS=str(tmp_path / "models")))
    assert "model.safetensors" in error


@pytest.mark.shipped
def test_that_serving_with_a_broken_model_ends_in_one_line(tmp_path: Path) -> None:
    copytree(MODELS, tmp_path / "models")
    (tmp_path / "models" / "policy" / "policy.safetensors").write_bytes(b"not weights")
    database = f"sqlite:///{tmp_path / 'c.db'}"
    result = chatbot("serve", "--port", "0", "--database", database, CHATBOT_MODELS=str(tmp_path / "models"))
    assert "policy.safetensors" in the_error(result)


def test_that_a_missing_model_says_how_to_get_one(tmp_path: Path) -> None:
    error = the_error(chatbot("understand", "hello", CHATBOT_MODELS=str(tmp_path)))
    assert "file is missing" in error
    assert "chatbot train nlu" in error


@pytest.mark.shipped
def test_that_a_database_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    error = the_error(chatbot("serve", "--database", f"sqlite:///{tmp_path / 'nowhere' / 'c.db'}"))
    assert "does not exist" in error


def test_that_a_database_is_upgraded_checked_and_downgraded(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'c.db'}"
    assert "upgrade" in the_error(chatbot("database", "check", "--database", url)).lower()
    assert (
        json.loads(chatbot("database", "upgrade", "--database", url, "--json").stdout)["revision"] == head()
    )
    assert json.loads(chatbot("database", "check", "--database", url, "--json").stdout)["ok"] is True
    assert (
        json.loads(chatbot("database", "downgrade", "base", "--database", url, "--json").stdout)["revision"]
        is None
    )


def test_that_a_database_url_nobody_knows_is_refused() -> None:
    assert "URL" in the_error(chatbot("database", "check", "--database", "nonsense"))


def test_that_an_unknown_data_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("x")
    words = (
        "train",
        "nlu",
        "--out",
        str(tmp_path / "m"),
        "--data",
        str(tmp_path / "data.txt"),
        "--format",
        "csv9",
    )
    assert "csv9" in the_error(chatbot(*words))


def test_that_a_broken_pack_is_named_with_file_and_line(tmp_path: Path) -> None:
    copytree(ROOT / "domains" / "banking", tmp_path / "banking")
    path = tmp_path / "banking" / "domain.yaml"
    path.write_text(path.read_text().replace("currency:", "curency:"))
    error = the_error(chatbot("understand", "hello", "--domain", str(tmp_path / "banking")))
    assert "domain.yaml:4" in error
    assert "curency" in error


def test_that_users_of_an_unknown_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "users.yaml").write_text("kinds:\n  odd:\n    share: 1\n    temper: bad\n")
    words = ("evaluate", "policy", "--policy", "rules", "--users", str(tmp_path / "users.yaml"))
    assert "users.yaml:4" in the_error(chatbot(*words, "--nlu-error", "0.1"))


def test_that_goals_that_the_pack_does_not_know_are_refused_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "users.yaml").write_text("kinds:\n  odd:\n    share: 1\n    goals: [fly_to_rome]\n")
    words = ("evaluate", "policy", "--policy", "rules", "--users", str(tmp_path / "users.yaml"))
    assert "users.yaml:4: kinds.odd.goals: 'fly_to_rome' is no task" in the_error(chatbot(*words))


@pytest.mark.shipped
def test_that_the_rules_are_evaluated_by_customers_who_write_what_a_file_says(tmp_path: Path) -> None:
    rows = [{"text": f"I have lost my card, case {n}", "intent": "report_lost_card"} for n in range(9)]
    (tmp_path / "said.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ("evaluate", "policy", "--policy", "rules", "--level", "text", "--episodes", "5", "--json")
    said = ("--sentences", str(tmp_path / "said.jsonl"), "--sentences-format", "jsonl")
    result = chatbot(*words, *said)
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["level"] == "text"
    assert figures["episodes"] == 5


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--level", "text", "--nlu-error", "0.1"), "--nlu-error is for simulated errors"),
        (("--sentences", "x.jsonl", "--sentences-format", "jsonl"), "add --level text"),
        (("--level", "text", "--sentences", "x.jsonl"), "1 --sentences but 0 --sentences-format"),
        (
            ("--level", "text", "--sentences", "no.jsonl", "--sentences-format", "jsonl"),
            "no.jsonl: no such file",
        ),
    ],
)
def test_that_options_of_the_other_level_are_refused(words: tuple[str, ...], reason: str) -> None:
    assert reason in the_error(chatbot("evaluate", "policy", "--policy", "rules", *words))


def test_that_the_rules_are_evaluated_without_a_trained_policy() -> None:
    words = ("evaluate", "policy", "--policy", "rules", "--nlu-error", "0", "--episodes", "50", "--json")
    report = json.loads(chatbot(*words).stdout)
    assert report["episodes"] == 50
    assert report["wrong_executions"] == 0
    assert report["success_rate"] > 0.9


@pytest.mark.shipped
def test_that_a_read_only_database_is_refused_with_the_remedy(tmp_path: Path) -> None:
    assert chatbot("database", "upgrade", "--database", f"sqlite:///{tmp_path / 'c.db'}").returncode == 0
    url = f"sqlite:///file:{tmp_path / 'c.db'}?mode=ro&uri=true"
    assert "read-only" in the_error(chatbot("database", "downgrade", "base", "--database", url))
