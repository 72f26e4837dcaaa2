"""simulate, retrain and the registry from the command line; bad input leaves the live policy alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from chatbot.cli import app, main
from dialog_policy.registry import from_folder, install_shipped
from domains.loader import load_pack
from storage.database import connection, open_database
from storage.migration import upgrade
from tests.shipped import SETTINGS

SHIPPED = SETTINGS.models / "policy"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'chatbot.db'}"


@pytest.fixture
def served(url: str) -> str:
    """A database as a server's first start leaves it."""
    engine = open_database(url)
    upgrade(engine)
    install_shipped(engine, *from_folder(SHIPPED, load_pack(SETTINGS.domain)))
    engine.dispose()
    return url


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else None


def rows(*arguments: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(app, ["policies", "list", *arguments, "--json"], catch_exceptions=False)
    return [json.loads(line) for line in result.stdout.strip().splitlines()]


def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """The one line with which the command ends."""
    monkeypatch.setattr("sys.argv", ["chatbot", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code not in (0, None)
    line = capsys.readouterr().err.strip()
    assert len(line.splitlines()) == 1, line
    return line


def version_of(folder: Path, name: str) -> Path:
    """A copy of the shipped policy under another name."""
    folder.mkdir()
    config = json.loads((SHIPPED / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "version": name}))
    (folder / "policy.safetensors").write_bytes((SHIPPED / "policy.safetensors").read_bytes())
    return folder


def test_that_a_version_is_added_promoted_and_rolled_back(served: str, tmp_path: Path) -> None:
    run("policies", "add", str(version_of(tmp_path / "new", "new")), "--database", served)
    run("policies", "promote", "new", "--canary", "0.2", "--database", served)
    assert {r["version"]: (r["status"], r["share"]) for r in rows("--database", served)} == {
        "ppo-1": ("live", 0.0),
        "new": ("canary", 0.2),
    }
    run("policies", "promote", "new", "--database", served, "--reason", "went well")
    assert {r["version"]: r["status"] for r in rows("--database", served)} == {
        "ppo-1": "retired",
        "new": "live",
    }
    assert run("policies", "rollback", "--database", served) == {"rolled_back": "new", "live": "ppo-1"}
    assert run("policies", "show", "new", "--database", served)["status"] == "rolled back"


def test_that_a_policy_the_judge_did_not_find_better_needs_force(
    served: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run("policies", "add", str(version_of(tmp_path / "new", "new")), "--database", served)
    engine = open_database(served)
    with connection(engine, write=True) as opened:
        opened.execute(
            text("UPDATE policies SET figures = '{\"verdict\": \"not better\"}' WHERE version = 'new'")
        )
    engine.dispose()
    line = refused(capsys, monkeypatch, "policies", "promote", "new", "--database", served)
    assert "not better" in line
    assert "--force" in line
    assert rows("--database", served)[0]["status"] == "live"
    run("policies", "promote", "new", "--force", "--database", served)
    assert rows("--database", served)[1]["status"] == "live"


@pytest.mark.parametrize("fault", ["cut", "features", "missing"])
def test_that_a_broken_policy_is_refused_and_nothing_changes(
    served: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    fault: str,
) -> None:
    folder = version_of(tmp_path / "new", "new")
    weights, config = folder / "policy.safetensors", folder / "config.json"
    if fault == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif fault == "features":
        config.write_text(json.dumps({**json.loads(config.read_text()), "feature_version": 1}))
    else:
        weights.unlink()
    line = refused(capsys, monkeypatch, "policies", "add", str(folder), "--database", served)
    assert str(folder) in line
    assert [r["version"] for r in rows("--database", served)] == ["ppo-1"]


def test_that_weights_damaged_in_the_database_are_not_promoted(
    served: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run("policies", "add", str(version_of(tmp_path / "new", "new")), "--database", served)
    engine = open_database(served)
    with connection(engine, write=True) as opened:
        opened.execute(text("UPDATE policies SET weights = 'AAAA' WHERE version = 'new'"))
    engine.dispose()
    assert "damaged" in refused(capsys, monkeypatch, "policies", "promote", "new", "--database", served)
    assert {r["version"]: r["status"] for r in rows("--database", served)}["ppo-1"] == "live"


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (("policies", "promote", "nobody"), "no policy 'nobody'"),
        (("policies", "show", "nobody"), "no policy 'nobody'"),
        (("policies", "rollback"), "nothing to roll back to"),
        (("policies", "promote", "ppo-1", "--canary", "0.1", "--shadow"), "exclude each other"),
        (("policies", "promote", "ppo-1"), "live already"),
        (("retrain", "--out", "unused"), "no conversation of pack 'banking'"),
    ],
)
def test_that_what_makes_no_sense_ends_in_one_line(
    served: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    cause: str,
) -> None:
    assert cause in refused(capsys, monkeypatch, *arguments, "--database", served)
    assert [r["status"] for r in rows("--database", served)] == ["live"]


def test_that_a_foreign_database_is_refused(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine = open_database(url)
    with connection(engine, write=True) as opened:
        opened.execute(text("CREATE TABLE songs (title TEXT)"))
    engine.dispose()
    line = refused(capsys, monkeypatch, "retrain", "--out", str(tmp_path / "out"), "--database", url)
    assert "not migrated" in line
    assert not (tmp_path / "out").exists()


def test_that_simulated_conversations_are_logged_and_too_few_are_not_learnt_from(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = run("simulate", "--episodes", "5", "--explore", "1", "--database", url)
    assert (told["policy"], told["episodes"], told["explored"]) == ("ppo-1", 5, 5)
    line = refused(capsys, monkeypatch, "retrain", "--out", str(tmp_path / "out"), "--database", url)
    assert "5 conversations can be learnt from" in line
