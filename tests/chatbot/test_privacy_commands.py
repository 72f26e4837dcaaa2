"""The commands for backups, keys and people's data, as an operator meets them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from chatbot import cli
from storage.conversations import ConversationStore
from storage.database import open_database
from storage.encryption import new_key
from storage.migration import upgrade
from storage.vault import unlock
from tests.storage.test_conversations import a_record

KEY = new_key()


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An encrypted database with one conversation of customer c-17, which the commands take by default."""
    url = f"sqlite:///{tmp_path / 'c.db'}"
    monkeypatch.setenv("CHATBOT_DATABASE", url)
    monkeypatch.setenv("CHATBOT_ENCRYPTION_KEYS", KEY)
    engine = open_database(url)
    upgrade(engine)
    unlock(engine, [KEY])
    store = ConversationStore(engine)
    with store.turn(store.create("banking"), None) as turn:
        turn.finish(a_record())
    engine.dispose()
    return url


Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command within this process; gives its JSON."""

    def call(*words: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["chatbot", *words, "--json"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
        return [json.loads(line) for line in out.splitlines()][-1]

    return call


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A command that must fail; gives the one line that it leaves."""

    def call(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["chatbot", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        err = capsys.readouterr().err
        assert ended.value.code != 0
        assert len(err.splitlines()) == 1, err
        return err

    return call


def test_that_commands_without_a_model_do_not_import_what_models_need() -> None:
    code = "import sys, chatbot.cli; sys.exit(bool({'torch', 'gradio', 'transformers'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_that_the_training_commands_are_found_when_they_are_asked_for() -> None:
    group: Any = get_command(cli.app)
    for name in ("train", "evaluate"):
        later = group.commands[name]
        assert {"nlu", "policy"} <= set(later.list_commands(None))
        assert later.get_command(None, "policy").help
        assert later.get_command(None, "nothing") is None


def test_that_a_person_is_copied_and_erased(database: str, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "person.json"
    assert run("customers", "export", "c-17", "--out", str(out), "--reason", "letter")["conversations"] == 1
    assert out.stat().st_mode & 0o077 == 0
    copy = json.loads(out.read_text(encoding="utf-8"))
    assert copy["conversations"][0]["messages"][0]["text"] == "Send $50"
    assert run("customers", "erase", "c-17", "--reason", "letter") == {"erased": 1}
    entry = run("audit", "--last", "1")
    assert (entry["action"], entry["reason"]) == ("person.erase", "letter")
    assert entry["actor"]


def test_that_a_database_is_backed_up_restored_and_purged(database: str, run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "c.backup")
    assert run("database", "backup", file)["rows"]["turns"] == 1
    assert run("database", "purge", "--days", "0")["purged"] == 1
    assert run("database", "restore", file, "--force")["rows"]["turns"] == 1
    assert run("database", "purge") == {"purged": 0, "days": 365}
    assert run("database", "check")["ok"] is True


def test_that_keys_are_made_and_rotated(database: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = run("keys", "new")["key"]
    monkeypatch.setenv("CHATBOT_ENCRYPTION_KEYS", f"{newer}, {KEY}")
    assert run("keys", "rotate")["encrypted"]["turns.text"] == 1
    monkeypatch.setenv("CHATBOT_ENCRYPTION_KEYS", newer)
    assert run("database", "check")["ok"] is True


def test_that_turns_are_exported(database: str, run: Run, tmp_path: Path) -> None:
    out = str(tmp_path / "turns.parquet")
    assert run("export", "turns", "--out", out, "--since", "2020-01-01")["turns"] == 1


def test_that_keys_that_do_not_fit_are_told_in_a_line(
    database: str, refuse: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for keys, cause in (
        ("", "no key is given"),
        (new_key(), "none of the keys"),
        ("nonsense", "Key 1 of CHATBOT_ENCRYPTION_KEYS is no key"),
    ):
        monkeypatch.setenv("CHATBOT_ENCRYPTION_KEYS", keys)
        told = refuse("customers", "erase", "c-17")
        assert cause in told
        assert "nonsense" not in told
    monkeypatch.setenv("CHATBOT_ENCRYPTION", "required")
    monkeypatch.setenv("CHATBOT_ENCRYPTION_KEYS", "")
    assert "required" in refuse("customers", "erase", "c-17")
    monkeypatch.setenv("CHATBOT_ENCRYPTION", "perhaps")
    assert "CHATBOT_ENCRYPTION:" in refuse("customers", "erase", "c-17")


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("customers", "erase", "nobody"), "'nobody'"),
        (("customers", "erase"), "either a customer's id or --conversation"),
        (("customers", "erase", "c-17", "--conversation", "x"), "either a customer's id or --conversation"),
        (("customers", "export", "--conversation", "x", "--out", "FOLDER/x.json"), "no conversation 'x'"),
        (("customers", "export", "c-17", "--out", "FOLDER/no/x.json"), "cannot be written"),
        (("customers", "export", "c-17", "--out", "FOLDER/c.db"), "cannot be written"),
        (("export", "turns", "--out", "FOLDER/turns.xml"), ".jsonl or .parquet"),
        (("database", "backup", "FOLDER/c.db"), "exists already"),
        (("database", "backup", "/proc/c.backup"), "cannot be written"),
        (("database", "restore", "FOLDER/c.db"), "no whole backup"),
        (("database", "restore", "FOLDER/nothing"), "no such file"),
        (("database", "purge", "--domain", "FOLDER"), "domain.yaml"),
    ],
)
def test_that_bad_input_ends_in_one_line(
    database: str, refuse: Callable[..., str], tmp_path: Path, words: tuple[str, ...], cause: str
) -> None:
    assert cause in refuse(*(word.replace("FOLDER", str(tmp_path)) for word in words))


def test_that_a_truncated_backup_is_refused(
    database: str, run: Run, refuse: Callable[..., str], tmp_path: Path
) -> None:
    file = tmp_path / "c.backup"
    run("database", "backup", str(file))
    file.write_bytes(file.read_bytes()[:200])
    assert "no whole backup" in refuse("database", "restore", str(file), "--force")
    assert run("database", "check")["ok"] is True
