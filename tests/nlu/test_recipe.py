"""The recipe follows the data."""

import pytest

from nlu.data import Example
from nlu.recipe import TrainConfig, is_scarce, recipe


def pack(intents: int, sentences: int) -> list[Example]:
    return [Example(f"{i} {s}", (f"intent{i}",)) for i in range(intents) for s in range(sentences)]


@pytest.mark.parametrize(("sentences", "scarce"), [(5, True), (20, True), (21, False), (130, False)])
def test_that_up_to_twenty_sentences_an_intent_are_few(sentences: int, scarce: bool) -> None:
    assert is_scarce(pack(8, sentences)) == scarce


def test_that_one_large_intent_does_not_make_the_others_rich() -> None:
    assert is_scarce([*pack(8, 8), *(Example(str(n), ("out_of_scope",)) for n in range(500))])


def test_that_few_sentences_are_seen_more_often_and_never_endlessly() -> None:
    assert recipe(pack(77, 5)).epochs > recipe(pack(77, 10)).epochs > recipe(pack(77, 100)).epochs
    assert recipe(pack(77, 100)).epochs == TrainConfig.epochs
    assert recipe(pack(8, 8)).epochs <= 60


def test_that_what_is_asked_for_wins() -> None:
    config = recipe(pack(8, 8), epochs=3, seed=5, head_rate=0.1)
    assert (config.epochs, config.seed, config.head_rate) == (3, 5, 0.1)


def test_that_few_sentences_are_contrasted_and_many_are_not() -> None:
    assert recipe(pack(8, 8)).contrast is not None
    assert recipe(pack(8, 100)).contrast is None
    assert recipe(pack(8, 8), contrast=None).contrast is None
