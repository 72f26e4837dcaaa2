"""Training examples made from others: other values, typing errors, no punctuation, two wishes at once."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from nlu.data import Example, Span

KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
NEIGHBOURS = {
    letter: row[max(i - 1, 0) : i] + row[i + 1 : i + 2] for row in KEYBOARD for i, letter in enumerate(row)
}
JOINTS = (" and ", ". ", ", ", " also ", ", also ", " and also ", ". also ", "? ", " then ", " plus ", "\n")
TRIES = 50
"""Pairs that are drawn for each joined message; in data of long messages few can be joined."""
KEPT = 0.3
"""How often a value stays where another one is exchanged."""


def values_of(examples: Iterable[Example]) -> dict[str, list[str]]:
    """Each slot's values in the examples, every one once."""
    values: dict[str, dict[str, None]] = {}
    for example in examples:
        for span in example.spans or ():
            values.setdefault(span.slot, {})[example.text[span.start : span.end]] = None
    return {slot: list(known) for slot, known in values.items()}


def exchange(example: Example, values: Mapping[str, Sequence[str]], rng: random.Random) -> Example:
    """The sentence with other values of the same slots (mention replacement, Dai and Adel 2020)."""
    text, spans, end = "", [], 0
    for span in sorted(example.spans or (), key=lambda s: s.start):
        text += example.text[end : span.start]
        end = span.end
        value = example.text[span.start : end] if rng.random() < KEPT else rng.choice(values[span.slot])
        spans.append(Span(len(text), len(text) + len(value), span.slot))
        text += value
    return replace(example, text=text + example.text[end:], spans=tuple(spans), words=())


def roughen(example: Example, rng: random.Random, typos: float, bare: float) -> Example:
    """With probability `typos` one or two typing errors, with probability `bare` no punctuation."""
    if rng.random() < bare:
        example = _map_characters(example, lambda c: "" if c in ".,?!;:'’" else c)
    if rng.random() < typos:
        for _ in range(rng.choice((1, 1, 2))):
            example = mistype(example, rng)
    return example


def mistype(example: Example, rng: random.Random) -> Example:
    """One typing error; none in a message of fewer than five letters."""
    places = [i for i, c in enumerate(example.text) if c.isascii() and c.isalpha()]
    if len(places) < 5:
        return example
    place = rng.choice(places)
    letter = example.text[place]
    kind = rng.randrange(4)
    new = ["", letter * 2, rng.choice(NEIGHBOURS[letter.lower()]), ""][kind]
    if kind == 3 and place + 1 < len(example.text) and example.text[place + 1].isalpha():
        text = example.text
        return replace(example, text=text[:place] + text[place + 1] + letter + text[place + 2 :])
    counter = iter(range(len(example.text)))
    return _map_characters(example, lambda c: new if next(counter) == place else c)


def _map_characters(example: Example, change: Callable[[str], str]) -> Example:
    """Replace each character, moving the spans along; words are dropped, they only serve scoring."""
    pieces = [change(c) for c in example.text]
    if not "".join(pieces).strip():
        return example
    starts = [0]
    for piece in pieces:
        starts.append(starts[-1] + len(piece))
    spans = example.spans
    if spans is not None:
        moved = (Span(starts[s.start], starts[s.end], s.slot) for s in spans)
        spans = tuple(s for s in moved if s.end > s.start)
    return replace(example, text="".join(pieces), spans=spans, words=())


def join(
    first: Example, second: Example, rng: random.Random, requests: frozenset[str] = frozenset()
) -> Example:
    """One message with the wishes of two; slots are known only where both are.

    Details given beside one of `requests` are no wish of their own.
    """
    joint = rng.choice(JOINTS)
    shift = len(first.text) + len(joint)
    spans = None
    if first.spans is not None and second.spans is not None:
        spans = (*first.spans, *(Span(s.start + shift, s.end + shift, s.slot) for s in second.spans))
    intents = tuple(dict.fromkeys((*first.intents, *second.intents)))
    if requests.intersection(intents):
        intents = tuple(intent for intent in intents if intent != "inform")
    return Example(first.text + joint + second.text, intents[:2], spans, first.context, past=first.past)


def two_wishes(
    pool: Sequence[Example], count: int, rng: random.Random, requests: frozenset[str] = frozenset()
) -> list[Example]:
    """Up to `count` joined messages of short ones, as people write them; fewer where few fit together."""
    made: list[Example] = []
    for _ in range(TRIES * count if pool else 0):
        if len(made) == count:
            break
        first, second = rng.choice(pool), rng.choice(pool)
        if first.intents != second.intents and len(first.text) + len(second.text) < 140:
            made.append(join(first, second, rng, requests))
    return made
