"""Batches of requests and replies for the training of a generator."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from chatbot.wording.sgd import Pair
from chatbot.wording.tokens import Tokens
from domains.schema import PLACEHOLDER, Pack
from moe.tuning import TextBatch

ROWS = 64
TOKENS = 3072
"""At most so many rows and tokens make a batch: memory follows the tokens."""
WINDOW = 20 * ROWS
"""Rows that are sorted by length among themselves."""
MULTIPLE = 16
"""Lengths are padded to it: a matrix product is compiled anew for each shape."""
COMMONNESS = 0.7
"""Of n equal pairs n to this power stay: a goodbye need not be learnt ten thousand times."""
PACK_SHARE = 0.08
"""Of the rows, the pack's own phrasings."""
LONGEST = 160


@dataclass(frozen=True)
class Row:
    tokens: tuple[int, ...]
    start: int
    """Where the reply begins."""


def thin_out(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """Fewer of what is said again and again; only pairs whose reply could be read."""
    rng = random.Random(seed)
    whole = [pair for pair in pairs if pair.reply is not None]
    counts = Counter((pair.request.say, pair.reply) for pair in whole)
    return [p for p in whole if rng.random() < counts[p.request.say, p.reply] ** (COMMONNESS - 1)]


def pack_texts(pack: Pack) -> list[str]:
    """All that the pack has written, so that its words are in the vocabulary."""
    phrasings = [text for texts in pack.replies.values() for text in texts]
    described = [intent.description for intent in pack.intents.values()]
    return (
        [PLACEHOLDER.sub(" ", text) for text in phrasings]
        + described
        + [t.text for t in pack.topics.values()]
    )


def encode(pairs: Sequence[Pair], tokens: Tokens) -> list[Row]:
    """The pairs that have a reply and are not too long."""
    rows = []
    for pair in pairs:
        if pair.reply is None:
            continue
        prompt = tokens.prompt(pair.request)
        row = Row((*prompt, *tokens.encode(pair.reply), tokens.end), len(prompt))
        if len(row.tokens) <= LONGEST:
            rows.append(row)
    return rows


def batches(rows: Sequence[Row], own: Sequence[Row], seed: int, end: int) -> Iterator[TextBatch]:
    """Without end, every row of `rows` once before any twice; `own` rows are mixed in at PACK_SHARE."""
    rng = random.Random(seed)
    mixed = int(WINDOW * PACK_SHARE) if own else 0
    left: list[Row] = []
    while True:
        if len(left) < WINDOW:
            left = rng.sample(rows, len(rows)) + left
        window = [left.pop() for _ in range(min(WINDOW - mixed, len(left)))]
        chunks = list(_chunks(window + rng.choices(own, k=mixed) if own else window))
        rng.shuffle(chunks)
        for chunk in chunks:
            yield collate(chunk, end)


def evenly(rows: Sequence[Row], end: int) -> Iterator[TextBatch]:
    """Every row once, those of a length together."""
    for chunk in _chunks(rows):
        yield collate(chunk, end)


def _chunks(rows: Sequence[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    for row in sorted(rows, key=lambda row: len(row.tokens)):
        if len(chunk) == ROWS or (len(chunk) + 1) * _padded(row) > TOKENS:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk


def _padded(row: Row) -> int:
    return -(-len(row.tokens) // MULTIPLE) * MULTIPLE


def collate(rows: Sequence[Row], end: int) -> TextBatch:
    """Rows of any lengths in one batch."""
    length = max(map(_padded, rows))
    tokens = torch.full((len(rows), length), end)
    mask, wanted = torch.zeros(2, len(rows), length, dtype=torch.bool)
    for number, row in enumerate(rows):
        tokens[number, : len(row.tokens)] = torch.tensor(row.tokens)
        mask[number, : len(row.tokens)] = True
        wanted[number, row.start : len(row.tokens)] = True
    return TextBatch(tokens, mask, wanted)
