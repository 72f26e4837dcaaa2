"""Which slot a value belongs to, given what was asked for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain

from domains.schema import Pack, Slot
from nlu.numbers import UNITS
from nlu.understanding import Entity, Understanding
from nlu.values import InvalidValue, normalise, only_option
from storage.consent import says_one_of

FAMILIES = (
    frozenset({"ssn_last4", "card_number", "account_number"}),
    frozenset({"amount"}),
    frozenset({"date"}),
    frozenset({"time"}),
)
"""Types whose surface forms look alike: the asked slot decides between them."""

WHOLE_MESSAGE = frozenset({"person_name", "address", "choice", "count", "amount", "date", "time", "text"})
"""Types for which a short answer without any found entity is tried as a value."""

NUMBERS = frozenset({"ssn_last4", "card_number", "account_number", "amount", "count"})
BARE_NUMBER = re.compile(rf"(?:[\d\s.,$-]|\b(?:{'|'.join(UNITS)}|oh)\b)+", re.IGNORECASE)

LONG_NUMBER = re.compile(r"\d(?:[ -]?\d){8,}")


@dataclass(frozen=True)
class SlotValue:
    value: str
    """Normalised."""
    confidence: float
    turn: int


def relevant_slots(task: str | None, authenticated: bool, pack: Pack) -> tuple[str, ...]:
    """Slots that matter now: the task's, and those of the authentication until it has succeeded."""
    names: list[str] = []
    if not authenticated:
        names += chain.from_iterable(pack.domain.authentication.parts)
    if task is not None:
        names += [*pack.tasks[task].slots, *pack.tasks[task].optional]
    return tuple(dict.fromkeys(names))


def fill(
    slots: Mapping[str, SlotValue],
    heard: Understanding,
    wanted: tuple[str, ...],
    asked: str | None,
    turn: int,
    wishes: tuple[str, ...],
    pack: Pack,
) -> tuple[dict[str, SlotValue], dict[str, str]]:
    """The slots with the message's values put in, and slot → problem for values that are not valid.

    `wanted` are the slots that matter now, those still missing first.
    """
    bare = _bare_number(heard.text, asked, pack) if asked else None
    if asked and bare is not None:
        return {**slots, asked: SlotValue(bare, 1.0, turn)}, {}
    filled, invalid = dict(slots), dict[str, str]()
    taken: set[str] = set()
    entities = [part for entity in heard.entities for part in _apart(entity, heard, wanted, slots, pack)]
    cued = {name: told for name in wanted if (told := _cued(heard.text, pack.slots[name]))}
    named = {words for words, _ in cued.values()}
    for entity in sorted(entities, key=lambda entity: -entity.confidence):
        if entity.text.lower().removeprefix("my ") in named:
            continue  # "to savings" is no amount, whatever was asked for
        others = {other.slot for other in entities if other is not entity}
        name = _slot_for(entity, heard.text, others, taken, {*filled}, wanted, asked, pack)
        try:
            filled[name] = SlotValue(normalise(pack.slots[name], entity.text), entity.confidence, turn)
            taken.add(name)
        except InvalidValue as problem:
            if name in wanted:
                invalid[name] = str(problem)
    for name, (_, value) in cued.items():
        if name not in taken:
            filled[name] = SlotValue(value, 0.9, turn)
            taken.add(name)
    for name in chain.from_iterable(pack.tasks[wish].slots for wish in wishes if wish in pack.tasks):
        if name not in filled and (option := only_option(pack.slots[name], heard.text)):
            filled[name] = SlotValue(option, 0.5, turn)  # "my card expired"
    if asked and pack.slots[asked].type in ("person_name", "address", "text") and not taken:
        asked = _dated(heard.text, wanted, filled, pack) or asked
    if asked and not taken and asked not in invalid and set(wishes) <= {"inform", "remark"}:
        found = _whole_message(heard.text, asked, "remark" in wishes, pack)
        if found is not None:
            filled[asked] = SlotValue(found, 0.5, turn)
        elif asked in wanted and wishes == ("inform",) and (why := _problem(heard.text, asked, pack)):
            invalid[asked] = why  # "all of it" is no amount, and why helps more than "once again"
    return filled, {name: problem for name, problem in invalid.items() if name not in taken}


