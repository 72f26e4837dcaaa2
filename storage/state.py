"""What the bot knows in the middle of a conversation. Pure: no SQL, no clock, no chance.

`act` takes in the bot's own action, `record` the result of an execution, and `hearing.hear` a customer's
message. Each returns a new state.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

from pydantic import TypeAdapter

from domains.backend import ActionResult
from domains.schema import Pack
from nlu.past import NO_PAST, Past
from storage.actions import Action
from storage.changes import replace
from storage.slots import SlotValue

PERSON = "human"
"""The intent of who wants to talk to a person."""
Confirmation = Literal["none", "asked", "given"]


@dataclass(frozen=True)
class Result:
    """One execution as the customer is told of it."""

    task: str
    outcome: str
    facts: Mapping[str, str] = field(default_factory=dict)
    earlier: bool = False
    """Asked for before, without an answer then."""


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
    skipped: tuple[str, ...] = ()
    """Slots of the task that the customer does not know, and that may stay open."""
    invalid: Mapping[str, str] = field(default_factory=dict)
    """Slot → what was wrong with the value given in the last message."""
    question: str | None = None
    """Topic or social intent of the last message that is not answered yet."""
    question_confidence: float = 0.0
    alternatives: tuple[str, ...] = ()
    """The two best wishes behind the last message, where it had one; a person, if any, is the first."""
    clarifying: tuple[str, ...] = ()
    """The two wishes between which the customer was asked to choose."""
    confirmation: Confirmation = "none"
    asked: str | None = None
    ask_counts: Mapping[str, int] = field(default_factory=dict)
    customer_id: str | None = None
    authentication_failures: int = 0
    locked: bool = False
    tried: Mapping[str, SlotValue] = field(default_factory=dict)
    """The proof of identity that failed; what the customer does not give anew of it is tried again."""
    named: Mapping[str, SlotValue] = field(default_factory=dict)
    """Accounts that the customer called by a name before the proof of identity, which takes their slots."""
    held: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Slot → value → label: what the customer has of what the task needs. See holdings.py."""
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
    angry: bool = False
    """Whether the last message was one."""
    offered_more: bool = False
    """The last thing the bot asked is whether there is anything else."""
    offered: str | None = None
    """What the answer to the last question offered: a task, or a person."""
    results: tuple[Result, ...] = ()
    """What was executed since the last message."""
    completed: tuple[str, ...] = ()
    """Tasks done in this conversation."""
    recent: tuple[str, ...] = ()
    """The customer's last messages, latest first: context for the NLU."""
    last_action: str | None = None
    handed_over: bool = False
    closed: bool = False
    rating_asked: bool = False
    """Whether the next message may be a rating of the colleague who resolved the conversation."""

    @property
    def may_want_person(self) -> bool:
        """Whether the last message may have asked for a person, and may have not."""
        return PERSON in self.alternatives

    @property
    def has_news(self) -> bool:
        """Whether the last message brought a value, valid or not."""
        return bool(self.invalid) or any(value.turn == self.turn for value in self.slots.values())

    @property
    def past(self) -> Past:
        """What was wanted and given so far, for the NLU."""
        wanted = (*self.completed, *(() if self.task is None else (self.task,)), *self.waiting)
        return NO_PAST.after(wanted, self.slots)

    def missing(self, pack: Pack) -> tuple[str, ...]:
        """Slots that the present task still needs, those of the authentication first, in asking order."""
        if self.task is None:
            return ()
        known = {*self.slots, *self.skipped}
        return (*self.missing_proof(pack), *(s for s in pack.tasks[self.task].slots if s not in known))

    def wanted(self, pack: Pack) -> tuple[str, ...]:
        """Like `missing`, with every alternative of an open entry of the authentication."""
        return (*chain.from_iterable(self.open_proof(pack)), *self.missing(pack))

    def missing_proof(self, pack: Pack) -> tuple[str, ...]:
        """Slots that the authentication still needs; empty when it is complete or not required."""
        return tuple(slots[0] for slots in self.open_proof(pack))

    def open_proof(self, pack: Pack) -> tuple[tuple[str, ...], ...]:
        """Like `missing_proof`, each slot with those that would do in its place."""
        if not self.needs_authentication(pack):
            return ()
        return tuple(p for p in pack.domain.authentication.parts if not any(s in self.slots for s in p))

    def with_rest_of_proof(self, pack: Pack) -> "DialogueState":
        """The failed proof again, with what has been given anew; as it is where nothing has.

        Where all that was given is what failed, the rest stays to be asked for: that was wrong.
        """
        missing = self.open_proof(pack)
        if not self.tried or len(missing) == len(pack.domain.authentication.parts) > 1:
            return self
        rest = set(chain.from_iterable(missing))
        given = {name: value.value for name, value in self.slots.items() if name in proof_slots(pack)}
        failed = {name: value.value for name, value in self.tried.items()}
        if missing and given.items() <= failed.items():
            return self
        slots = {**self.slots, **{name: value for name, value in self.tried.items() if name in rest}}
        return replace(self, slots=slots, tried={n: v for n, v in self.tried.items() if n not in slots})

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


