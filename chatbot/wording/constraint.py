"""Which token may come next: each fact exactly once, and nothing that would state another.

The generator chooses among what is left, so no training and no message of a customer gets it past this.
The finished text is checked once more, by other means: see check.py.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chatbot.wording.lexicon import OPENERS, RATES, STATING, UNITS, words_of
from chatbot.wording.request import Request
from chatbot.wording.tokens import PLACEHOLDER

Mask = NDArray[np.bool_]

PLAIN = re.compile(r"(?: | ?[A-Za-z]+|['’](?:s|t|re|ve|m|ll|d)| ?[.,!?;:()'\"“”‘’–—-]+)")
"""Pieces of English without digits, signs of money, addresses, markup and other scripts."""
LAST_LETTERS = re.compile(r"[A-Za-z]*$")
OPENS_SENTENCE = re.compile(r"(?:^|[.!?:])[\"”’)]*[\"“‘( ]*$")
NEEDS_CAPITAL = re.compile(r"(?:^|[.!?])[\"”’)]*[\"“‘( ]*$")
TAKES_LETTERS = re.compile(r"(?:^|[ \"“‘(–—-])$")
"""Ends of a text on which a word may follow without a space; behind a full stop it would be an address."""
TAKES_FACT = re.compile(r"(?:^|[^-–'’])$")
"""Behind a hyphen an amount would be another one."""
LONGER, SPARE = 3, 24
"""A reply of so many tokens a word of the request, and so many more, has only its facts left to say."""
FACT = "0"
"""Stands for a fact where else stand the letters of an open word: nothing goes on with it."""


class Vocabulary(Protocol):
    """What is to be known of the tokens: see tokens.Tokens."""

    pieces: tuple[str, ...]
    placeholders: tuple[int, ...]
    end: int


class Pieces:
    """The tokens by what they do to a word. Made once for a vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        size, facts = len(vocabulary.pieces), {*vocabulary.placeholders, vocabulary.end}
        self.letters = tuple(LAST_LETTERS.search(text)[0] for text in vocabulary.pieces)  # type: ignore[index]
        self.begins: Mask = np.zeros(size, bool)
        """Tokens behind which the word before them has ended."""
        self.begin_small: Mask = np.zeros(size, bool)
        self.go_on_small: Mask = np.zeros(size, bool)
        self.small_letters: Mask = np.zeros(size, bool)
        self.beginning: defaultdict[str, list[int]] = defaultdict(list)
        """Letters → tokens that begin a word with them."""
        self.going_on: defaultdict[str, list[int]] = defaultdict(list)
        for number, text in enumerate(vocabulary.pieces):
            if number in facts or not PLAIN.fullmatch(text):
                continue
            letters = self.letters[number]
            self.begins[number] = begins = not text[0].isalpha()
            if letters == letters.lower():
                (self.begin_small if begins else self.go_on_small)[number] = True
                self.small_letters[number] = bool(letters)
            (self.beginning if begins else self.going_on)[letters].append(number)
        self._stating: defaultdict[tuple[str, bool], list[tuple[str, int]]] = defaultdict(list)
        for word in STATING | UNITS:
            for cut in range(len(word)):
                for begins, table in ((True, self.beginning), (False, self.going_on)):
                    self._stating[word[:cut], begins] += [(word, n) for n in table.get(word[cut:], ())]
        self._openers = _Names(self, [word.capitalize() for word in OPENERS])

    def opening(self, written: str, begins: bool) -> Iterable[int]:
        """Tokens with which `written` is the beginning of a plain opener of a sentence."""
        return self._openers.leading(written, begins)

    def stating(self, written: str, begins: bool, spoken: frozenset[str]) -> list[int]:
        """Tokens with which `written` would be a word that states something and is not in `spoken`."""
        found = self._stating.get((written, begins), ())
        return [number for word, number in found if word not in spoken]


class _Names:
    """Words with a capital, and which tokens lead to them."""

    def __init__(self, pieces: Pieces, names: Iterable[str]) -> None:
        self.whole = frozenset(names)
        self._leading: defaultdict[tuple[str, bool], set[int]] = defaultdict(set)
        for name in self.whole:
            for begin, end in ((b, e) for b in range(len(name)) for e in range(b + 1, len(name) + 1)):
                self._leading[name[:begin], False].update(pieces.going_on.get(name[begin:end], ()))
                if begin == 0:
                    self._leading["", True].update(pieces.beginning.get(name[:end], ()))

    def leading(self, written: str, begins: bool) -> list[int]:
        return list(self._leading.get((written, begins), ()))


