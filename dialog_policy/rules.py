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
CERTAIN = 0.9
"""Probability above which a wish is not put in question."""
FAREWELL = 0.8
"""Probability of a goodbye to which the bot says goodbye without asking whether there is anything else."""
CLEAR_QUESTION = 0.8
"""Probability of a question above which it is answered before the bot asks for anything."""
UNANSWERED = 0.3
"""Out-of-scope score above which the bot may say that it cannot help."""
NO_TASK = "there is no task"
NOT_OF_TASK = "the task does not need it"


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
    return np.array([not why for why in refusals(state, pack, actions)], dtype=bool)


def refusals(state: DialogueState, pack: Pack, actions: tuple[Action, ...]) -> list[str]:
    """Of each action why it is forbidden, in words for the people who review; empty where it is allowed."""
    person = _person_needed(state)
    if person:
        return ["" if action.kind == "handoff" else person for action in actions]
    refused = [_refusal(action, state, pack) for action in actions]
    if state.may_want_person and state.step == 0:  # never passed over
        return [
            why or ("" if action.kind in ("clarify", "handoff") else "a person may be wanted")
            for action, why in zip(actions, refused, strict=True)
        ]
    return refused


def _person_needed(state: DialogueState) -> str:
    """A person who asks for a person gets one, and so does one whom the bot keeps failing or enraging."""
    if state.wants_person:
        return "the customer wants a person"
    if state.upset >= PATIENCE_WITH_ANGER:
        return "the customer is angry, a person takes over"
    if state.failures >= PATIENCE_WITH_FAILURE:
        return f"{state.failures} messages brought nothing, a person takes over"
    return ""


def _refusal(action: Action, state: DialogueState, pack: Pack) -> str:
    if not action.waits and state.step >= MAX_STEPS:
        return f"after {MAX_STEPS} actions the customer has the word"
    if (
        action.kind in ("ask", "identify", "confirm")
        and state.step < MAX_STEPS
        and _asks_clearly(state, pack)
    ):
        return "the question comes first"
    match action.kind:
        case "greet":
            return "" if state.greeting else "there is no greeting to return"
        case "answer":
            return "" if state.question is not None else "no question is open"
        case "decline":
            if state.question is not None:
                return "a question is open"
            if state.alternatives:
                return "the message had a wish"
            return "" if state.out_of_scope >= UNANSWERED else "the message is in scope"
        case "cancel":
            return "" if state.cancelled else "the customer took nothing back"
        case "authenticate":
            if not state.needs_authentication(pack):
                return "no proof of identity is needed"
            return _locked(state) or _missing(state.missing_proof(pack), pack)
        case "execute":
            return _incomplete(state, pack) or _without_yes(state, pack)
        case "confirm":
            incomplete = _incomplete(state, pack)
            if incomplete:
                return incomplete
            if not pack.tasks[str(state.task)].confirm:
                return "this task needs no yes"
            return "the customer has said yes" if state.confirmation == "given" else ""
        case "clarify":
            if len(state.alternatives) != 2:
                return "there are no two wishes to choose from"
            if state.top_probability >= CERTAIN:
                return "the wish is certain enough"
            return "" if state.step == 0 else "the bot has acted on the message"
        case "rephrase":
            return (
                "" if state.failures > 0 or state.out_of_scope >= UNANSWERED else "the message was understood"
            )
        case "offer_more":
            return _busy(state) or ("the greeting comes first" if state.greeting else "")
        case "close":
            if not state.goodbye and state.has_news:
                return "the message brought a value"
            if state.goodbye and not state.offered_more and state.top_probability < FAREWELL:
                return "the goodbye may be misheard"
            thanked = state.offered_more and state.last_action == "answer(thanks)"
            return _busy(state) if state.goodbye or thanked else "the customer has not come to an end"
        case "identify":  # in one message: a question for each part tries the customer's patience
            return _locked(state) or (
                "" if len(state.open_proof(pack)) > 1 else "there are no two to ask for"
            )
        case "ask":
            return _not_to_ask(action.argument, state, pack)
        case "handoff":
            return ""


def _asks_clearly(state: DialogueState, pack: Pack) -> bool:
    """Whether the message held a question that was surely heard; its answer costs no message."""
    return state.question in pack.topics and state.question_confidence >= CLEAR_QUESTION


def may_execute(state: DialogueState, pack: Pack) -> bool:
    """Whether the present task may be carried out now."""
    return not (_incomplete(state, pack) or _without_yes(state, pack))


def _without_yes(state: DialogueState, pack: Pack) -> str:
    needed = pack.tasks[str(state.task)].confirm and state.confirmation != "given"
    return "the customer has not said yes" if needed else ""


def _incomplete(state: DialogueState, pack: Pack) -> str:
    """What keeps the present task: a value that is missing or not valid, or who the customer is."""
    if state.task is None:
        return NO_TASK
    if state.needs_authentication(pack):
        return _locked(state) or _missing(state.missing_proof(pack), pack) or "the customer is not identified"
    invalid = [slot for slot in pack.tasks[state.task].slots if slot in state.invalid]
    return _missing(state.missing(pack), pack) or (
        f"{pack.slots[invalid[0]].label}: not valid" if invalid else ""
    )


def _missing(slots: tuple[str, ...], pack: Pack) -> str:
    return f"{pack.slots[slots[0]].label}: missing" if slots else ""


def _locked(state: DialogueState) -> str:
    return "too many proofs of identity failed" if state.locked else ""


def _busy(state: DialogueState) -> str:
    if state.task is not None:
        return "a task is open"
    if state.question is not None:
        return "a question is open"
    return "what was taken back is to be confirmed" if state.cancelled else ""


def _not_to_ask(slot: str, state: DialogueState, pack: Pack) -> str:
    if state.task is None:
        return NO_TASK
    if state.needs_authentication(pack):  # first who, then what
        if state.locked:
            return _locked(state)
        if slot not in proof_slots(pack):
            return "first who the customer is"
    missing = state.missing(pack)
    if slot in missing[:1]:  # the pack knows in which order they are best asked
        return ""
    relevant = slot in relevant_slots(state.task, state.customer_id is not None, pack)
    if slot in state.invalid:
        return "" if relevant else NOT_OF_TASK
    if missing:
        return f"first {pack.slots[missing[0]].label}"
    if not relevant:
        return NOT_OF_TASK
    value = state.slots.get(slot)
    doubted = value is not None and value.confidence < DOUBTFUL and value.turn == state.turn
    return "" if doubted else "not in doubt"
