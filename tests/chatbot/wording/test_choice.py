"""Which writer the settings choose, and what is said where it is not there."""

import json
import re
import shutil
from pathlib import Path

import pytest

from chatbot.assembly import build_writer
from chatbot.reply import TemplateReply
from chatbot.settings import ROOT, Settings
from chatbot.wording.generated import GeneratedReply
from chatbot.wording.generator import GeneratorMissing
from domains.document import PackError
from domains.loader import load_pack
from domains.schema import Pack


def test_the_default_is_the_template(pack: Pack) -> None:
    assert isinstance(build_writer(Settings(), pack), TemplateReply)


def test_a_missing_generator_is_named_with_the_remedy(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(GeneratorMissing, match=r"generator/config\.json: .*--reply template"):
        build_writer(Settings(reply="moe", models=tmp_path), pack)


def test_a_folder_of_another_model_is_no_generator(pack: Pack, tmp_path: Path) -> None:
    folder = tmp_path / "generator"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(["no", "generator"]))
    with pytest.raises(GeneratorMissing, match="no configuration of a generator"):
        build_writer(Settings(reply="moe", models=tmp_path), pack)


def test_a_server_needs_an_address_and_a_model(pack: Pack) -> None:
    with pytest.raises(GeneratorMissing, match="CHATBOT_OPENAI_URL"):
        build_writer(Settings(reply="openai", openai_model="m"), pack)
    given = Settings(reply="openai", openai_model="m", openai_url="http://localhost:1/v1")
    assert isinstance(build_writer(given, pack), GeneratedReply)


def test_the_key_is_not_shown_with_the_settings() -> None:
    assert "hidden" not in repr(Settings(openai_key="hidden"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("wording: {generated: [ask.nothing]}", "'ask.nothing' is no reply"),
        ("wording: {tone: rude}", "tone"),
        ("wording: {mood: warm}", "mood"),
    ],
)
def test_a_pack_with_an_unknown_reply_tone_or_key_is_refused(line: str, cause: str, tmp_path: Path) -> None:
    folder = tmp_path / "banking"
    shutil.copytree(
        ROOT / "domains" / "banking", folder, ignore=shutil.ignore_patterns("__pycache__", "*.py")
    )
    path = folder / "domain.yaml"
    text = re.sub(r"^wording:.*\n(?: .*\n)*", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    path.write_text(text.replace("\nauthentication:", f"\n{line}\n\nauthentication:", 1), encoding="utf-8")
    with pytest.raises(PackError, match=cause):
        load_pack(folder)
