"""Training sentences from what customers wrote, without what identifies them.

What is sensitive, a name or a number is exchanged for another one of the same shape, so that a model learns
the same from it. A name that the NLU overlooked stays: who reviews the sentence sees it and can change it.
"""

import random
import re

from domains.schema import Pack
from nlu.understanding import Understanding
from storage.masking import EMAIL
from storage.records import Label

NAMES = ("Alex Morgan", "Jamie Lee", "Robin Carter", "Sam Bailey", "Chris Doyle", "Kim Novak", "Pat Ellison")
FIRST_NAMES = ("Alex", "Jamie", "Robin", "Sam", "Chris", "Kim", "Pat")
ADDRESSES = ("12 Elm Street, Springfield", "480 Lake Road, Riverton", "7 Mill Lane, Fairview")
NUMBERS = ("card_number", "account_number", "ssn_last4")
LONG_NUMBER = re.compile(r"\d(?:[ -]?\d){3,}")


def stand_in(heard: Understanding, pack: Pack, seed: str) -> tuple[str, tuple[Label, ...]]:
    """The text with its slots; the same for the same `seed`."""
    chance = random.Random(seed)
    text, labels, at = "", [], 0
    for entity in sorted(heard.entities, key=lambda entity: entity.start):
        if entity.slot not in pack.slots or entity.start < at:
            continue
        text += _neutral(heard.text[at : entity.start], chance)
        value = _value(entity.text, entity.slot, pack, chance)
        labels.append(Label(len(text), len(text) + len(value), entity.slot))
        text, at = text + value, entity.end
    return text + _neutral(heard.text[at:], chance), tuple(labels)


def _value(value: str, slot: str, pack: Pack, chance: random.Random) -> str:
    match pack.slots[slot].type:
        case "person_name":
            other = chance.choice(NAMES if " " in value.strip() else FIRST_NAMES)
            return other.lower() if value.islower() else other
        case "address":
            return chance.choice(ADDRESSES)
        case kind if kind in NUMBERS or pack.slots[slot].sensitive:
            return _other_digits(value, chance)
    return value


def _neutral(text: str, chance: random.Random) -> str:
    text = EMAIL.sub("someone@example.com", text)
    return LONG_NUMBER.sub(lambda found: _other_digits(found[0], chance), text)


def _other_digits(text: str, chance: random.Random) -> str:
    return re.sub(r"\d", lambda _: str(chance.randrange(10)), text)
