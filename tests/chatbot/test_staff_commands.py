"""The commands for staff and for what they correct, as an operator meets them."""

import json
from pathlib import Path

import pytest

from chatbot.staff_commands import VARIABLE
from storage.database import open_database
from storage.staff import sign_in, signed_in
from storage.vault import unlock
from tests.chatbot.test_privacy_commands import KEY, Run, database, refuse, run  # noqa: F401 (fixtures)

PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, PASSWORD)


def test_an_account_can_be_made_listed_changed_and_closed(run: Run, database: str) -> None:  # noqa: F811
    added = run("staff", "add", "Ana", "--name", "Ana Lindqvist", "--role", "administrator")
    assert added == {"account": "ana", "name": "Ana Lindqvist", "role": "administrator"}
    engine = open_database(database)
    unlock(engine, [KEY])
    token = sign_in(engine, "ana", PASSWORD, "192.0.2.1")
    assert run("staff", "list")["active"] is True
    run("staff", "password", "ana")
    assert signed_in(engine, token) is None
    run("staff", "deactivate", "ana")
    assert run("staff", "list")["active"] is False
    assert PASSWORD not in json.dumps(run("audit"))
    engine.dispose()


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("staff", "add", "a b", "--name", "A"), "up to 64"),
        (("staff", "deactivate", "nobody"), "no account 'nobody'"),
        (("staff", "password", "nobody"), "no account 'nobody'"),
        (("import", "label-studio", "nothing.json", "--account", "nobody"), "no active account"),
    ],
)
def test_what_makes_no_sense_is_refused(
    refuse: Run,  # noqa: F811
    database: str,  # noqa: F811
    words: tuple[str, ...],
    fault: str,
) -> None:
    assert fault in refuse(*words)


def test_a_short_password_is_refused(
    refuse: Run,  # noqa: F811
    database: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, "short")
    assert "at least 12" in refuse("staff", "add", "ana", "--name", "Ana")


def test_corrections_and_tasks_are_written_to_files(run: Run, database: str, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "corrections.jsonl"
    assert run("export", "corrections", "--out", str(out)) == {"file": str(out), "examples": 0}
    tasks, interface = tmp_path / "tasks.json", tmp_path / "interface.xml"
    run("export", "label-studio", "--out", str(tasks), "--interface", str(interface))
    assert json.loads(tasks.read_text()) == []
    assert "<Labels" in interface.read_text()
    run("staff", "add", "ana", "--name", "Ana")
    assert run("import", "label-studio", str(tasks), "--account", "ana") == {"corrections": 0}
