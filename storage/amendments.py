"""What an answer to "shall I go ahead?" puts right of what was read out."""

import re

from domains.schema import Pack
from nlu.understanding import Entity, Understanding
from storage.changes import replace
from storage.consent import says_one_of
from storage.slots import is_cued, may_be, names_account, relevant_slots
from storage.state import DialogueState

LEADS = r"no|nope|wait|sorry|actually|rather|i meant?|i said|make it|make that|it'?s|it is|that'?s|just"
LEAD = re.compile(rf"^(?:(?:{LEADS})\b|[,\s])+", re.IGNORECASE)
"""What may stand before a correction."""
ZIP = re.compile(r"\b\d{5}(?:-\d{4})?$")


def amended(heard: Understanding, state: DialogueState, pack: Pack) -> Understanding:
    """Values that no open task has a place for, as what they correct.

    "No, November 3" is the day that was read out, whichever day the NLU takes it for; and so is an account
    after a no, unless a cue says that it is another ("no, from 7324"). A bare number is the one that was read
    out where there is only one, and a part of an address puts that part right.
    """
    refused = says_one_of(pack.domain.refusal, heard.text)
    known = set(relevant_slots(None, state.customer_id is not None, pack))
    for task in (state.task, state.dropped, *state.waiting):
        known.update(relevant_slots(task, True, pack) if task else ())
    open_slots = relevant_slots(state.task or state.dropped, True, pack)
    told = [slot for slot in open_slots if slot in {*state.slots, *state.skipped}]
    alone = _number_alone(heard, told, pack) or _part_of_address(heard, told, state, pack)
    if alone is not None:
        return replace(heard, entities=(alone,))
    entities = []
    for entity in heard.entities:
        kind = pack.slots[entity.slot].type
        shown = [
            s for s in told if may_be(kind, pack.slots[s].type) or names_account(entity, pack.slots[s], pack)
        ]
        corrects = refused and entity.slot not in state.slots and not is_cued(entity, heard.text, pack)
        meant = shown[0] if len(shown) == 1 and (corrects or entity.slot not in known) else entity.slot
        entities.append(replace(entity, slot=meant))
    return replace(heard, entities=tuple(entities))


def _number_alone(heard: Understanding, told: list[str], pack: Pack) -> Entity | None:
    """ "No, 2" where a count is the only thing with digits that was read out."""
    said = LEAD.sub("", heard.text).strip(" .!")
    numbers = [slot for slot in told if pack.slots[slot].type not in ("choice", "text", "person_name")]
    if len(numbers) != 1 or pack.slots[numbers[0]].type != "count" or not re.fullmatch(r"\d+", said):
        return None
    return _entity(heard, numbers[0], said)


def _part_of_address(
    heard: Understanding, told: list[str], state: DialogueState, pack: Pack
) -> Entity | None:
    """The whole address with what was put right of it: its number, its ZIP code, or its street."""
    places = [slot for slot in told if pack.slots[slot].type == "address" and slot in state.slots]
    if len(places) != 1:
        return None
    before, said = state.slots[places[0]].value, LEAD.sub("", heard.text).strip(" .!")
    if re.fullmatch(r"\d+", said):
        part = ZIP if len(said) == 5 and ZIP.search(before) else re.compile(r"^\d+")
        whole = part.sub(said, before, count=1)
        return _entity(heard, places[0], whole) if part.search(before) else None
    street, comma, rest = before.partition(",")
    is_street = re.match(r"\d", street) and re.fullmatch(r"\d+ [^\d,]+", said)
    return _entity(heard, places[0], f"{said}{comma}{rest}") if comma and is_street else None


def _entity(heard: Understanding, slot: str, value: str) -> Entity:
    return Entity(slot, 0, len(heard.text), value, value, 0.9)
