"""What the bot may do next. The same mask holds in training and in service.

No policy, however trained, gets past it: nothing is executed without its required slots, its
authentication and, where the task says so, the customer's own yes.
"""

import numpy as np
from numpy.typing import NDArray

from domains.schema import Pack
from storage.actions import Action
from storage.slots import relevant_slots
from storage.state import DialogueState, proof_slots

MAX_STEPS = 6
"""Bot actions in one turn, after which it must wait for the customer."""
DOUBTFUL = 0.4
"""Confidence below which a value just given may be asked for again."""
PATIENCE_WITH_FAILURE = 3
"""Messages in a row without progress after which a person takes over."""
PATIENCE_WITH_ANGER = 2
"""Insults after which a person takes over."""
CERTAIN = 0.7
"""Probability above which a wish is not put in question."""
UNANSWERED = 0.3
"""Out-of-scope score above which the bot may say that it cannot help."""


def action_set(pack: Pack) -> tuple[Action, ...]:
    """Every action of a pack, in a fixed order.

    Where only one argument can ever be allowed (the present task, the open question), the action
    stands once and `concrete` puts the argument in.
    """
    kinds = ("greet", "answer", "decline", "cancel", "authenticate", "execute", "confirm", "clarify")
    plain = (*kinds, "identify", "rephrase", "offer_more", "handoff", "close")
    return (*(Action(kind) for kind in plain), *(Action("ask", slot) for slot in pack.askable))  # type: ignore[arg-type]


def concrete(action: Action, state: DialogueState) -> Action:
    """The action with the argument that the state gives it."""
    if action.kind in ("confirm", "execute") and state.task:
        return Action(action.kind, state.task)
    if action.kind == "answer" and state.question:
        return Action(action.kind, state.question)
    return action


def allowed(state: DialogueState, pack: Pack, actions: tuple[Action, ...]) -> NDArray[np.bool_]:
    """The mask over `actions`; handing over to a person is always allowed, and sometimes the only thing."""
    if _must_hand_over(state):
        return np.array([action.kind == "handoff" for action in actions], dtype=bool)
    return np.array([_is_allowed(action, state, pack) for action in actions], dtype=bool)


def _must_hand_over(state: DialogueState) -> bool:
    """A person who asks for a person gets one, and so does one whom the bot keeps failing or enraging."""
    return state.wants_person or state.upset >= PATIENCE_WITH_ANGER or state.failures >= PATIENCE_WITH_FAILURE


def _is_allowed(action: Action, state: DialogueState, pack: Pack) -> bool:
    if not action.waits and state.step >= MAX_STEPS:
        return False
    free = state.task is None and state.question is None and not state.cancelled
    match action.kind:
        case "greet":
            return state.greeting
        case "answer":
            return state.question is not None
        case "decline":
            return state.out_of_scope >= UNANSWERED and state.question is None
        case "cancel":
            return state.cancelled
        case "authenticate":
            return state.needs_authentication(pack) and not state.missing_proof(pack) and not state.locked
        case "execute":
            return may_execute(state, pack)
        case "confirm":
            return (
                _complete(state, pack)
                and pack.tasks[str(state.task)].confirm
                and state.confirmation != "given"
            )
        case "clarify":
            return len(state.alternatives) == 2 and state.top_probability < CERTAIN and state.step == 0
        case "rephrase":
            return state.failures > 0 or state.out_of_scope >= UNANSWERED
        case "offer_more":
            return free and not state.greeting
        case "close":
            return free and (state.goodbye or state.offered_more)
        case "identify":  # once more, in one message: three questions again try the customer's patience
            return state.authentication_failures > 0 and not state.locked and state.proof_is_open(pack)
        case "ask":
            return _may_ask(action.argument, state, pack)
        case "handoff":
            return True


def may_execute(state: DialogueState, pack: Pack) -> bool:
    """Whether the present task may be carried out now."""
    if not _complete(state, pack):
        return False
    return not pack.tasks[str(state.task)].confirm or state.confirmation == "given"


def _complete(state: DialogueState, pack: Pack) -> bool:
    """All values there and valid, and the customer known where that is required."""
    return (
        state.task is not None
        and not state.missing(pack)
        and not state.needs_authentication(pack)
        and not set(state.invalid) & set(pack.tasks[state.task].slots)
    )


def _may_ask(slot: str, state: DialogueState, pack: Pack) -> bool:
    if state.task is None:
        return False
    if state.needs_authentication(pack) and (state.locked or slot not in proof_slots(pack)):
        return False  # first who, then what
    missing = state.missing(pack)
    if slot in missing[:1]:  # the pack knows in which order they are best asked
        return True
    if slot in state.invalid:
        return slot in relevant_slots(state.task, state.customer_id is not None, pack)
    if missing:
        return False
    value = state.slots.get(slot)
    doubted = value is not None and value.confidence < DOUBTFUL and value.turn == state.turn
    return doubted and slot in relevant_slots(state.task, state.customer_id is not None, pack)
