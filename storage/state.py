"""What the bot knows in the middle of a conversation. Pure: no SQL, no clock, no chance.

`hear` takes in a customer's message, `act` the bot's own action, `record` the result of an
execution. Each returns a new state.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import TypeAdapter

from domains.backend import ActionResult
from domains.schema import Pack
from nlu.data import CONTEXT_MESSAGES
from nlu.understanding import IntentScore, Understanding
from storage.actions import Action
from storage.consent import gives_consent
from storage.slots import SlotValue, fill, relevant_slots

PLAUSIBLE = 0.1
"""Probability that makes a wish worth asking about."""
SURE = 0.8
"""Confidence of a value that counts as progress before any task has begun."""

Confirmation = Literal["none", "asked", "given"]


@dataclass(frozen=True)
class Result:
    """One execution as the customer is told of it."""

    task: str
    outcome: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DialogueState:
    turn: int = 0
    """Customer messages so far."""
    step: int = 0
    """Bot actions since the last message."""
    task: str | None = None
    task_confidence: float = 0.0
    waiting: tuple[str, ...] = ()
    """Tasks that come after the present one."""
    dropped: str | None = None
    """The task that was refused, or ended in something else than done: a correction takes it up again."""
    slots: Mapping[str, SlotValue] = field(default_factory=dict)
    invalid: Mapping[str, str] = field(default_factory=dict)
    """Slot → what was wrong with the value given in the last message."""
    question: str | None = None
    """Topic or social intent of the last message that is not answered yet."""
    question_confidence: float = 0.0
    alternatives: tuple[str, ...] = ()
    """The two best wishes behind the last message, where it carried one."""
    clarifying: tuple[str, ...] = ()
    """The two wishes between which the customer was asked to choose."""
    confirmation: Confirmation = "none"
    asked: str | None = None
    ask_counts: Mapping[str, int] = field(default_factory=dict)
    customer_id: str | None = None
    authentication_failures: int = 0
    locked: bool = False
    failures: int = 0
    """Messages in a row that brought the conversation no further."""
    top_probability: float = 0.0
    out_of_scope: float = 0.0
    greeting: bool = False
    greeted: bool = False
    cancelled: bool = False
    goodbye: bool = False
    wants_person: bool = False
    upset: int = 0
    """Insults so far."""
    offered_more: bool = False
    results: tuple[Result, ...] = ()
    """What was executed since the last message."""
    completed: tuple[str, ...] = ()
    """Tasks done in this conversation."""
    executions: int = 0
    """Answers of the business system so far; part of the idempotency key of the next one."""
    recent: tuple[str, ...] = ()
    """The customer's last messages, latest first: context for the NLU."""
    last_action: str | None = None
    handed_over: bool = False
    closed: bool = False

    def missing(self, pack: Pack) -> tuple[str, ...]:
        """Slots that the present task still needs, those of the authentication first, in asking order."""
        if self.task is None:
            return ()
        return (*self.missing_proof(pack), *(s for s in pack.tasks[self.task].slots if s not in self.slots))

    def wanted(self, pack: Pack) -> tuple[str, ...]:
        """Like `missing`, with every alternative of an open entry of the authentication."""
        open_proof = self.missing_proof(pack)
        entries = pack.domain.authentication.slots
        options = [(entry,) if isinstance(entry, str) else entry for entry in entries]
        proof = [name for names in options if names[0] in open_proof for name in names]
        return (*proof, *self.missing(pack))

    def missing_proof(self, pack: Pack) -> tuple[str, ...]:
        """Slots that the authentication still needs; empty when it is complete or not required."""
        if not self.needs_authentication(pack):
            return ()
        missing = []
        for entry in pack.domain.authentication.slots:
            options = (entry,) if isinstance(entry, str) else entry
            if not any(option in self.slots for option in options):
                missing.append(options[0])
        return tuple(missing)

    def needs_authentication(self, pack: Pack) -> bool:
        if self.task is None or self.customer_id is not None:
            return False
        return pack.tasks[self.task].authentication == "customer"


STATE_ADAPTER: TypeAdapter[DialogueState] = TypeAdapter(DialogueState)


def to_json(state: DialogueState) -> dict[str, Any]:
    """The state as plain JSON values."""
    data: dict[str, Any] = STATE_ADAPTER.dump_python(state, mode="json")
    return data


def from_json(data: Mapping[str, Any]) -> DialogueState:
    """The inverse of to_json. Raises pydantic.ValidationError where data is no state."""
    return STATE_ADAPTER.validate_python(data)


