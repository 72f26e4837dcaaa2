"""The banking pack's training sentences and reply phrasings: enough, unambiguous, on the pack's own slots."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domains.document import Document
from domains.loader import load_pack, required_replies
from domains.schema import OPTIONAL_PART, OUT_OF_SCOPE, PLACEHOLDER, Pack

PACK = Path(__file__).parents[2] / "domains" / "banking"
LEAST_EXAMPLES = {"task": 40, "social": 40, "faq": 3}
LEAST_OUT_OF_SCOPE = 150
LEAST_TWO_WISHES = 60
LEAST_MENTIONS_IN_INFORM = 5


def read_examples(name: str) -> Any:
    return Document(PACK / "examples" / f"{name}.yaml").data


def sentences() -> Iterator[tuple[str, str]]:
    """Every sentence that stands under an intent, with the intent."""
    for name in ("task", "social", "faq", "out_of_scope"):
        for intent, texts in read_examples(name).items():
            for text in texts:
                yield intent, text


@pytest.fixture(scope="module")
def pack() -> Pack:
    return load_pack(PACK)


@pytest.mark.parametrize("kind", ["task", "social", "faq"])
def test_every_intent_stands_in_the_file_of_its_kind_with_enough_sentences(pack: Pack, kind: str) -> None:
    counts = {intent: len(texts) for intent, texts in read_examples(kind).items()}
    assert set(counts) == {name for name, intent in pack.intents.items() if intent.kind == kind}
    assert {intent: count for intent, count in counts.items() if count < LEAST_EXAMPLES[kind]} == {}


def test_there_are_enough_sentences_that_the_bank_cannot_serve() -> None:
    examples = read_examples("out_of_scope")
    assert list(examples) == [OUT_OF_SCOPE]
    assert len(examples[OUT_OF_SCOPE]) >= LEAST_OUT_OF_SCOPE


def test_every_sentence_is_a_text() -> None:
    assert [
        (intent, text) for intent, text in sentences() if not isinstance(text, str) or not text.strip()
    ] == []


def test_no_sentence_stands_twice() -> None:
    counts = Counter(text.casefold() for _, text in sentences())
    assert [text for text, count in counts.items() if count > 1] == []


def test_every_placeholder_is_a_slot(pack: Pack) -> None:
    texts = [text for _, text in sentences()] + [entry["text"] for entry in read_examples("two_wishes")]
    used = {slot for text in texts for slot in PLACEHOLDER.findall(text)}
    assert used - set(pack.slots) == set()


def test_every_slot_has_values_and_every_value_is_a_text(pack: Pack) -> None:
    values = read_examples("values")
    assert set(values) == set(pack.slots)
    assert [slot for slot, texts in values.items() if not texts] == []
    assert [text for texts in values.values() for text in texts if not isinstance(text, str)] == []


def test_every_value_of_a_choice_holds_a_word_that_names_the_choice(pack: Pack) -> None:
    values = read_examples("values")
    for name, slot in pack.slots.items():
        words = [word for meanings in slot.choices.values() for word in meanings]
        unnamed = [
            text
            for text in (values[name] if words else [])
            if not any(word in text.casefold().replace("-", " ") for word in words)
        ]
        assert unnamed == [], name


def test_every_slot_is_given_on_its_own_in_several_ways(pack: Pack) -> None:
    counts = Counter(
        slot for text in read_examples("social")["inform"] for slot in set(PLACEHOLDER.findall(text))
    )
    assert {slot: counts[slot] for slot in pack.slots if counts[slot] < LEAST_MENTIONS_IN_INFORM} == {}


def test_every_message_with_two_wishes_names_two_different_intents(pack: Pack) -> None:
    entries = read_examples("two_wishes")
    assert len(entries) >= LEAST_TWO_WISHES
    assert len({entry["text"].casefold() for entry in entries}) == len(entries)
    for entry in entries:
        assert set(entry) == {"text", "intents"}
        assert len(set(entry["intents"])) == 2, entry
        assert set(entry["intents"]) <= set(pack.intents), entry


def test_every_action_has_a_reply(pack: Pack) -> None:
    assert set(required_replies(pack.domain)) == set(pack.replies)


def test_all_phrasings_of_an_action_state_the_same_facts(pack: Pack) -> None:
    # How the bank and the assistant are called is no fact about the customer's business.
    names = {"business", "assistant"}
    for key, phrasings in pack.replies.items():
        stated = {frozenset(PLACEHOLDER.findall(text)) - names for text in phrasings}
        assert len(stated) == 1, key


def test_a_confirmation_repeats_exactly_the_required_slots_and_where_given_optional_ones(pack: Pack) -> None:
    for name, task in pack.tasks.items():
        if task.confirm:
            for text in pack.replies[f"confirm.{name}"]:
                certain = set(task.slots) - set(task.may_skip)
                assert set(PLACEHOLDER.findall(OPTIONAL_PART.sub("", text))) == certain, text
                possible = set(PLACEHOLDER.findall(" ".join(OPTIONAL_PART.findall(text))))
                assert set(task.may_skip) <= possible <= {*task.may_skip, *task.optional}, text


def test_a_confirmation_names_the_account_that_money_is_taken_from(pack: Pack) -> None:
    for name in ("transfer_money", "order_checks"):
        for text in pack.replies[f"confirm.{name}"]:
            assert "{account_number}" in " ".join(OPTIONAL_PART.findall(text)), text


def test_an_outcome_states_all_its_facts(pack: Pack) -> None:
    for name, task in pack.tasks.items():
        if name != pack.domain.authentication.task:
            for outcome, facts in task.outcomes.items():
                for text in pack.replies[f"{name}.{outcome}"]:
                    assert set(facts) <= set(PLACEHOLDER.findall(text)), text


def test_a_rejected_detail_is_given_its_reason(pack: Pack) -> None:
    for key, phrasings in pack.replies.items():
        if key.startswith("invalid."):
            assert all("{reason}" in text for text in phrasings), key
