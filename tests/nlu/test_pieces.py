"""Batches of word pieces."""

from pathlib import Path

import pytest

from nlu.pieces import ALPHABET, MESSAGE_PIECES, WORD_CHARACTERS, ContextWindow, PieceSplitter


def test_that_a_row_is_message_and_context_between_separators(splitter: PieceSplitter) -> None:
    batch = splitter(["my card", "i"], [["lost", "the card"], []])
    token = splitter._tokenizer.token_to_id
    first = ["[CLS]", "my", "card", "[SEP]", "lost", "[SEP]", "the", "card", "[SEP]"]
    assert batch.pieces[0].tolist() == [token(t) for t in first]
    assert batch.pieces[1].tolist() == [token(t) for t in ("[CLS]", "i", "[SEP]")] + [0] * 6
    assert batch.segments[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert batch.mask.sum(1).tolist() == [9, 3]
    assert batch.lengths.tolist() == [2, 1]
    assert batch.offsets == (((0, 2), (3, 7)), ((0, 1),))


@pytest.mark.parametrize("text", ["Send  $50", "MY CARD", "🙂 my 👩‍💻 card", "Zoë’s café", "a\nb\tc", "ﬁne"])
def test_that_offsets_are_characters_of_the_text_as_it_was_typed(splitter: PieceSplitter, text: str) -> None:
    (offsets,) = splitter([text], [[]]).offsets
    starts = [start for start, _ in offsets]
    assert starts == sorted(starts)
    assert all(0 <= start < end <= len(text) for start, end in offsets)
    touched = {place for start, end in offsets for place in range(start, end)}
    untouched = {text[place] for place in range(len(text)) if place not in touched}
    assert all(not c.isalnum() for c in untouched)


def test_that_an_empty_message_has_one_piece(splitter: PieceSplitter) -> None:
    batch = splitter(["", "   "], [[], []])
    assert batch.lengths.tolist() == [1, 1]
    assert batch.offsets == (((0, 0),), ((0, 0),))


def test_that_long_messages_and_contexts_are_cut(splitter: PieceSplitter) -> None:
    batch = splitter(["my " * 500], [["card " * 500]])
    assert batch.lengths.tolist() == [MESSAGE_PIECES]
    assert batch.pieces.shape[1] == MESSAGE_PIECES + 2 + ContextWindow().pieces


def test_that_batches_are_padded_to_a_multiple(splitter: PieceSplitter) -> None:
    batch = splitter(["my card", "i"], [[], []], multiple=8)
    assert batch.pieces.shape == batch.segments.shape == batch.mask.shape == (2, 8)
    assert batch.mask.sum(1).tolist() == [4, 3]


def test_that_a_missing_or_broken_tokeniser_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json: tokeniser file is missing"):
        PieceSplitter(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json: no valid tokeniser"):
        PieceSplitter(tmp_path / "tokenizer.json")


def test_that_the_characters_around_a_piece_keep_case_and_digits(splitter: PieceSplitter) -> None:
    batch = splitter(["My Card4", "i"], [[], []])
    characters = batch.characters()
    assert characters.shape == (2, int(batch.lengths.max()), WORD_CHARACTERS)
    mark, m, y = ALPHABET - 2, ord("M") - 31, ord("y") - 31
    assert characters[0, 0, :4].tolist() == [mark, m, y, 0]
    seen = characters[0, -1].tolist()
    assert [n for n in seen if n not in (0, mark)] == [ord(c) - 31 for c in "Card4"]
    assert not characters[1, 1:].any(), "padding has no characters"


def test_that_foreign_letters_and_long_words_have_characters_too(splitter: PieceSplitter) -> None:
    characters = splitter(["Zoë", "x" * 400], [[], []]).characters()
    assert characters.max() == ALPHABET - 1
    assert (characters >= 0).all()
