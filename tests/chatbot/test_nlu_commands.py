"""The commands that check, train and score the NLU, with data as users bring it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from chatbot.cli import main
from moe.encoder import MixtureEncoder
from nlu.pretrained import load_encoder, save_encoder
from tests.nlu.conftest import TINY, tokenizer_file

__all__ = ["tokenizer_file"]

Run = Callable[..., tuple[int, str, list[str]]]
JSONL = '{"text": "send $50", "intent": "send"}\n{"text": "hello", "intent": "greet"}\n'


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`chatbot WORDS`: exit code, standard output, lines of standard error."""

    def run(*words: str | Path) -> tuple[int, str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["chatbot", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err.splitlines()

    return run


BAD = {
    "unknown format": ("d.csv", "text,category\n", "csv9", "unknown data format 'csv9'; known: multidogo"),
    "empty": ("d.jsonl", "", "jsonl", "d.jsonl:1: file is empty"),
    "one class": (
        "d.jsonl",
        '{"text": "a", "intent": "x"}\n' * 2,
        "jsonl",
        "d.jsonl:1: all examples have the intent 'x'",
    ),
    "no intent": (
        "d.jsonl",
        JSONL + '{"text": "a"}\n',
        "jsonl",
        "d.jsonl:3: not a row with text, intent, entities (intent",
    ),
    "label without text": (
        "d.jsonl",
        JSONL + '{"text": " ", "intent": "x"}\n',
        "jsonl",
        "d.jsonl:3: text is empty",
    ),
    "no json": (
        "d.jsonl",
        JSONL + "text\n",
        "jsonl",
        "d.jsonl:3: not a row with text, intent, entities (Invalid JSON",
    ),
    "outside": (
        "d.jsonl",
        JSONL + '{"text": "a", "intent": "x", "entities": [{"start": 0, "end": 2, "slot": "s"}]}',
        "jsonl",
        "d.jsonl:3: span 0–2 lies outside of the text",
    ),
    "overlap": (
        "d.jsonl",
        JSONL + '{"text": "a b c", "intent": "x", "entities": [{"start": 2, "end": 5, "slot": "s"}, '
        '{"start": 0, "end": 3, "slot": "t"}]}',
        "jsonl",
        "d.jsonl:3: spans 0–3 (t) and 2–5 (s) overlap",
    ),
    "latin-1": (
        "d.csv",
        b"text,category\nhi,a\ncaf\xe9,b\n",
        "banking77",
        "d.csv:3: cannot be read as UTF-8 text",
    ),
    "columns": (
        "d.csv",
        "text,label\nhi,a\n",
        "banking77",
        "d.csv:1: columns 'text' and 'category' are needed",
    ),
    "open quote": ("d.csv", 'text,category\nhi,a\n"so,b\nx,c\n', "banking77", "d.csv:3: not valid CSV"),
    "table": ("d.tsv", "text\tintent\nhi\ta\n", "multidogo", "d.tsv:1: not a MultiDoGO table"),
    "json": ("d.json", '{"train": [\n["a"', "clinc150", "d.json:2: not valid JSON"),
    "all malformed": (
        "d.json",
        '{"train": [["a", "b"],\n[1], [2]]}',
        "clinc150",
        "d.json:2: not [text, intent]; more rows",
    ),
    "file for folder": ("d.txt", "x", "slu", "d.txt: format slu is a folder with seq.in, seq.out, label"),
}


@pytest.mark.parametrize(("name", "content", "data_format", "cause"), BAD.values(), ids=BAD)
def test_that_bad_data_ends_in_one_line_with_file_and_line(
    run: Run, tmp_path: Path, name: str, content: str | bytes, data_format: str, cause: str
) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    words = ("--no-pack", "--data", tmp_path / name, "--format", data_format)
    for command in (("check", "nlu", "--json"), ("train", "nlu", "--out", tmp_path / "out", "--json")):
        code, _, errors = run(*command, *words)
        assert code == 1
        assert len(errors) == 1
        assert cause in errors[0]
    assert not (tmp_path / "out").exists()


def test_that_a_sentence_that_looks_like_another_intents_is_shown(run: Run, tmp_path: Path) -> None:
    rows = {
        "pizza": [
            "a pizza please",
            "I want a large pizza",
            "order pizza",
            "one pizza with cheese",
            "pizza and a coke",
        ],
        "rain": [
            "will it rain today",
            "is it raining",
            "rain tomorrow?",
            "does it rain on sunday",
            "how much rain",
        ],
    }
    rows["rain"].append("could I have a small pizza")
    lines = [json.dumps({"text": text, "intent": intent}) for intent in rows for text in rows[intent]]
    (tmp_path / "d.jsonl").write_text("\n".join(lines))
    words = (
        "check",
        "nlu",
        "--no-pack",
        "--data",
        tmp_path / "d.jsonl",
        "--format",
        "jsonl",
        "--suspects",
        "3",
    )
    code, out, _ = run(*words, "--json")
    first = {"text": "could I have a small pizza", "intent": "rain", "looks_like": "pizza"}
    assert code == 0
    assert json.loads(out)["suspects"] == [{**first, "place": f"{tmp_path / 'd.jsonl'}:11"}]
    assert "rain, or pizza? could I have a small pizza" in run(*words)[1]
    assert json.loads(run(*words[:-2], "--json")[1])["suspects"] == []


def test_that_parallel_files_of_different_length_are_named_with_the_line(run: Run, tmp_path: Path) -> None:
    for name, lines in (("seq.in", "a\nb\n"), ("seq.out", "O\nO\n"), ("label", "x\n")):
        (tmp_path / name).write_text(lines)
    code, _, errors = run("check", "nlu", "--no-pack", "--data", tmp_path, "--format", "slu")
    assert code == 1
    assert "label:1: the files have different numbers of lines (seq.in 2, seq.out 2, label 1)" in errors[0]


def test_that_options_that_do_not_fit_together_are_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(JSONL)
    data = ("--data", tmp_path / "d.jsonl", "--format", "jsonl")
    for words, cause in (
        (("--no-pack",), "--no-pack needs --data"),
        (("--no-pack", "--domain", tmp_path, *data), "exclude each other"),
        (("--no-pack", *data, "--validate", "x"), "1 --validate but 0 --validate-format"),
        (
            ("--no-pack", *data, "--exclude", tmp_path / "d.jsonl", "--exclude-format", "jsonl"),
            "no example is left",
        ),
    ):
        code, _, errors = run("check", "nlu", *words)
        assert code == 1
        assert cause in errors[0]


def test_that_warnings_are_reported_and_do_not_stop(run: Run, tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_text(JSONL + JSONL + JSONL.replace("greet", "send"))
    words = ("check", "nlu", "--no-pack", "--data", tmp_path / "d.jsonl", "--format", "jsonl")
    code, out, errors = run(*words, "--json")
    report = json.loads(out)
    kinds = {finding["kind"]: finding["count"] for finding in report["findings"]}
    assert (code, errors) == (0, [])
    assert kinds == {"duplicates": 3, "contradictory intents": 1, "few examples: intent": 2}
    assert report["intents"] == {"send": 4, "greet": 2}
    code, out, _ = run(*words)
    assert code == 0
    assert f"{tmp_path / 'd.jsonl'}:2 'hello' is greet, {tmp_path / 'd.jsonl'}:6 says send" in out


@pytest.fixture
def encoder(tmp_path: Path, tokenizer_file: Path) -> Path:
    """A tiny encoder to start from."""
    torch.manual_seed(0)
    save_encoder(MixtureEncoder(TINY), tmp_path / "encoder", tokenizer_file)
    return tmp_path / "encoder"


def test_that_a_model_is_trained_validated_and_scored_without_a_pack(
    run: Run, encoder: Path, tmp_path: Path
) -> None:
    lines = {"seq.in": "", "seq.out": "", "label": ""}
    for number in range(20):
        lines["seq.in"] += f"send {number} dollars\nhow much is my balance\n"
        lines["seq.out"] += "O B-amount I-amount\nO O O O O\n"
        lines["label"] += "transfer\nBalance\n"
    for name, text in lines.items():
        (tmp_path / name).write_text(text)
    data, out = ("--data", tmp_path, "--format", "slu"), tmp_path / "run"
    validate = ("--validate", tmp_path, "--validate-format", "slu")
    words = ("train", "nlu", "--no-pack", *data, *validate, "--epochs", "60", "--patience", "9", "--out", out)
    words += ("--encoder", encoder, "--encoder-rate", "0.003", "--head-rate", "0.03")
    code, trained, errors = run(*words, "--json")
    assert code == 0, errors
    told = json.loads(trained.splitlines()[-1])
    assert told["validation_exact_match"] > 0.9
    assert 1 <= told["best_epoch"] <= 60
    assert told["data"]["slots"] == {"amount": 20}

    code, scored, _ = run("evaluate", "nlu", "--model", out, *data, "--json")
    assert json.loads(scored)["exact_match"] > 0.9
    code, heard, _ = run("understand", "send 7 dollars", "--model", out, "--json")
    assert json.loads(heard)["wishes"] == ["transfer"]
    assert json.loads(heard)["entities"][0]["slot"] == "amount"


@pytest.mark.parametrize("broken", ["missing", "truncated", "configuration"])
def test_that_an_encoder_that_cannot_be_used_is_named(run: Run, encoder: Path, broken: str) -> None:
    if broken == "missing":
        (encoder / "model.safetensors").unlink()
    elif broken == "truncated":
        (encoder / "model.safetensors").write_bytes(b"x" * 100)
    else:
        (encoder / "config.json").write_text("{}{")
    data = encoder.parent / "d.jsonl"
    data.write_text(JSONL * 3)
    words = (
        "train",
        "nlu",
        "--no-pack",
        "--data",
        data,
        "--format",
        "jsonl",
        "--out",
        encoder.parent / "run",
    )
    code, _, errors = run(*words, "--encoder", encoder)
    assert code == 1
    assert errors[-1].startswith(f"error: {encoder}")


def test_that_an_encoder_is_made_of_the_dense_one_and_can_be_trained_from(run: Run, tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("\n".join(f"where is my card number {n}, please" for n in range(60)), encoding="utf-8")
    out = tmp_path / "made"
    words = ("train", "encoder", "--data", lines, "--format", "lines", "--steps", "2", "--out", out)
    code, told, errors = run(*words, "--json")
    assert code == 0, errors
    figures = json.loads(told.splitlines()[-1])
    assert figures["agreement_before"] > 0.6
    assert figures["active_share"] < 0.6
    assert load_encoder(out).config.active_share == figures["active_share"]


def test_that_every_data_of_an_encoder_needs_a_format(run: Run, tmp_path: Path) -> None:
    code, _, errors = run(
        "train", "encoder", "--data", "a", "--data", "b", "--format", "sgd", "--out", tmp_path
    )
    assert (code, errors[-1]) == (1, "error: 2 --data but 1 --format; give one for each")
