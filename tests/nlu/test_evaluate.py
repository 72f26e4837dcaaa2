"""Figures on cases that can be counted by hand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from domains.schema import OUT_OF_SCOPE
from nlu.data import Example, Span
from nlu.evaluate import NluReport, evaluate, latencies, parse_all, word_tags
from nlu.parser import Parser
from nlu.past import Past
from nlu.understanding import Entity, IntentScore, Understanding


class ScriptedParser:
    """Knows each message's understanding beforehand, and notes the batches it was given."""

    def __init__(self, *heard: Understanding) -> None:
        self.heard = {one.text: one for one in heard}
        self.batches: list[list[str]] = []

    pack = None

    def told(self, past: Past) -> tuple[str, ...]:
        return past.told

    def parse_many(self, texts: Sequence[str], contexts: Sequence[Sequence[str]]) -> list[Understanding]:
        assert len(texts) == len(contexts)
        self.batches.append(list(texts))
        return [self.heard[text] for text in texts]


def hear(
    text: str, *wishes: str, entities: tuple[tuple[int, int, str], ...] = (), sure: float = 0.9
) -> Understanding:
    scores = tuple(IntentScore(wish, sure) for wish in wishes) or (IntentScore("a", 1 - sure),)
    found = tuple(Entity(slot, start, end, text[start:end], None, 0.9) for start, end, slot in entities)
    return Understanding(text, scores, wishes, found, 0.0 if wishes else sure)


def report(examples: list[Example], *heard: Understanding) -> NluReport:
    return evaluate(cast(Parser, ScriptedParser(*heard)), examples)


def test_that_intent_figures_are_those_counted_by_hand() -> None:
    examples = [
        Example(t, (i,), None) for t, i in (("1", "a"), ("2", "a"), ("3", "a"), ("4", "b"), ("5", "c"))
    ]
    found = report(
        examples, *(hear(t, i) for t, i in (("1", "a"), ("2", "a"), ("3", "b"), ("4", "b"), ("5", "a")))
    )
    assert found.n == 5
    assert found.intent_accuracy == found.exact_match == pytest.approx(3 / 5)
    # a: 2 right, 3 found, 3 gold; b: 1 right, 2 found, 1 gold; c: none right
    assert found.intent_f1_macro == pytest.approx((4 / 6 + 2 / 3 + 0) / 3)
    assert found.ece == pytest.approx(0.3)
    assert found.slot_f1 is None
    assert "slot_f1" not in found.as_dict()
    assert "oos_recall" not in found.as_dict()


def test_that_doubt_about_a_message_that_is_not_refused_is_no_confidence() -> None:
    doubtful = replace(hear("1", "a", sure=0.3), out_of_scope=0.7)
    assert report([Example("1", ("a",), None)], doubtful).ece == pytest.approx(0.7)
    assert report([Example("2", ("b",), None)], hear("2", sure=0.7)).ece == pytest.approx(0.7)


def test_that_a_message_with_two_wishes_needs_both_in_any_order() -> None:
    examples = [Example("1", ("a", "b"), None), Example("2", ("a", "b"), None), Example("3", ("a",), None)]
    found = report(examples, hear("1", "b", "a"), hear("2", "a"), hear("3", "a", "b"))
    assert found.intent_accuracy == pytest.approx(1 / 3)


def test_that_slot_figures_are_seqevals_on_entities() -> None:
    text = "send 50 dollars to 4821 now"
    gold = (Span(5, 15, "amount"), Span(19, 23, "account"))
    examples = [Example(text + " " * n, ("a",), gold) for n in range(3)]
    right = ((5, 15, "amount"), (19, 23, "account"))
    found = report(
        examples,
        hear(text, "a", entities=right),
        hear(text + " ", "a", entities=((5, 7, "amount"), (19, 23, "account"))),  # too short
        hear(text + "  ", "a", entities=((19, 23, "ssn"), (5, 15, "amount"), (24, 27, "date"))),
    )
    # 6 entities in gold, 2 + 2 + 3 found, 2 + 1 + 1 right
    assert found.slot_f1 == pytest.approx(2 * 4 / (6 + 7))
    assert found.exact_match == pytest.approx(1 / 3)
    assert found.intent_accuracy == 1.0


def test_that_messages_without_known_slots_are_left_out_of_slot_figures() -> None:
    examples = [Example("one", ("a",), None), Example("two", ("a",), (Span(0, 3, "x"),))]
    found = report(
        examples, hear("one", "a", entities=((0, 3, "x"),)), hear("two", "a", entities=((0, 3, "x"),))
    )
    assert found.slot_f1 == 1.0
    assert found.exact_match == 1.0


def test_that_out_of_scope_figures_are_those_counted_by_hand() -> None:
    examples = [Example(str(n), (OUT_OF_SCOPE,), None) for n in range(4)]
    examples += [Example(str(n), ("a",), None) for n in range(4, 14)]
    heard = [hear(str(n)) for n in range(3)] + [hear("3", "a")]  # three of four are found
    heard += [hear("4"), hear("5", "b")] + [hear(str(n), "a") for n in range(6, 14)]
    found = report(examples, *heard)
    assert found.oos_recall == pytest.approx(3 / 4)
    assert found.oos_precision == pytest.approx(3 / 4)
    assert found.in_scope_accuracy == pytest.approx(8 / 10)
    assert found.in_scope_false_reject_rate == pytest.approx(1 / 10)
    assert found.intent_accuracy == pytest.approx(11 / 14)


def test_that_data_of_nothing_but_out_of_scope_has_no_figures_for_the_rest() -> None:
    found = report([Example("1", (OUT_OF_SCOPE,), None)], hear("1"))
    assert (found.oos_recall, found.oos_precision, found.in_scope_accuracy) == (1.0, 1.0, None)


def test_that_understandings_come_in_the_order_of_the_examples_though_parsed_by_length() -> None:
    texts = ["a much longer message", "mid size", "x", "another mid"]
    parser = ScriptedParser(*(hear(t, "a") for t in texts))
    heard = parse_all(cast(Parser, parser), [Example(t, ("a",)) for t in texts], batch_size=2)
    assert [h.text for h in heard] == texts
    assert parser.batches == [["x", "mid size"], ["another mid", "a much longer message"]]


def test_that_word_tags_follow_the_words_of_the_data_set_and_else_white_space() -> None:
    text = "pay $50, please"
    spans = [(4, 7, "amount")]
    assert word_tags(Example(text, ("a",)), spans) == ["O", "B-amount", "O"]
    cut = Example(text, ("a",), words=((0, 3), (4, 5), (5, 7), (7, 8), (9, 15)))
    assert word_tags(cut, spans) == ["O", "B-amount", "I-amount", "O", "O"]
    assert word_tags(Example("a b a", ("a",)), [(4, 5, "x")]) == ["O", "O", "B-x"]


def test_that_latencies_are_taken_one_message_at_a_time() -> None:
    parser = ScriptedParser(*(hear(str(n), "a") for n in range(9)))
    middle, high = latencies(cast(Parser, parser), [Example(str(n), ("a",)) for n in range(9)])
    assert parser.batches == [[str(n)] for n in range(9)]
    assert 0 <= middle <= high
