"""Sentences and values as people write them, taken from labelled messages."""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, time

from dialog_policy.goals import random_value
from domains.schema import Pack, Slot
from nlu.data import Example
from nlu.values import InvalidValue, normalise
from storage.consent import gives_consent

INVENTED = frozenset({"person_name", "address", "text"})
"""Types of which a made-up value looks like nobody's: those of people are taken in its place."""
LONGEST_ANSWER = 3
"""Words of a yes or no that fits any question."""


@dataclass(frozen=True)
class Sentence:
    """A message with its values cut out: a piece of text before each slot, and one after the last."""

    pieces: tuple[str, ...]
    slots: tuple[str, ...]

    @property
    def is_named(self) -> bool:
        """Whether there are words beside the values."""
        return any(letter.isalpha() for piece in self.pieces for letter in piece)


class Phrasebook:
    """What can be said for an intent with certain values, and how a value can be written."""

    def __init__(self, pack: Pack, examples: Iterable[Example], *, foreign: bool = False) -> None:
        """`foreign` examples are from other bots' conversations: only what fits in ours is taken of them."""
        self.pack = pack
        self._sentences: dict[str, list[Sentence]] = defaultdict(list)
        self._writings: dict[str, list[str]] = defaultdict(list)
        for example in examples:
            for span in example.spans or ():
                self._writings[span.slot].append(example.text[span.start : span.end])
            slots = [span.slot for span in example.spans or ()]
            if len(example.intents) != 1 or len(slots) != len(set(slots)):
                continue
            if example.intents[0] == "remark" and gives_consent(example.text, pack):
                continue  # "hm ok" to "shall I go ahead?" is a yes to every reader
            sentence = _cut(example)
            if not foreign or _fits(example.intents[0], sentence, example):
                self._sentences[example.intents[0]].append(sentence)
        self._people = {
            slot: values
            for slot, writings in self._writings.items()
            if pack.slots[slot].type in INVENTED and (values := _valid(pack.slots[slot], writings))
        }

    def sentences(self, intent: str, slots: Iterable[str]) -> list[Sentence]:
        """Those that give exactly these slots."""
        wanted = set(slots)
        return [sentence for sentence in self._sentences[intent] if set(sentence.slots) == wanted]

    def beginnings(self, intent: str, slots: Iterable[str]) -> list[Sentence]:
        """Those that give some or none of these slots."""
        wanted = set(slots)
        return [sentence for sentence in self._sentences[intent] if wanted.issuperset(sentence.slots)]

    def draw_value(self, slot: str, rng: random.Random) -> str:
        """A normalised value. It takes as much of `rng` as one that is made up, so that the same customers
        come at either level.
        """
        made_up = random_value(self.pack.slots[slot], rng)
        people = self._people.get(slot)
        return random.Random(f"{slot}:{made_up}").choice(people) if people else made_up

    def write(self, slot: str, value: str, rng: random.Random) -> str:
        """One of the ways in which people write `value`, of those that say just this."""
        kind = self.pack.slots[slot]
        examples = rng.sample(self._writings[slot], min(len(self._writings[slot]), 40))
        shaped = [_shaped(writing, value) for writing in examples]
        ways = [way for way in (*_plain(kind, value), *shaped) if _says(kind, way, value)]
        return rng.choice(ways) if ways else value


def _fits(intent: str, sentence: Sentence, example: Example) -> bool:
    """Whether a sentence of another conversation says no more than its labels do."""
    if intent == "remark":  # there it is what fits nowhere else, wishes among it
        return False
    if intent in ("affirm", "deny"):  # "yes, I told the police" answers a question that was not asked here
        return len(example.text.split()) <= LONGEST_ANSWER
    unlabelled = any(re.search(r"\d{3}", piece) for piece in sentence.pieces)
    return not (unlabelled and sentence.slots)


def _cut(example: Example) -> Sentence:
    pieces, last = [], 0
    spans = sorted(example.spans or (), key=lambda span: span.start)
    for span in spans:
        pieces.append(example.text[last : span.start])
        last = span.end
    return Sentence((*pieces, example.text[last:]), tuple(span.slot for span in spans))


def _valid(slot: Slot, writings: Sequence[str]) -> list[str]:
    found = set()
    for writing in writings:
        try:
            found.add(normalise(slot, writing))
        except InvalidValue:
            continue
    return sorted(found)


def _says(slot: Slot, text: str, value: str) -> bool:
    try:
        return normalise(slot, text) == value
    except InvalidValue:
        return False


def _shaped(writing: str, value: str) -> str:
    """The writing with its digits exchanged for those of `value`, where there are as many."""
    digits = re.findall(r"\d", value)
    if not digits or len(digits) != len(re.findall(r"\d", writing)):
        return writing
    return re.sub(r"\d", lambda _: digits.pop(0), writing)


def _plain(slot: Slot, value: str) -> tuple[str, ...]:
    match slot.type:
        case "choice":
            return (value.replace("_", " "), *slot.choices[value])
        case "amount":
            whole = value.removesuffix(".00")
            return (f"${value}", f"${whole}", f"{whole} dollars", whole)
        case "date":
            day = date.fromisoformat(value)
            return (f"{day:%B} {day.day}", f"{day:%b} {day.day}".lower(), f"{day:%m/%d/%Y}", f"{day:%m/%d}")
        case "time":
            at = time.fromisoformat(value)
            return (value, f"{at:%I:%M %p}".lstrip("0"), f"{at:%I:%M%p}".lstrip("0").lower())
        case "person_name":
            return (value, value, value.lower())
        case _:
            return (value,)