def hear(state: DialogueState, heard: Understanding, pack: Pack) -> DialogueState:
    """The state after a customer's message."""
    before = state
    heard = _chosen(heard, before, pack)
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
        offered_more=False,
        asked=None,
        closed=False,
        recent=(heard.text, *state.recent)[:CONTEXT_MESSAGES],
    )
    wishes = tuple(wish for wish in heard.wishes if wish in pack.intents)
    state = _take_wishes(state, before, wishes, heard, pack)
    state = _take_values(state, before, wishes, heard, pack)
    if _moved(before, state):
        return replace(state, failures=0)
    if "remark" in wishes:
        return state
    return replace(state, failures=before.failures + 1)


def _chosen(heard: Understanding, before: DialogueState, pack: Pack) -> Understanding:
    """What the words alone settle: an answer that names an option which was offered, a bare yes or no."""
    answer = heard.text.strip().strip(".!").lower()
    for place, option in zip(("first", "second"), before.clarifying, strict=False):
        if answer in {pack.intents[option].description.lower(), f"the {place} one", f"the {place}", place}:
            return _certain(heard, option)
    if before.asked and answer in {name.replace("_", " ") for name in pack.slots[before.asked].choices}:
        return _certain(heard, "inform")
    if before.asked or heard.entities or not all(_may_hide_a_yes(wish, pack) for wish in heard.wishes):
        return heard
    answer = re.sub(r"[\s,.!]*(thanks|thank you|please)$", "", answer)
    if before.confirmation == "asked" and answer in pack.domain.consent:
        return _certain(heard, "affirm")
    return _certain(heard, "deny") if answer in pack.domain.refusal else heard


def _may_hide_a_yes(wish: str, pack: Pack) -> bool:
    return wish in ("inform", "thanks") or pack.intents[wish].kind != "social"


def _certain(heard: Understanding, intent: str) -> Understanding:
    scores = (IntentScore(intent, 1.0), *(s for s in heard.intents if s.intent != intent))
    return replace(heard, intents=scores, wishes=(intent,), out_of_scope=0.0)


def _take_wishes(
    state: DialogueState, before: DialogueState, wishes: tuple[str, ...], heard: Understanding, pack: Pack
) -> DialogueState:
    probability = {score.intent: score.probability for score in heard.intents}
    requests = [wish for wish in wishes if pack.intents[wish].kind != "social"]
    if requests:
        state = replace(state, alternatives=_alternatives(heard.intents, pack))
    tasks = [wish for wish in requests if wish in pack.tasks]
    agreed = "affirm" in wishes and before.confirmation == "asked" and _consents(heard, pack)
    if agreed:
        later = [task for task in tasks if task not in (state.task, *state.waiting)]
        state = replace(state, confirmation="given", waiting=(*state.waiting, *later))
    elif tasks:
        state = _take_tasks(state, tasks, probability[tasks[0]], heard, pack)
    for wish in wishes:
        kind = pack.intents[wish].kind
        if kind == "faq":
            state = replace(state, question=wish, question_confidence=probability[wish])
        elif wish == "deny":
            state = _take_denial(state, before)
        elif wish == "cancel":
            state = _take_cancellation(state, before) if not tasks else replace(state, waiting=())
        elif wish == "greeting":
            state = replace(state, greeting=True)
        elif wish == "goodbye":
            state = replace(state, goodbye=True)
        elif wish == "human":
            state = replace(state, wants_person=True)
        elif wish == "insult":
            state = replace(state, upset=state.upset + 1, question=state.question or wish)
        elif kind == "social" and wish not in ("inform", "affirm") and not (state.question or requests):
            state = replace(state, question=wish, question_confidence=probability[wish])
    return state


def _consents(heard: Understanding, pack: Pack) -> bool:
    """A yes; none where it holds a number that was not understood, for that may be a correction."""
    rest = heard.text
    for entity in sorted(heard.entities, key=lambda e: -e.start):
        rest = rest[: entity.start] + rest[entity.end :]
    return gives_consent(heard.text, pack) and not re.search(r"\d", rest)


def _alternatives(scores: tuple[IntentScore, ...], pack: Pack) -> tuple[str, ...]:
    plausible = [s.intent for s in scores if s.intent in pack.intents and s.probability >= PLAUSIBLE]
    return tuple(intent for intent in plausible if pack.intents[intent].kind != "social")[:2]


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
    return replace(state, task=None, waiting=(), dropped=before.task, confirmation="none", cancelled=True)


