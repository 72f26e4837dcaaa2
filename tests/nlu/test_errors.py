"""The table of NLU errors from which policies learn."""

from dataclasses import replace
from pathlib import Path

import pytest

from domains.schema import OUT_OF_SCOPE
from nlu.data import Example, Span
from nlu.errors import FILE, QUANTILES, NluErrors, load_errors, measure, save_errors
from nlu.parser import ModelError
from nlu.understanding import Entity, IntentScore, Understanding


def heard(wish: str | None, probability: float, *entities: tuple[str, int, int, float]) -> Understanding:
    scores = (IntentScore(wish or "a", probability if wish else 0.1),)
    found = tuple(Entity(slot, start, end, "", None, confidence) for slot, start, end, confidence in entities)
    return Understanding("text", scores, (wish,) if wish else (), found, 0.0 if wish else probability)


def test_that_confusions_are_counted_by_the_true_intent() -> None:
    examples = [Example("x", ("a",))] * 4 + [Example("x", ("b",))]
    found = measure(
        examples, [heard("a", 0.9), heard("a", 0.8), heard("b", 0.6), heard(None, 0.7), heard("b", 0.5)]
    )
    # Three of five are right, so to each intent four messages are added of which 2.4 are.
    assert found.intents == {
        "a": pytest.approx({"a": 4.4 / 8, "b": 1.8 / 8, OUT_OF_SCOPE: 1.8 / 8}),
        "b": pytest.approx({"b": 3.4 / 5, OUT_OF_SCOPE: 1.6 / 5}),
    }
    assert (found.right_confidence[0], found.right_confidence[-1]) == (0.5, 0.9)
    assert (found.wrong_confidence[0], found.wrong_confidence[-1]) == (0.6, 0.7)
    assert len(found.right_confidence) == QUANTILES


def test_that_messages_with_two_wishes_are_left_out() -> None:
    found = measure([Example("x", ("a", "b")), Example("x", ("a",))], [heard("a", 0.9), heard("a", 0.9)])
    assert found.intents == {"a": {"a": 1.0, OUT_OF_SCOPE: 0.0}}


def test_that_an_intent_with_one_misheard_message_is_still_understood_at_times() -> None:
    examples = [Example("x", ("a",))] * 9 + [Example("x", ("b",))]
    found = measure(examples, [heard("a", 0.9)] * 10)
    assert 0.5 < found.intents["b"]["b"] < 0.9
    assert found.intents["b"]["a"] == pytest.approx(1 - found.intents["b"]["b"])


def test_that_values_are_right_wrong_or_missed() -> None:
    example = Example(
        "x" * 40, ("a",), (Span(0, 4, "x"), Span(10, 14, "x"), Span(20, 24, "y"), Span(30, 34, "y"))
    )
    understanding = heard("a", 0.9, ("x", 0, 4, 0.95), ("x", 10, 13, 0.6), ("x", 20, 24, 0.4))
    found = measure([example], [understanding])
    assert found.slot_missed == pytest.approx(1 / 4)
    assert found.slot_wrong == pytest.approx(2 / 4)
    assert set(found.slot_confidence) == {0.95}
    assert (found.slot_wrong_confidence[0], found.slot_wrong_confidence[-1]) == (0.4, 0.6)


def test_that_quantiles_of_nothing_are_even() -> None:
    found = measure([Example("x", ("a",), None)], [heard("a", 0.9)])
    assert set(found.wrong_confidence) == {0.5}
    assert (found.slot_missed, found.slot_wrong) == (0.0, 0.0)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_that_a_uniform_table_errs_at_its_rate_and_its_rows_add_up_to_one(rate: float) -> None:
    intents = ["a", "b", "c", OUT_OF_SCOPE]
    table = NluErrors.uniform(rate, intents)
    for intent in intents:
        assert table.intents[intent][intent] == pytest.approx(1 - rate)
        assert sum(table.intents[intent].values()) == pytest.approx(1.0)
    assert table.slot_missed + table.slot_wrong == pytest.approx(rate)


def test_that_a_table_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    table = replace(NluErrors.uniform(0.2, ["a", "b"]), slot_missed=0.125)
    save_errors(table, tmp_path)
    assert load_errors(tmp_path) == table


def test_that_a_missing_table_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"{FILE}: file is missing; write it with: chatbot evaluate nlu"):
        load_errors(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"intents": {}}', '{"colour": 1}', '"text"'])
def test_that_another_file_is_no_table(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ModelError, match=rf"{FILE}: not a table of NLU errors"):
        load_errors(tmp_path)
