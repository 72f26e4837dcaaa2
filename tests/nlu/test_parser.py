"""A tiny model as a parser: spans in the customer's own text, and model folders, sound and broken."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from domains.schema import Pack
from moe.quantisation import dequantise, quantise
from nlu.calibration import Calibration
from nlu.data import Example, Span
from nlu.model import NluModel, Scores
from nlu.model_folder import CONFIG, PIECES, WEIGHTS
from nlu.parser import (
    ModelError,
    Parser,
    load_parser,
    question,
    save_parser,
)
from nlu.past import Past
from nlu.pieces import ContextWindow, PieceSplitter
from nlu.tags import spans_of_path, tag_rows
from nlu.understanding import IntentScore, Understanding

TEXTS = [
    "Send $50 to my account",
    "what is my balance",
    "4821",
    "MY NAME IS DANA",
    "🙂",
    "i lost the card " * 20,
]


@pytest.fixture
def parser(model: NluModel, splitter: PieceSplitter, pack: Pack) -> Parser:
    return Parser(model, splitter, Calibration(1.3, 0.4), pack)


def tag(parser: Parser, text: str, monkeypatch: pytest.MonkeyPatch, **slots: str) -> None:
    """Make the model tag the given parts of the text, as a trained one would."""
    spans = tuple(Span(text.index(part), text.index(part) + len(part), slot) for slot, part in slots.items())
    batch = parser.splitter([text], [()])
    rows = tag_rows([Example(text, ("inform",), spans)], batch, parser.model.config.tags)
    monkeypatch.setattr(parser.model, "decode", lambda scores: rows)
    monkeypatch.setattr("nlu.parser.may_be_two", lambda heard, requests: False)


# ── entities ──


@pytest.mark.parametrize(
    ("text", "part", "value"),
    [
        ("my name is dana whitfield", "dana whitfield", "Dana Whitfield"),
        ("MY NAME IS DANA WHITFIELD!", "DANA WHITFIELD", "DANA WHITFIELD"),
        ("my  name   is  Dana  Whitfield ", "Dana  Whitfield", "Dana Whitfield"),
        ("🙂🙂 Dana Whitfield 👩‍💻", "Dana Whitfield", "Dana Whitfield"),
        ("it's Zoë Øster, ok?", "Zoë Øster", "Zoë Øster"),
        ("name:\n\tDana\n", "Dana", "Dana"),
        ("İ am Dana", "Dana", "Dana"),
    ],
)
def test_that_an_entity_is_a_span_of_the_customers_own_text(
    parser: Parser, monkeypatch: pytest.MonkeyPatch, text: str, part: str, value: str
) -> None:
    tag(parser, text, monkeypatch, name=part)
    (entity,) = parser.parse(text).entities
    assert (entity.start, entity.end) == (text.index(part), text.index(part) + len(part))
    assert entity.text == part
    assert entity.slot == "name"
    assert (entity.value or "").casefold() == value.casefold()


def test_that_several_entities_keep_their_order_and_their_slots(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Dana Whitfield, ssn 4821, please  send $1,250.50 now"
    tag(parser, text, monkeypatch, name="Dana Whitfield", ssn="4821", transfer_amount="$1,250.50")
    found = [(e.slot, e.text, e.value) for e in parser.parse(text).entities]
    assert found == [
        ("name", "Dana Whitfield", "Dana Whitfield"),
        ("ssn", "4821", "4821"),
        ("transfer_amount", "$1,250.50", "1250.50"),
    ]


def test_that_an_entity_never_cuts_a_word(parser: Parser, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "that is dana4 ok"
    tag(parser, text, monkeypatch, name="ana")
    assert [e.text for e in parser.parse(text).entities] == ["dana4"]


def test_that_a_value_that_is_not_valid_comes_with_the_reason(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "my ssn is 48"
    tag(parser, text, monkeypatch, ssn="48")
    (entity,) = parser.parse(text).entities
    assert entity.value is None
    assert entity.problem == "it takes exactly the last four digits"


def test_that_a_message_of_nothing_the_tokeniser_knows_has_no_entities(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parser.model, "decode", lambda scores: [[1]])
    assert parser.parse("\ufffd").entities == ()


def test_that_untrained_entities_lie_inside_their_text_whatever_it_is(parser: Parser) -> None:
    odd = ["a", "  x ", "ÀÉÎ", "ß", "1" * 300, "\u200b4821", "你好 4821", "e\u0301te\u0301", "€50"]
    for text, heard in zip([*TEXTS, *odd], parser.parse_many([*TEXTS, *odd], [()] * 15), strict=True):
        assert heard.text == text
        for entity in heard.entities:
            assert entity.text == text[entity.start : entity.end] != ""
            assert 0 <= entity.confidence <= 1


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        (["O", "B-a", "I-a", "O"], [("a", 1, 2)]),
        (["B-a", "B-a"], [("a", 0, 0), ("a", 1, 1)]),
        (["I-a", "I-a"], [("a", 0, 1)]),
        (["B-a", "I-b", "I-b"], [("a", 0, 0), ("b", 1, 2)]),
        (["B-a", "O", "I-a"], [("a", 0, 0), ("a", 2, 2)]),
        ([], []),
    ],
)
def test_that_tags_become_spans(tags: list[str], spans: list[tuple[str, int, int]]) -> None:
    assert spans_of_path(tags) == spans


# ── intents ──


def answer(
    parser: Parser, monkeypatch: pytest.MonkeyPatch, logits: list[float], several: float = -9.0
) -> None:
    """Make the model give these intent logits to any message."""
    forward: Callable[..., Scores] = parser.model.forward

    def fixed(batch: Any) -> Scores:
        rows = len(batch.lengths)
        scores = forward(batch)
        return replace(scores, intents=torch.tensor([logits] * rows), several=torch.full((rows,), several))

    monkeypatch.setattr(parser.model, "forward", fixed)


def test_that_intents_are_ranked_by_their_calibrated_probability(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(parser, monkeypatch, [1.0, 3.0, 2.0, 0.0])
    heard = parser.parse("hello")
    expected = (torch.tensor([3.0, 2.0, 1.0]) / 1.3).exp() / (
        torch.tensor([3.0, 2.0, 1.0, 0.0]) / 1.3
    ).exp().sum()
    assert [s.intent for s in heard.intents] == ["check_balance", "inform", "transfer_money"]
    assert [s.probability for s in heard.intents] == pytest.approx(expected.tolist(), rel=1e-2)
    assert heard.wishes == ("check_balance",)
    assert heard.out_of_scope == pytest.approx(1 - sum(expected.tolist()), rel=1e-3)


def test_that_nothing_is_taken_from_a_message_out_of_scope(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(parser, monkeypatch, [1.0, 0.0, 0.0, 3.0])
    heard = parser.parse("hello")
    assert heard.wishes == ()
    assert heard.out_of_scope > 0.4
    assert "out_of_scope" not in [s.intent for s in heard.intents]


def test_that_the_threshold_of_the_calibration_decides(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(parser, monkeypatch, [1.0, 0.0, 0.0, 1.0])
    outside = parser.parse("hello").out_of_scope
    for threshold, wishes in ((outside - 0.01, ()), (outside + 0.01, ("transfer_money",))):
        parser.calibration = Calibration(1.3, threshold)
        assert parser.parse("hello").wishes == wishes


def test_that_two_wishes_are_taken_where_the_model_hears_several(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(parser, monkeypatch, [4.0, 3.9, 0.0, 0.0], several=9.0)
    heard = parser.parse("hello")
    assert heard.wishes == ("transfer_money", "check_balance")
    assert all(score.probability > 0.8 for score in heard.intents[:2])


def test_that_a_second_wish_is_taken_only_where_it_is_likely_itself(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(parser, monkeypatch, [9.0, 1.0, 0.0, 0.0], several=9.0)
    assert parser.parse("hello").wishes == ("transfer_money",)


# ── context ──


def test_that_messages_read_by_clause_are_those_they_were_read_for(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["hello there", "order checks and my balance", "hi", "my balance and then order checks"]
    asked: list[tuple[list[str], list[tuple[str, ...]]]] = []

    def read(texts: list[str], contexts: list[tuple[str, ...]]) -> list[Understanding]:
        asked.append((list(texts), list(contexts)))
        first, second = ("order_checks", "check_balance")
        scores = {
            True: (IntentScore(first, 0.9), IntentScore(second, 0.8)),
            False: (IntentScore("greeting", 0.9), IntentScore(first, 0.01)),
        }
        clause = {"order checks": (IntentScore(first, 0.99),), "my balance": (IntentScore(second, 0.99),)}
        found = [clause.get(text, scores[" and " in text]) for text in texts]
        return [Understanding(text, one, (first,), (), 0.0) for text, one in zip(texts, found, strict=True)]

    monkeypatch.setattr(parser, "_read", read)
    monkeypatch.setitem(vars(parser), "speller", None)
    found = parser.parse_many(texts, [(name,) for name in "abcd"])
    assert asked[1] == (
        ["order checks", "my balance", "my balance", "order checks"],
        [("b",), ("b",), ("d",), ("d",)],
    )
    assert found[1].wishes == ("order_checks", "check_balance")
    assert found[3].wishes == ("check_balance", "order_checks")
    assert [found[i].wishes for i in (0, 2)] == [("order_checks",)] * 2


def test_that_the_question_just_asked_stands_first_in_the_context(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    splitter = parser.splitter

    def spy(texts: Any, contexts: Any) -> Any:
        seen.append([list(context) for context in contexts])
        return splitter(texts, contexts)

    monkeypatch.setattr(parser, "splitter", spy)
    monkeypatch.setitem(vars(parser), "speller", None)
    parser.parse("4821", ["send $50"], asked="ssn")
    parser.parse("4821", ["send $50"])
    assert seen == [[["last four digits of your Social Security number?", "send $50"]], [["send $50"]]]


def test_that_the_question_is_the_slots_label(pack: Pack) -> None:
    assert question(pack, "ssn") == "last four digits of your Social Security number?"


# ── folders ──


@pytest.fixture
def folder(parser: Parser, tokenizer_file: Path, tmp_path: Path) -> Path:
    save_parser(parser, tmp_path / "model", tokenizer_file)
    return tmp_path / "model"


def test_that_a_saved_parser_gives_the_same_probabilities_up_to_rounding(
    parser: Parser, folder: Path, pack: Pack
) -> None:
    loaded = load_parser(folder, pack)
    assert loaded.calibration == parser.calibration
    assert loaded.model.config == parser.model.config
    contexts = [()] * len(TEXTS)
    pairs = zip(parser.parse_many(TEXTS, contexts), loaded.parse_many(TEXTS, contexts), strict=True)
    for before, after in pairs:
        known = {score.intent: score.probability for score in before.intents}
        assert {s.intent: s.probability for s in after.intents} == pytest.approx(known, abs=0.02)
        assert after.out_of_scope == pytest.approx(before.out_of_scope, abs=0.02)


def test_that_nothing_but_rounding_is_lost_on_the_way_to_disk(
    parser: Parser, tokenizer_file: Path, pack: Pack, tmp_path: Path
) -> None:
    parser.model.load_state_dict(dequantise(quantise(parser.model.state_dict())))
    save_parser(parser, tmp_path, tokenizer_file)
    loaded = load_parser(tmp_path, pack, full_precision=True)
    contexts = [("my card",)] * len(TEXTS)
    before, after = parser.parse_many(TEXTS, contexts), loaded.parse_many(TEXTS, contexts)
    assert [heard.wishes for heard in after] == [heard.wishes for heard in before]
    assert sum(len(heard.entities) for heard in before) > 5
    assert [[replace(e, confidence=0) for e in heard.entities] for heard in after] == [
        [replace(e, confidence=0) for e in heard.entities] for heard in before
    ]


def test_that_loading_twice_gives_the_very_same_figures(folder: Path, pack: Pack) -> None:
    first, second = load_parser(folder, pack), load_parser(folder, pack)
    assert first.parse("send money") == second.parse("send money")


def test_that_a_parser_without_a_pack_finds_spans_but_no_values(folder: Path) -> None:
    parser = load_parser(folder, None)
    for heard in parser.parse_many(TEXTS, [()] * len(TEXTS)):
        assert all(entity.value is None and entity.problem == "" for entity in heard.entities)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, PIECES])
def test_that_a_missing_file_is_named_with_the_remedy(folder: Path, pack: Pack, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: file is missing; train a model with: chatbot train nlu"):
        load_parser(folder, pack)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, PIECES])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.97])
def test_that_a_truncated_file_is_named(folder: Path, pack: Pack, name: str, share: float) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match=name):
        load_parser(folder, pack)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, PIECES])
def test_that_a_foreign_file_is_named(folder: Path, pack: Pack, name: str) -> None:
    (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00 not what it should be")
    with pytest.raises(ModelError, match=name):
        load_parser(folder, pack)


def change_config(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    data = json.loads((folder / CONFIG).read_text())
    change(data)
    (folder / CONFIG).write_text(json.dumps(data))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("calibration"),
        lambda data: data["nlu"].pop("intents"),
        lambda data: data["nlu"].update(colour="red"),
        lambda data: data["nlu"]["encoder"].update(top_k=99),
        lambda data: data.update(nlu="tiny"),
        lambda data: data.update(nlu=[1]),
    ],
)
def test_that_a_configuration_of_another_version_is_refused(
    folder: Path, pack: Pack, change: Callable[[dict[str, Any]], Any]
) -> None:
    change_config(folder, change)
    with pytest.raises(ModelError, match=r"config\.json: not a configuration of this version"):
        load_parser(folder, pack)


def test_that_weights_of_another_size_are_refused(folder: Path, pack: Pack) -> None:
    change_config(folder, lambda data: data["nlu"].update(lstm_width=9))
    with pytest.raises(ModelError, match=r"model\.safetensors: broken or of another configuration"):
        load_parser(folder, pack)


def test_that_weights_with_a_tensor_less_are_refused(folder: Path, pack: Pack) -> None:
    weights = load_file(folder / WEIGHTS)
    del weights["crf.transitions"]
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(ModelError, match=r"model\.safetensors: broken or of another configuration"):
        load_parser(folder, pack)


@pytest.mark.parametrize(("kind", "name"), [("intents", "fly_to_the_moon"), ("slots", "planet")])
def test_that_a_model_of_another_pack_is_refused(folder: Path, pack: Pack, kind: str, name: str) -> None:
    change_config(folder, lambda data: data["nlu"][kind].insert(0, name))
    with pytest.raises(
        ModelError, match=rf"config\.json: trained for another pack; '{name}' is not in 'banking'"
    ):
        load_parser(folder, pack)


def test_that_a_folder_can_be_moved(folder: Path, pack: Pack, tmp_path: Path) -> None:
    expected = load_parser(folder, pack).parse("send money")
    shutil.move(folder, tmp_path / "elsewhere")
    assert load_parser(tmp_path / "elsewhere", pack).parse("send money") == expected


def test_the_past_is_read_only_by_a_model_that_was_trained_with_one(parser: Parser) -> None:
    past = Past(("send",), ("ssn",))
    assert parser.told(past) == ("send: ssn",)
    unaware = replace(parser.model.config, context=ContextWindow(past=False))
    parser.model.config, before = unaware, parser.model.config
    try:
        assert parser.told(past) == ()
    finally:
        parser.model.config = before
