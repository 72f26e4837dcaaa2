"""What an identified customer has, so that nobody needs to know the number of a card that is lost."""

import re
from collections.abc import Iterable, Mapping, Sequence

from domains.backend import Holding
from domains.schema import Pack
from storage.changes import replace
from storage.slots import SlotValue
from storage.state import DialogueState

OTHER = re.compile(r"\bother (?:one|card|account)\b")
PLACES = ("first", "second", "third", "fourth")


def wants_holdings(state: DialogueState, pack: Pack) -> bool:
    """Whether the task needs something that the business system may know, and has not been asked for."""
    return state.customer_id is not None and any(
        name not in state.held or (len(state.held[name]) == 1 and _is_open(name, state))
        for name in _held_slots(state, pack)
    )


def take_holdings(
    state: DialogueState, holdings: Mapping[str, Sequence[Holding]], pack: Pack
) -> DialogueState:
    """The state in which these may be chosen from; the only one of a slot is taken.

    Of a card or an account four digits proved as much: what turns out as the other of them is none of this.
    """
    slots = dict(state.slots)
    held = {
        name: {one.value: one.label for one in holdings.get(name, ())} for name in _held_slots(state, pack)
    }
    for name, values in held.items():
        others = [slot for part in pack.domain.authentication.parts if name in part for slot in part]
        values_of_others = [one.value for slot in others if slot != name for one in holdings.get(slot, ())]
        if name in slots and not _fits(slots[name], values) and _fits(slots[name], values_of_others):
            del slots[name]
        if len(values) == 1 and name not in {*slots, *state.invalid}:
            slots[name] = SlotValue(next(iter(values)), 1.0, state.turn)
    return replace(state, held={**state.held, **held}, slots=slots)


def chosen_holding(answer: str, state: DialogueState) -> tuple[str, str] | None:
    """Slot and value of what an answer names among what there is to choose from: by label, by place, or as
    the other of two, of which one was read out."""
    if state.asked:
        values = state.held.get(state.asked, {})
        for place, (value, label) in zip((*PLACES, *values), values.items(), strict=False):
            if answer.lower() in {label.lower(), place, f"the {place}", f"the {place} one"}:
                return state.asked, value
    if state.confirmation == "asked" and OTHER.search(answer.lower()):
        pairs = [name for name, values in state.held.items() if len(values) == 2 and name in state.slots]
        rest = [
            value for name in pairs for value in state.held[name] if not _fits(state.slots[name], [value])
        ]
        if len(pairs) == len(rest) == 1:
            return pairs[0], rest[0]
    return None


def _held_slots(state: DialogueState, pack: Pack) -> list[str]:
    """Slots that the task needs and the business system may know."""
    return [name for name in pack.tasks[state.task].slots if pack.slots[name].held] if state.task else []


def _is_open(name: str, state: DialogueState) -> bool:
    return name not in state.slots and name not in state.invalid


def _fits(given: SlotValue, values: Iterable[str]) -> bool:
    return any(given.value.endswith(value) for value in values)
