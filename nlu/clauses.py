"""Two wishes in one message: which comes first, and whether there are two, is heard clause by clause."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from nlu.understanding import Understanding

SECOND = 0.05
"""Least probability of a second wish: below it is what a guess among all others would have."""
CLEAR = 0.9
"""Probability of a wish in a clause of its own that makes it one of two."""
BOUNDARY = re.compile(
    r"(?<=[.!?;])\s+|,?\s+(?:and then|and also|then|also|and|but|plus)\s+|,\s+", re.IGNORECASE
)


def clauses(text: str) -> list[str]:
    """The parts of a message between its stops and conjunctions, of two words at least."""
    return [part.strip() for part in BOUNDARY.split(text) if len(part.split()) >= 2]


def may_be_two(heard: Understanding, requests: Collection[str]) -> bool:
    """Whether the two best readings are both something to be done or answered."""
    best = heard.intents[:2]
    return (
        len(best) == 2
        and bool(heard.wishes)
        and all(score.intent in requests and score.probability >= SECOND for score in best)
    )


def arranged(heard: Understanding, parts: Sequence[Understanding]) -> Understanding:
    """The message with its two wishes in the order of the clauses that hold them.

    One that was heard as a single wish has two where each of the two readings is clear in another clause.
    """
    pair = [score.intent for score in heard.intents[:2]]
    told = [_told(intent, parts) for intent in pair]
    apart = told[0][1] != told[1][1]
    two = len(heard.wishes) == 2 or all(probability >= CLEAR for probability, _ in told)
    if not (apart and two):
        return heard
    first, second = sorted(range(2), key=lambda place: told[place][1])
    return replace(heard, wishes=(pair[first], pair[second]))


def _told(intent: str, parts: Sequence[Understanding]) -> tuple[float, int]:
    """The highest probability that a wish has in a clause, and in which one."""
    shares = [{score.intent: score.probability for score in part.intents}.get(intent, 0.0) for part in parts]
    place = max(range(len(parts)), key=shares.__getitem__)
    return shares[place], place