def act(state: DialogueState, action: Action, pack: Pack) -> DialogueState:
    """The state after the bot's action; results of executions go through `record`."""
    offered_more = action.kind == "offer_more" or (state.offered_more and not action.waits)
    state = replace(state, step=state.step + 1, last_action=str(action), offered_more=offered_more)
    match action.kind:
        case "greet":
            return replace(state, greeted=True, greeting=False)
        case "answer":
            intent = pack.intents.get(state.question or "")
            offered = None if state.task or not intent else intent.offers
            return replace(state, question=None, offered=offered, out_of_scope=0.0)  # nothing to decline
        case "decline":
            return replace(state, out_of_scope=0.0)
        case "cancel":
            return replace(state, cancelled=False)
        case "ask":
            counts = {**state.ask_counts, action.argument: state.ask_counts.get(action.argument, 0) + 1}
            slots = {name: value for name, value in state.slots.items() if name != action.argument}
            return replace(state, asked=action.argument, ask_counts=counts, slots=slots)
        case "identify":
            return replace(state, asked=next(iter(state.missing_proof(pack)), None))
        case "confirm":
            return replace(state, confirmation="asked")
        case "clarify":
            # A customer who just goes on with the details meant the likelier one: see _take_values.
            return replace(state, clarifying=state.alternatives, dropped=state.task, task=None, question=None)
        case "handoff":
            return replace(state, handed_over=True)
        case "close":
            return replace(state, closed=True)
        case _:
            return state


def give_back(state: DialogueState) -> DialogueState:
    """As a colleague gives the conversation back: what is known stays, what was asked does not.

    A yes to the colleague is no yes to the bot.
    """
    return replace(
        state,
        handed_over=False,
        wants_person=False,
        failures=0,
        upset=0,
        asked=None,
        clarifying=(),
        alternatives=(),
        question=None,
        offered=None,
        offered_more=False,
        confirmation="none",
    )


def resolve(state: DialogueState) -> DialogueState:
    """The state in which a colleague ends the conversation; the customer may rate it, or start anew."""
    return replace(
        give_back(state), task=None, waiting=(), dropped=None, closed=True, rating_asked=True, ask_counts={}
    )


def record(
    state: DialogueState, task: str, result: ActionResult, pack: Pack, *, earlier: bool = False
) -> DialogueState:
    """The state after `task` was executed with `result`, now or `earlier`."""
    told = Result(task, result.outcome, dict(result.facts), earlier)
    state = replace(state, results=(*state.results, told))
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
        skipped=(),
        held={},
        confirmation="none",
        ask_counts={},
    )


def recognise(state: DialogueState, customer_id: str, pack: Pack) -> DialogueState:
    """The state after somebody whom the business trusts has said who the customer is."""
    proof = proof_slots(pack)
    return replace(
        state,
        customer_id=customer_id,
        authentication_failures=0,
        locked=False,
        tried={},
        slots={**state.slots, **state.named},
        named={},
        held={},
        asked=None if state.asked in proof else state.asked,
    )


def _record_authentication(state: DialogueState, result: ActionResult, pack: Pack) -> DialogueState:
    if "customer_id" in result.facts:
        # An account given as proof alone, in answer to the question for it, is not the one the task is about;
        # one that was named before the proof failed is, and so is one beside a card that proves as much.
        only_proof = set() if state.alternatives else _stand_ins(state, pack)
        slots = {n: v for n, v in state.slots.items() if n not in only_proof or v.turn < state.turn}
        slots |= {n: v for n, v in state.tried.items() if n not in slots and v.turn < state.turn - 1}
        return replace(
            state,
            slots={**slots, **state.named},
            named={},
            customer_id=result.facts["customer_id"],
            authentication_failures=0,
            tried={},
        )
    proof = proof_slots(pack)
    return replace(
        state,
        slots={name: value for name, value in state.slots.items() if name not in proof},
        tried={name: value for name, value in state.slots.items() if name in proof},
        authentication_failures=state.authentication_failures + 1,
        locked=result.outcome == "locked"
        or state.authentication_failures + 1 >= pack.domain.authentication.attempts,
    )


def _stand_ins(state: DialogueState, pack: Pack) -> set[str]:
    """Slots that serve the authentication in place of the first of their entry."""
    parts = pack.domain.authentication.parts
    return {name for first, *others in parts if first not in state.slots for name in others}


def _first_proofs(pack: Pack) -> set[str]:
    return {slots[0] for slots in pack.domain.authentication.parts}


def proof_slots(pack: Pack) -> set[str]:
    """Every slot that can serve the authentication."""
    return set(chain.from_iterable(pack.domain.authentication.parts))