def _dated(text: str, wanted: tuple[str, ...], filled: Mapping[str, SlotValue], pack: Pack) -> str | None:
    """The open slot that a day answers though something else was asked for: "yesterday" is nobody's name."""
    days = (name for name in wanted if pack.slots[name].type == "date" and name not in filled)
    return next((name for name in days if _is_valid(pack.slots[name], text)), None)


def is_cued(entity: Entity, text: str, pack: Pack) -> bool:
    """Whether one of its slot's cues stands right before a value, as in "from 7324"."""
    words = re.sub(r"\b(?:my|the|our|account|number|no)\b", " ", text[: entity.start].lower()).split()
    return any(words[-len(cue.split()) :] == cue.split() for cue in pack.slots[entity.slot].cues)


def may_be(kind: str, other: str) -> bool:
    """Whether a value that was heard as of one type may be of another: "4455" is of a card or an account."""
    return kind == other or {kind, other} <= FAMILIES[0]


def names_account(entity: Entity, slot: Slot, pack: Pack) -> bool:
    """Whether "savings" is an account where the NLU took it for a kind to choose."""
    kind = pack.slots[entity.slot].type
    return bool(slot.names) and kind == "choice" and _is_valid(slot, entity.text)


def is_named_alone(text: str, slot: Slot) -> bool:
    """Whether a text is the name of an account and nothing more, as "my savings please"."""
    bare = re.sub(r"\b(?:my|the|our|to|into|from|in|it's|account|one|please)\b", " ", text.lower())
    words = {word.lower().removesuffix(" account") for words in slot.names.values() for word in words}
    return " ".join(re.findall(r"\w+", bare)) in words


def _cued(text: str, slot: Slot) -> tuple[str, str] | None:
    """The words and the account that a cue names, as "savings" in "move it from my savings account"."""
    found = slot.cued.search(text.lower()) if slot.cued else None
    return (found[1], normalise(slot, found[1])) if found else None


def _apart(
    entity: Entity,
    heard: Understanding,
    wanted: tuple[str, ...],
    known: Mapping[str, SlotValue],
    pack: Pack,
) -> tuple[Entity, ...]:
    """Two numbers that were heard as one where both were asked for, as "4821 6467" may be."""
    groups = list(re.finditer(r"\d+", entity.text))
    if len(groups) != 2:
        return (entity,)
    options = [name for name in wanted if pack.slots[name].type in FAMILIES[0]]
    if _is_valid(pack.slots[entity.slot], entity.text):
        given = {*known, *(other.slot for other in heard.entities if other is not entity)}
        options = _proofs_in(entity, heard.text, given, pack)
    found: list[Entity] = []
    for group in groups:
        used = {part.slot for part in found}
        free = [name for name in options if name not in used and _is_valid(pack.slots[name], group.group())]
        if not free:
            return (entity,)
        start, end = (entity.start + place for place in group.span())
        found.append(replace(entity, slot=free[0], text=group.group(), start=start, end=end))
    return tuple(found)


def _proofs_in(entity: Entity, text: str, given: set[str], pack: Pack) -> list[str]:
    """What a number in two groups proves that makes one, too: two things, by the last four digits of each."""
    parts = pack.domain.authentication.parts
    misses = [part[0] for part in parts if not given.intersection(part)]
    proves = any(entity.slot in part for part in parts) and not _is_named(
        pack.slots[entity.slot], entity, text
    )
    fours = re.fullmatch(r"\D*\d{4}\D+\d{4}\D*", entity.text)
    return [name for name in misses if pack.slots[name].type in FAMILIES[0]] if proves and fours else []


