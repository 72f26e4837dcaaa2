"""Misspelt words, read as a business's own sentences spell them."""

import re
from collections import Counter
from collections.abc import Container, Iterable

from rapidfuzz import process
from rapidfuzz.distance import OSA

COMMON = 3
"""How often a word stands in the sentences to be taken for what was meant: their own slips are rarer."""
SHORTEST = 4
LONG = 8
"""Letters from which on two slips are put right and not one."""


class Speller:
    """Corrects words that are neither common in the sentences nor `known` otherwise."""

    def __init__(self, sentences: Iterable[str], known: Container[str]) -> None:
        counts = Counter(word for text in sentences for word in re.findall(r"[a-z]+", text.lower()))
        self.counts = {word: n for word, n in counts.items() if n >= COMMON and len(word) >= SHORTEST - 1}
        self.known = known

    def correct(self, text: str) -> str:
        """The text with its misspelt words replaced; numbers, and words with a digit, stay."""
        return re.sub(r"(?<![\w@.])[A-Za-z]+(?![\w@])", lambda found: self._meant(found[0]), text)

    def _meant(self, word: str) -> str:
        """By the distance of optimal string alignment: a swap of two letters is one slip."""
        typed = word.lower()
        if len(typed) < SHORTEST or typed in self.counts or typed in self.known:
            return word
        slips = 1 if len(typed) < LONG else 2
        near = process.extract(typed, self.counts.keys(), scorer=OSA.distance, score_cutoff=slips)
        by_likelihood = sorted(near, key=lambda one: (one[1], one[0][0] != typed[0], -self.counts[one[0]]))
        return by_likelihood[0][0] if by_likelihood else word