def _take_values(
    state: DialogueState, before: DialogueState, wishes: tuple[str, ...], heard: Understanding, pack: Pack
) -> DialogueState:
    """Put the message's values into slots; a changed or faulty value takes back a confirmation."""
    task = state.task or state.dropped
    relevant = relevant_slots(task, state.customer_id is not None, pack)
    wanted = tuple(dict.fromkeys((*replace(state, task=task).wanted(pack), *relevant)))
    slots, invalid = fill(state.slots, heard, wanted, before.asked, state.turn, wishes, pack)
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


def _moved(before: DialogueState, after: DialogueState) -> bool:
    """Whether the message brought the conversation further."""
    return bool(
        after.task != before.task
        or after.waiting != before.waiting
        or _learnt(before, after)
        or after.confirmation != before.confirmation
        or after.question
        or after.greeting
        or after.goodbye
        or after.wants_person
        or after.cancelled
    )


def _learnt(before: DialogueState, after: DialogueState) -> bool:
    """Whether a value came in; while nobody knows what for, only a sure one counts."""
    least = 0.0 if after.task else SURE
    return any(value.turn == after.turn and value.confidence >= least for value in after.slots.values())


def act(state: DialogueState, action: Action, pack: Pack) -> DialogueState:
    """The state after the bot's action; results of executions go through `record`."""
    state = replace(state, step=state.step + 1, last_action=str(action))
    match action.kind:
        case "greet":
            return replace(state, greeted=True, greeting=False)
        case "answer":
            return replace(state, question=None)
        case "decline":
            return replace(state, out_of_scope=0.0)
        case "cancel":
            return replace(state, cancelled=False)
        case "ask":
            counts = {**state.ask_counts, action.argument: state.ask_counts.get(action.argument, 0) + 1}
            slots = {name: value for name, value in state.slots.items() if name != action.argument}
            return replace(state, asked=action.argument, ask_counts=counts, slots=slots)
        case "confirm":
            return replace(state, confirmation="asked")
        case "clarify":
            # A customer who just goes on with the details meant the likelier one: see _take_values.
            return replace(state, clarifying=state.alternatives, dropped=state.task, task=None, question=None)
        case "offer_more":
            return replace(state, offered_more=True)
        case "handoff":
            return replace(state, handed_over=True)
        case "close":
            return replace(state, closed=True)
        case _:
            return state


def record(state: DialogueState, task: str, result: ActionResult, pack: Pack) -> DialogueState:
    """The state after `task` was executed with `result`."""
    told = Result(task, result.outcome, dict(result.facts))
    state = replace(state, results=(*state.results, told), executions=state.executions + 1)
    if task == pack.domain.authentication.task:
        return _record_authentication(state, result, pack)
    if result.outcome == "done":
        spent = {*pack.tasks[task].optional, *pack.tasks[task].slots} - _first_proofs(pack)
        slots = {name: value for name, value in state.slots.items() if name not in spent}
        state = replace(state, slots=slots, completed=(*state.completed, task), dropped=None)
    else:
        state = replace(state, dropped=task)
    following, *waiting = state.waiting or (None,)
    return replace(
        state,
        task=following,
        task_confidence=1.0 if following else 0.0,
        waiting=tuple(w for w in waiting if w),
        confirmation="none",
        ask_counts={},
    )


def _record_authentication(state: DialogueState, result: ActionResult, pack: Pack) -> DialogueState:
    proof = proof_slots(pack)
    if "customer_id" in result.facts:
        # An account given as proof alone, in answer to the question for it, is not the one the task is about.
        only_proof = set() if state.alternatives else proof - _first_proofs(pack)
        slots = {n: v for n, v in state.slots.items() if n not in only_proof or v.turn < state.turn}
        return replace(state, slots=slots, customer_id=result.facts["customer_id"], authentication_failures=0)
    return replace(
        state,
        slots={name: value for name, value in state.slots.items() if name not in proof},
        authentication_failures=state.authentication_failures + 1,
        locked=result.outcome == "locked"
        or state.authentication_failures + 1 >= pack.domain.authentication.attempts,
    )


def _first_proofs(pack: Pack) -> set[str]:
    return {entry if isinstance(entry, str) else entry[0] for entry in pack.domain.authentication.slots}


def proof_slots(pack: Pack) -> set[str]:
    """Every slot that can serve the authentication."""
    entries = pack.domain.authentication.slots
    return {name for entry in entries for name in ((entry,) if isinstance(entry, str) else entry)}
