"""What the generator may write next."""

from dataclasses import replace

from chatbot.wording.constraint import Constraint, Pieces
from chatbot.wording.request import Request
from chatbot.wording.tokens import Tokens


def can_write(tokens: Tokens, request: Request, text: str, *, letters: bool = False) -> bool:
    """Whether the text, and the end after it, gets past the constraint; with `letters`, spelled out."""
    constraint = Constraint(Pieces(tokens), request)
    ids = tokens.encode(text)
    if letters:
        ids = [tokens.pieces.index(letter) for letter in text]
    done: list[int] = []
    for token in [*ids, tokens.end]:
        if not constraint(done)[token]:
            return False
        done.append(token)
    return True


TWO = Request("x.done", "I have sent [1] to [2]. Anything else?", ("$5.00", "··7324"), "")
NONE = Request("ask.name", "Which of your four accounts at Harbor?", (), "")


def test_each_fact_stands_once_before_the_reply_may_end(tokens: Tokens) -> None:
    assert can_write(tokens, TWO, "I have sent [1] to [2].")
    assert can_write(tokens, TWO, "To [2] I have sent [1].")
    assert not can_write(tokens, TWO, "I have sent [1].")
    assert not can_write(tokens, TWO, "I have sent [1] to [2] [2].")
    assert not can_write(tokens, TWO, "I have sent [1] to [2] and [3].")


def test_nothing_changes_a_fact_by_standing_beside_it(tokens: Tokens) -> None:
    assert not can_write(tokens, TWO, "I have sent - [1] to [2].".replace("- [", "-["))
    constraint = Constraint(Pieces(tokens), TWO)
    after = constraint([tokens.placeholders[0]])
    assert not after[tokens.pieces.index("k")]
    assert after[tokens.encode("of")[0]] or after[tokens.pieces.index(".")]


def test_numbers_signs_addresses_and_other_scripts_are_never_written(tokens: Tokens) -> None:
    for text in (
        "It is 7.",
        "It is $.",
        "It is a@b.",
        "It is <b>.",
        "It is é.",
        "It is 中.",
        "It is [.",
        "a.com",
    ):
        assert not can_write(tokens, NONE, text), text


def test_number_words_and_days_are_not_written_not_even_letter_by_letter(tokens: Tokens) -> None:
    for word in ("seven", "friday", "dollars", "million"):
        assert not can_write(tokens, NONE, f"it is {word}.")
        assert not can_write(tokens, NONE, word, letters=True)
    assert can_write(tokens, NONE, "is it one of your four?".replace("one of", "in"))
    assert not can_write(tokens, NONE, "is it one of your five?")


def test_a_capital_begins_only_a_name_that_is_said_or_a_sentence(tokens: Tokens) -> None:
    assert can_write(tokens, NONE, "Which of them is at Harbor?")
    assert can_write(tokens, NONE, "Thank you. May I ask you? I do.")
    assert not can_write(tokens, NONE, "Michael, which is it?")
    assert not can_write(tokens, NONE, "It is at Boston.")
    assert not can_write(tokens, NONE, "It is Please.")
    assert not can_write(tokens, NONE, "It is at Harb.")


def test_units_are_written_but_not_in_a_careful_wording(tokens: Tokens) -> None:
    careful = replace(TWO, careful=True)
    for text in ("I have sent [1] a day to [2].", "[1] to [2], mph.", "I have sent [1] to [2] each hour."):
        assert can_write(tokens, TWO, text), text
        assert not can_write(tokens, careful, text), text
    assert not can_write(tokens, careful, "I have sent [1] a time to [2].")
    assert can_write(tokens, careful, "I have sent [1] to [2].")
    assert can_write(tokens, replace(careful, say="[1] to [2] in an hour."), "[1] to [2], in an hour.")


def test_beside_finished_sentences_a_reply_has_its_capitals(tokens: Tokens) -> None:
    finished = replace(NONE, finished=True)
    for text in ("which is it?", "Sure. which is it?", "Shall i?"):
        assert can_write(tokens, NONE, text), text
        assert not can_write(tokens, finished, text), text
    assert can_write(tokens, finished, "Sure. Which of them?")


def test_a_constraint_that_is_asked_anew_begins_anew(tokens: Tokens) -> None:
    constraint = Constraint(Pieces(tokens), TWO)
    first = constraint([])
    constraint([tokens.placeholders[0]])
    assert (constraint([]) == first).all()


def test_no_reply_is_empty(tokens: Tokens) -> None:
    assert not Constraint(Pieces(tokens), NONE)([])[tokens.end]


def test_a_reply_that_has_grown_long_says_its_facts_and_ends(tokens: Tokens) -> None:
    constraint = Constraint(Pieces(tokens), Request("a", "It is [1].", ("5",), ""))
    word = tokens.encode("money")[0]
    long = [word] * 60
    (fact,) = constraint(long).nonzero()[0].tolist()
    assert fact == tokens.placeholders[0]
    (last,) = constraint([*long, fact]).nonzero()[0].tolist()
    assert last == tokens.end