def _is_named(slot: Slot, entity: Entity, text: str) -> bool:
    """Whether the slot's own name stands before the value, cut short or not, as in "acct 7316"."""
    name = slot.label.split()[0].lower()
    return bool(re.search(rf"\b{name[:3]}\w{{0,{max(len(name) - 3, 0)}}}\b", _before(entity, text)))


def _before(entity: Entity, text: str) -> str:
    return text[max(0, entity.start - 20) : entity.start].lower()


def _slot_for(
    entity: Entity,
    text: str,
    others: set[str],
    taken: set[str],
    filled: set[str],
    wanted: tuple[str, ...],
    asked: str | None,
    pack: Pack,
) -> str:
    """The NLU's slot, unless what was asked for or is still missing looks the same and fits better."""
    slot = pack.slots[entity.slot]
    if asked and names_account(entity, pack.slots[asked], pack):
        return asked
    family = next((family for family in FAMILIES if slot.type in family), frozenset())
    if LONG_NUMBER.fullmatch(entity.text) and not _is_valid(slot, entity.text):
        family = FAMILIES[0]  # ten digits are no date, whatever the NLU thinks
    named = _is_named(slot, entity, text)
    short = len(re.sub(r"\D", "", entity.text)) <= 4

    def alike(name: str) -> bool:
        other = pack.slots[name].type
        return other == slot.type or (other in family and not named)  # "card 6467" is no account

    def fits(name: str) -> bool:
        return name not in taken and alike(name) and _is_valid(pack.slots[name], entity.text)

    missing = [name for name in wanted if name not in filled and fits(name)]
    if asked in others:  # what was asked for is in the message under its own name, valid or not
        asked = None
    if not named:
        misnamed = [name for name in missing if pack.slots[name].type != slot.type]
        called = next((name for name in misnamed if _is_named(pack.slots[name], entity, text)), None)
        if called:
            return called
    ambiguous = not named and (short or (asked and pack.slots[asked].type == slot.type))
    if asked and asked != entity.slot and asked not in filled and ambiguous and fits(asked):
        return asked
    if short and not named:  # of a card or an account? As a proof, the first of both is as good.
        for slots in pack.domain.authentication.parts:
            if entity.slot in slots and slots[0] in missing:
                return slots[0]
    if entity.slot in wanted and entity.slot not in taken and _is_valid(slot, entity.text):
        return entity.slot
    if missing:
        return missing[0]
    return asked if asked and alike(asked) else entity.slot


def _is_valid(slot: Slot, text: str) -> bool:
    try:
        normalise(slot, text)
    except InvalidValue:
        return False
    return True


def _problem(text: str, asked: str, pack: Pack) -> str:
    """Why an answer is no value of the slot that was asked for; empty where it may be, or is no answer."""
    slot = pack.slots[asked]
    if slot.type == "person_name" or text.rstrip().endswith("?") or says_one_of(pack.domain.unknown, text):
        return ""
    try:
        normalise(slot, text)
    except InvalidValue as problem:
        return str(problem)
    return ""


def _bare_number(text: str, asked: str, pack: Pack) -> str | None:
    """A message of nothing but a number answers a question for a number, whatever the NLU thinks."""
    slot = pack.slots[asked]
    if slot.type not in NUMBERS or not BARE_NUMBER.fullmatch(text):
        return None
    try:
        return normalise(slot, text)
    except InvalidValue:
        return None


def _whole_message(text: str, asked: str, remark: bool, pack: Pack) -> str | None:
    slot = pack.slots[asked]
    if (slot.type not in WHOLE_MESSAGE and not slot.names) or len(text) > 120 or text.rstrip().endswith("?"):
        return None
    if slot.type in ("person_name", "address", "text") and says_one_of(pack.domain.unknown, text):
        return None  # "I don't know the ZIP code"
    if remark and slot.type == "person_name" and len(text.split()) < 2:  # "nice" is nobody's name
        return None
    try:
        return normalise(slot, text)
    except InvalidValue:
        return None