class Constraint:
    """The rule for one reply; the engine asks it before each step."""

    def __init__(self, pieces: Pieces, request: Request) -> None:
        self._pieces = pieces
        marks = pieces.vocabulary.placeholders
        self._required = frozenset(marks[int(number) - 1] for number in PLACEHOLDER.findall(request.say))
        said = words_of(PLACEHOLDER.sub(" ", request.say))
        self._spoken = frozenset(word.lower() for word in said)
        self._careful, self._spelled = request.careful, request.finished
        self._unstating = self._spoken if request.careful else self._spoken | (UNITS - STATING)
        self._names = _Names(pieces, {"I", *(word for word in said if word != word.lower())})
        self._firsts = _Names(pieces, {*self._names.whole, *(word.capitalize() for word in self._spoken)})
        self._enough = LONGER * len(request.say.split()) + SPARE
        self._masks: dict[tuple[str, bool, bool, bool], Mask] = {}
        self._start()

    def __call__(self, reply: Sequence[int]) -> Mask:
        """Which tokens may follow on those of the reply so far."""
        if len(reply) < self._read:
            self._start()
        for number in reply[self._read :]:
            self._take(number)
        bare, spaced = TAKES_LETTERS.search(self._tail) is not None, self._tail.endswith(" ")
        key = (self._word, self._first, bare, spaced)
        if key not in self._masks:
            self._masks[key] = self._words(*key)
        mask = self._masks[key].copy()
        if self._spelled and not self._word and NEEDS_CAPITAL.search(self._tail):
            mask[self._pieces.small_letters] = False
        if self._is_whole(self._word, self._first) and not spaced:
            if self._read >= self._enough and TAKES_FACT.search(self._tail):
                mask[:] = False
            mask[list(self._left)] = TAKES_FACT.search(self._tail) is not None
            mask[self._pieces.vocabulary.end] = not self._left and self._read > 0
        return mask

    def _start(self) -> None:
        self._read, self._left = 0, set(self._required)
        self._word, self._first, self._tail = "", True, ""

    def _take(self, number: int) -> None:
        self._read += 1
        if number in self._left:
            self._left.remove(number)
            self._word, self._first, self._tail = FACT, False, FACT
            return
        letters, begins = self._pieces.letters[number], bool(self._pieces.begins[number])
        text = self._pieces.vocabulary.pieces[number]
        if begins:
            self._first = bool(OPENS_SENTENCE.search(self._tail + text[: len(text) - len(letters)]))
        self._word = letters if begins else self._word + letters
        self._tail = (self._tail + text)[-8:]

    def _words(self, word: str, first: bool, bare: bool, spaced: bool) -> Mask:
        """The tokens that go on with `word`, and those that end it and begin another or are a mark."""
        pieces = self._pieces
        mask = np.zeros(pieces.begins.shape, bool)
        if word != FACT and (word or bare):
            self._allow(mask, word, False, first)
        if self._is_whole(word, first) and not spaced:
            self._allow(mask, "", True, first and not word)
        if self._spelled:  # what stands beside the pack's own sentences is written as carefully
            mask[pieces.beginning.get("i", [])] = False
        if self._careful and word == FACT:
            mask[[number for rate in RATES for number in pieces.beginning.get(rate, ())]] = False
        return mask

    def _allow(self, mask: Mask, word: str, begins: bool, first: bool) -> None:
        """Allow what begins a word, or goes on with `word`, so that it can become one that may be said."""
        pieces = self._pieces
        if word == word.lower():
            mask |= pieces.begin_small if begins else pieces.go_on_small
            mask[pieces.stating(word, begins, self._unstating)] = False
        if not word or word != word.lower():
            mask[self._names.leading(word, begins)] = True
            if first:
                mask[self._firsts.leading(word, begins)] = True
                mask[list(pieces.opening(word, begins))] = True

    def _is_whole(self, word: str, first: bool) -> bool:
        if word == word.lower() or word in self._names.whole:
            return True
        return first and (word in self._firsts.whole or word.lower() in OPENERS)
