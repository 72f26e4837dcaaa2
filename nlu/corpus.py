"""Plain sentences, without labels, for the healing of an encoder."""

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from moe.layers import Inputs
from nlu.data import load_data
from nlu.labels import LabelMap
from nlu.pieces import PieceSplitter
from nlu.text_files import DataError, read_lines

BATCH = 48
WINDOW = 20
"""Batches among which sentences are sorted by length."""
SHORTEST = 8
"""Characters; what is shorter says little."""


def load_texts(source: str, data_format: str) -> set[str]:
    """The sentences of labelled data, of `sgd` dialogues or of a file of `lines`. Raises DataError."""
    if data_format == "lines":
        texts: Iterator[str] | list[str] = read_lines(Path(source))
    elif data_format == "sgd":
        texts = _utterances(Path(source))
    else:
        texts = [example.text for example in load_data(source, data_format, LabelMap()).examples]
    return {text for text in texts if len(text) >= SHORTEST}


def _utterances(path: Path) -> Iterator[str]:
    """Both speakers' utterances of schema-guided dialogues, one JSON dialogue a line, gzipped."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield from (turn["utterance"] for turn in json.loads(line)["turns"])
                except (ValueError, KeyError, TypeError) as error:
                    raise DataError(f"{path}:{number}: not a dialogue with turns ({error!r})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read as gzip ({error})") from error


def text_batches(texts: Sequence[str], splitter: PieceSplitter, seed: int) -> Iterator[Inputs]:
    """Batches of sentences of similar length, without end."""
    rng = random.Random(seed)
    while True:
        window = sorted(rng.sample(texts, min(len(texts), BATCH * WINDOW)), key=len)
        rows = [window[start : start + BATCH] for start in range(0, len(window), BATCH)]
        rng.shuffle(rows)
        for row in rows:
            batch = splitter(row, [() for _ in row], multiple=8)
            yield batch.pieces, batch.segments, batch.mask
