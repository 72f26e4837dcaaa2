"""What a customer's message changes in the dialogue state."""

from collections.abc import Mapping

from domains.schema import Pack
from nlu.data import CONTEXT_MESSAGES
from nlu.understanding import IntentScore, Understanding
from storage.amendments import amended
from storage.changes import replace
from storage.consent import begins_with_yes, consents, is_bare, says_one_of, says_yes
from storage.plain_answers import PLAUSIBLE, is_unknown, settle
from storage.slots import SlotValue, fill, relevant_slots
from storage.state import PERSON, DialogueState, proof_slots

CAPABILITIES = "capabilities"
"""Whose answer says what may be asked for, where the pack has it."""
SURE = 0.8
"""Confidence of a value that counts as progress before any task has begun, and of a wish for a person."""


def hear(state: DialogueState, heard: Understanding, pack: Pack) -> DialogueState:
    """The state after a customer's message."""
    before = state
    heard = settle(heard, before, pack)
    state = replace(
        state,
        turn=state.turn + 1,
        step=0,
        invalid={},
        question=None,
        question_confidence=0.0,
        alternatives=(),
        clarifying=(),
        results=(),
        top_probability=heard.top.probability,
        out_of_scope=heard.out_of_scope,
        greeting=False,
        cancelled=False,
        goodbye=False,
        wants_person=False,
        angry=False,
        asked=None,
        offered=None,
        closed=False,
        rating_asked=False,
        recent=(heard.text, *state.recent)[:CONTEXT_MESSAGES],
    )
    wishes = tuple(wish for wish in heard.wishes if wish in pack.intents)
    state = _take_wishes(state, before, wishes, heard, pack)
    if is_unknown(heard, before, pack):
        state = replace(state, skipped=(*state.skipped, str(before.asked)))
    else:
        state = _take_values(state, before, wishes, heard, pack).with_rest_of_proof(pack)
    if _moved(before, state):
        return replace(state, failures=0)
    if "remark" in wishes:
        return state
    return replace(state, failures=before.failures + 1, offered=before.offered)


def _take_wishes(
    state: DialogueState, before: DialogueState, wishes: tuple[str, ...], heard: Understanding, pack: Pack
) -> DialogueState:
    probability = {score.intent: score.probability for score in heard.intents}
    requests = [wish for wish in wishes if wish in pack.requests]
    tasks = [wish for wish in requests if wish in pack.tasks]
    if requests:
        alternatives = _alternatives(heard.intents, pack)
        if before.task and tasks and before.task not in (*tasks, *alternatives):
            alternatives = (tasks[0], before.task)  # misheard, perhaps, and the task is still wanted
        state = replace(state, alternatives=alternatives)
    repeated = tasks == [before.task] and begins_with_yes(heard.text, pack)  # "yes, close it"
    agreed = before.confirmation == "asked" and (
        ("affirm" in wishes and consents(heard, pack)) or (repeated and says_yes(heard, pack))
    )
    if agreed:
        later = [task for task in tasks if task not in (state.task, *state.waiting)]
        state = replace(state, confirmation="given", waiting=(*state.waiting, *later))
    elif tasks:
        state = _take_tasks(state, tasks, probability[tasks[0]], heard, pack)
    elif before.offered and not (before.task or requests) and _takes_up(before, wishes, heard, pack):
        if before.offered == PERSON:
            return replace(state, wants_person=True)
        return replace(state, task=before.offered, task_confidence=1.0, out_of_scope=0.0)
    for wish in wishes:
        kind = pack.intents[wish].kind
        if kind == "faq":
            state = replace(state, question=wish, question_confidence=probability[wish])
        elif wish == "deny":
            state = _take_denial(state, before)
        elif wish == "cancel":
            if tasks:
                state = replace(state, waiting=())
            elif before.task is None and before.completed and says_one_of(pack.domain.undo, heard.text):
                state = _take_back(state, before.completed[-1], pack)
            else:
                state = _take_cancellation(state, before)
        elif wish == "greeting":
            state = replace(state, greeting=True)
        elif wish == "goodbye" or (wish == "thanks" and says_one_of(pack.domain.farewell, heard.text)):
            # In the pack's own words: remarks are now and then misheard as a goodbye.
            leaves = before.task and says_one_of(pack.domain.farewell, heard.text)
            if leaves and not (agreed or tasks or heard.entities):
                state = _take_cancellation(state, before)
            state = replace(state, goodbye=True)
        elif wish == PERSON:
            state = _take_wish_for_person(state, before, probability[wish], heard, pack)
        elif wish == "affirm" and before.offered_more and not (state.task or requests or heard.entities):
            state = _take_more(state, probability[wish], heard, pack)
        elif wish == "insult":
            state = replace(state, upset=state.upset + 1, angry=True, question=state.question or wish)
        elif kind == "social" and wish not in ("inform", "affirm") and not (state.question or requests):
            state = replace(state, question=wish, question_confidence=probability[wish])
    return state


def _take_more(state: DialogueState, probability: float, heard: Understanding, pack: Pack) -> DialogueState:
    """A yes after "anything else?": a wish still to be named, or, as in "ok great", a thanks."""
    if not is_bare(heard.text, pack.domain.more):
        return replace(state, question="thanks", question_confidence=1.0) if probability >= SURE else state
    if CAPABILITIES in pack.intents:
        return replace(state, question=CAPABILITIES, question_confidence=1.0)
    return state


