"""Sentences without labels, from every source that the encoder is healed on."""

import gzip
import json
from itertools import islice
from pathlib import Path

import pytest

from nlu.corpus import load_texts, text_batches
from nlu.pieces import PieceSplitter
from nlu.text_files import DataError


def write_dialogues(path: Path, *lines: str) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("\n".join(lines))
    return path


def test_that_both_speakers_of_a_dialogue_are_read_and_short_words_left(tmp_path: Path) -> None:
    turns = [{"utterance": "I want a table"}, {"utterance": "ok"}, {"utterance": "For how many people?"}]
    path = write_dialogues(tmp_path / "d.jsonl.gz", json.dumps({"turns": turns}))
    assert load_texts(str(path), "sgd") == {"I want a table", "For how many people?"}


def test_that_lines_and_labelled_data_are_read(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("where is my card\nwhere is my card\nhi\n", encoding="utf-8")
    assert load_texts(str(tmp_path / "lines.txt"), "lines") == {"where is my card"}
    (tmp_path / "d.csv").write_text("text,category\nwhere is my money,x\n", encoding="utf-8")
    assert load_texts(str(tmp_path / "d.csv"), "banking77") == {"where is my money"}


def test_that_a_broken_dialogue_is_named_with_its_line(tmp_path: Path) -> None:
    path = write_dialogues(tmp_path / "d.jsonl.gz", '{"turns": []}', "{broken")
    with pytest.raises(DataError, match=r"d\.jsonl\.gz:2: not a dialogue"):
        load_texts(str(path), "sgd")
    path.write_bytes(b"no gzip")
    with pytest.raises(DataError, match="cannot be read as gzip"):
        load_texts(str(path), "sgd")


def test_that_batches_are_sorted_by_length_endless_and_the_same_for_a_seed(splitter: PieceSplitter) -> None:
    texts = ["my card " * (1 + n % 9) for n in range(300)]
    first, again = (list(islice(text_batches(texts, splitter, 3), 12)) for _ in range(2))
    assert all((a[0] == b[0]).all() for a, b in zip(first, again, strict=True))
    assert {mask.shape[1] % 8 for _, _, mask in first} == {0}
    waste = sum(int((~mask).sum()) for _, _, mask in first) / sum(mask.numel() for _, _, mask in first)
    assert waste < 0.4
