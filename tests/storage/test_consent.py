"""What counts as the customer's own yes."""

import pytest

from domains.schema import Pack
from storage.consent import gives_consent


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "Yes, go ahead",
        "YES!!!",
        "y",
        "Y.",
        "yep",
        "yeah sure",
        "ok",
        "Okay, please do",
        "go ahead",
        "go  ahead please",
        "that's right",
        "That’s right.",
        "sounds good",
        "confirmed",
        "of course",
        "yes 👍",
        "I confirm",
    ],
)
def test_that_an_explicit_yes_is_one(pack: Pack, text: str) -> None:
    assert gives_consent(text, pack)


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "nope",
        "yes but make it 300",
        "yes, no, wait",
        "ok, stop",
        "yes, change the amount",
        "sure, but not today",
        "don't do it",
        "Don’t go ahead",
        "do not go ahead",
        "that isn't right",
        "that's wrong",
        "yes, to the other account instead",
        "yes cancel it",
        "hold on, ok",
    ],
)
def test_that_a_refusal_takes_the_yes_back(pack: Pack, text: str) -> None:
    assert not gives_consent(text, pack)


@pytest.mark.parametrize(
    "text", ["", "👍", "300", "yesterday", "books", "alright", "copyright", "my card", "why?", "yy", "surely"]
)
def test_that_words_that_merely_contain_a_yes_are_none(pack: Pack, text: str) -> None:
    assert not gives_consent(text, pack)


def test_that_every_word_of_consent_and_of_refusal_of_the_pack_is_heard(pack: Pack) -> None:
    for word in pack.domain.consent:
        assert gives_consent(f"{word.upper()}!", pack), word
        for refusal in pack.domain.refusal:
            assert not gives_consent(f"{word}, {refusal}", pack), (word, refusal)