def _takes_up(before: DialogueState, wishes: tuple[str, ...], heard: Understanding, pack: Pack) -> bool:
    """Whether the customer wants what was offered: says yes, or goes on with its details or the proof."""
    if "affirm" in wishes:
        return is_bare(heard.text, pack.domain.more)
    offered = before.offered
    if offered is None or offered not in pack.tasks or "deny" in wishes:
        return False
    proven = before.customer_id is not None or pack.tasks[offered].authentication == "none"
    details = relevant_slots(offered, proven, pack)
    return any(entity.slot in details for entity in heard.entities)


def _take_wish_for_person(
    state: DialogueState, before: DialogueState, probability: float, heard: Understanding, pack: Pack
) -> DialogueState:
    """Certain, said twice or without another reading, it is granted; else the customer may be asked."""
    others = (*(task for task in (before.task,) if task), *_alternatives(heard.intents, pack))
    if probability >= SURE or before.may_want_person or not others:
        return replace(state, wants_person=True)
    return replace(state, alternatives=(PERSON, others[0]))


def _alternatives(scores: tuple[IntentScore, ...], pack: Pack) -> tuple[str, ...]:
    plausible = [s.intent for s in scores if s.intent in pack.intents and s.probability >= PLAUSIBLE]
    return tuple(intent for intent in plausible if intent in pack.requests)[:2]


def _take_tasks(
    state: DialogueState, tasks: list[str], probability: float, heard: Understanding, pack: Pack
) -> DialogueState:
    first, *later = tasks
    waiting = (*later, *(task for task in state.waiting if task not in tasks))
    if state.task is not None and state.task != first:
        instead = "cancel" in heard.wishes or "instead" in heard.text.lower()
        if not instead and state.task not in later:
            waiting = (*waiting, state.task)
        state = replace(state, confirmation="none")
    if state.task != first:
        state = replace(state, task=first, task_confidence=probability, dropped=None)
    return replace(state, waiting=waiting)


def _take_denial(state: DialogueState, before: DialogueState) -> DialogueState:
    if before.confirmation == "asked" and state.task != before.task:  # "no, check my balance"
        return replace(state, waiting=tuple(task for task in state.waiting if task != before.task))
    if before.confirmation == "asked":
        return replace(state, task=None, dropped=before.task, confirmation="none", cancelled=True)
    if before.offered_more and state.task is None and state.question is None:
        return replace(state, goodbye=True)
    return state


def _take_cancellation(state: DialogueState, before: DialogueState) -> DialogueState:
    if before.task is None and before.offered_more:
        return replace(state, goodbye=True)
    state = replace(state, task=None, waiting=(), skipped=(), dropped=before.task, named={})
    return replace(state, confirmation="none", cancelled=True)


def _take_back(state: DialogueState, done: str, pack: Pack) -> DialogueState:
    """What was done stays done: the pack's topic on that, or the plain word."""
    topic = pack.tasks[done].undo
    if topic is not None:
        return replace(state, question=topic, question_confidence=1.0)
    return replace(state, cancelled=True, dropped=None)


def _take_values(
    state: DialogueState, before: DialogueState, wishes: tuple[str, ...], heard: Understanding, pack: Pack
) -> DialogueState:
    """Put the message's values into slots; a changed or faulty value takes back a confirmation."""
    task = state.task or state.dropped
    relevant = relevant_slots(task, state.customer_id is not None, pack)
    wanted = tuple(dict.fromkeys((*replace(state, task=task).wanted(pack), *relevant)))
    if before.confirmation == "asked":
        heard = amended(heard, state, pack)
    skipped = state.skipped if before.confirmation == "asked" else ()  # may come back to mind
    asked = before.asked or next(iter(skipped), None)
    slots, invalid = fill(state.slots, heard, wanted, asked, state.turn, wishes, pack)
    if state.customer_id is None:
        slots, named = _set_aside(slots, pack)
        state = replace(state, named={**state.named, **named})
    changed = {
        name for name, new in slots.items() if name not in state.slots or state.slots[name].value != new.value
    }
    state = replace(state, slots=slots, invalid=invalid)
    task_slots = set(relevant_slots(task, True, pack))
    takes_up = relevant if before.clarifying else task_slots
    if changed.intersection(takes_up) and state.task is None and state.dropped and not state.waiting:
        revived = state.dropped
        state = replace(
            state, task=revived, dropped=None, cancelled=False, question=None, task_confidence=1.0
        )
    if (changed | invalid.keys()) & task_slots and state.confirmation != "none":
        state = replace(state, confirmation="none")
    return state


def _set_aside(
    slots: Mapping[str, SlotValue], pack: Pack
) -> tuple[dict[str, SlotValue], dict[str, SlotValue]]:
    """The slots, and those of a proof that hold the name of an account: "my savings" proves nothing."""
    proof = proof_slots(pack)
    named = {n: v for n, v in slots.items() if n in proof and v.value in pack.slots[n].names}
    return {n: v for n, v in slots.items() if n not in named}, named


def _moved(before: DialogueState, after: DialogueState) -> bool:
    """Whether the message brought the conversation further."""
    return bool(
        after.task != before.task
        or after.waiting != before.waiting
        or after.skipped != before.skipped
        or _learnt(after)
        or after.confirmation != before.confirmation
        or after.question
        or after.greeting
        or after.goodbye
        or after.wants_person
        or after.may_want_person
        or after.cancelled
    )


def _learnt(after: DialogueState) -> bool:
    """Whether a value came in; while nobody knows what for, only a sure one counts."""
    least = 0.0 if after.task else SURE
    return any(value.turn == after.turn and value.confidence >= least for value in after.slots.values())
