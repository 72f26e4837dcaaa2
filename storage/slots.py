"""Which slot a value belongs to, given what was asked for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from domains.schema import Pack
from nlu.understanding import Entity, Understanding
from nlu.values import InvalidValue, normalise

FAMILIES = (
    frozenset({"ssn_last4", "card_number", "account_number"}),
    frozenset({"amount"}),
    frozenset({"date"}),
    frozenset({"time"}),
)
"""Types whose surface forms look alike: the asked slot decides between them."""

WHOLE_MESSAGE = frozenset({"person_name", "address", "choice", "count", "amount", "date", "time", "text"})
"""Types for which a short answer without any found entity is tried as a value."""


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
        for entry in pack.domain.authentication.slots:
            names += [entry] if isinstance(entry, str) else entry
    if task is not None:
        names += [*pack.tasks[task].slots, *pack.tasks[task].optional]
    return tuple(dict.fromkeys(names))


def fill(
    slots: Mapping[str, SlotValue],
    heard: Understanding,
    relevant: tuple[str, ...],
    asked: str | None,
    turn: int,
    wishes: tuple[str, ...],
    pack: Pack,
) -> tuple[dict[str, SlotValue], dict[str, str]]:
    """The slots with the message's values put in, and slot → problem for values that are not valid."""
    filled, invalid = dict(slots), dict[str, str]()
    taken: set[str] = set()
    for entity in heard.entities:
        name = _slot_for(entity, {*filled} | taken, relevant, asked, pack)
        if name in taken and name != entity.slot:
            continue
        try:
            value = entity.value if name == entity.slot else normalise(pack.slots[name], entity.text)
            if value is None:
                raise InvalidValue(entity.problem)
        except InvalidValue as problem:
            if name in relevant:
                invalid[name] = str(problem)
            continue
        filled[name] = SlotValue(value, entity.confidence, turn)
        taken.add(name)
    if (
        asked
        and asked not in taken
        and not taken
        and asked not in invalid
        and set(wishes) <= {"inform", "remark"}
    ):
        found = _whole_message(heard.text, asked, pack)
        if found is not None:
            filled[asked] = SlotValue(found, 0.5, turn)
    return filled, {name: problem for name, problem in invalid.items() if name not in taken}


def _slot_for(
    entity: Entity, filled: set[str], relevant: tuple[str, ...], asked: str | None, pack: Pack
) -> str:
    """The NLU's slot, unless what was asked for, or what is still missing, looks the same and fits better."""
    same = next((family for family in FAMILIES if pack.slots[entity.slot].type in family), frozenset())

    def fits(name: str) -> bool:
        if pack.slots[name].type not in same:
            return False
        try:
            normalise(pack.slots[name], entity.text)
        except InvalidValue:
            return False
        return True

    if asked and asked != entity.slot and fits(asked):
        digits = len(re.sub(r"\D", "", entity.text))
        said_so = pack.slots[entity.slot].label.split()[0].lower() in entity.text.lower()
        ambiguous = pack.slots[entity.slot].type == pack.slots[asked].type or digits <= 4
        if ambiguous and not said_so and asked not in filled:
            return asked
    if entity.slot in relevant:
        return entity.slot
    return next((name for name in relevant if name not in filled and fits(name)), entity.slot)


def _whole_message(text: str, asked: str, pack: Pack) -> str | None:
    slot = pack.slots[asked]
    if slot.type not in WHOLE_MESSAGE or len(text) > 120:
        return None
    try:
        return normalise(slot, text)
    except InvalidValue:
        return None
