"""The observation: what a good agent would look at before the next word, as numbers."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from domains.schema import Pack
from storage.actions import Action
from storage.slots import relevant_slots
from storage.state import DialogueState

FEATURE_VERSION = 4
"""Raise it with every change of meaning, order or number: logs and policies carry it."""

WHOLE: Mapping[str, Callable[[DialogueState, Pack], float]] = {
    "turn": lambda state, _: min(state.turn / 20, 1.0),
    "step": lambda state, _: min(state.step / 6, 1.0),
    "failures": lambda state, _: min(state.failures / 3, 1.0),
    "upset": lambda state, _: min(state.upset / 2, 1.0),
    "top_probability": lambda state, _: state.top_probability,
    "out_of_scope": lambda state, _: state.out_of_scope,
    "task_confidence": lambda state, _: min(state.task_confidence, 1.0),
    "question": lambda state, _: state.question is not None,
    "question_is_topic": lambda state, pack: state.question in pack.topics,
    "question_confidence": lambda state, _: min(state.question_confidence, 1.0),
    "greeting": lambda state, _: state.greeting,
    "cancelled": lambda state, _: state.cancelled,
    "goodbye": lambda state, _: state.goodbye,
    "wants_person": lambda state, _: state.wants_person,
    "may_want_person": lambda state, _: state.may_want_person,
    "offered_more": lambda state, _: state.offered_more,
    "waiting_tasks": lambda state, _: min(len(state.waiting) / 2, 1.0),
    "completed_tasks": lambda state, _: min(len(state.completed) / 2, 1.0),
    "results": lambda state, _: min(len(state.results) / 2, 1.0),
    "alternatives": lambda state, _: len(state.alternatives) == 2,
    "switched_task": lambda state, _: bool(state.waiting) and state.task in state.alternatives,
    "authenticated": lambda state, _: state.customer_id is not None,
    "needs_authentication": lambda state, pack: state.needs_authentication(pack),
    "authentication_failures": lambda state, _: min(state.authentication_failures / 3, 1.0),
    "locked": lambda state, _: state.locked,
    "tried": lambda state, _: bool(state.tried),
    "missing": lambda state, pack: min(len(state.missing(pack)) / 5, 1.0),
    "confirmation_asked": lambda state, _: state.confirmation == "asked",
    "confirmation_given": lambda state, _: state.confirmation == "given",
    "must_confirm": lambda state, pack: state.task is not None and pack.tasks[state.task].confirm,
}
"""What there is once, whatever the pack."""
OF_SLOT = ("missing", "confidence", "new", "invalid", "asked")
"""What there is of each slot that can be asked for, as `_of_slots` gives it."""


def observe(state: DialogueState, pack: Pack, actions: tuple[Action, ...]) -> NDArray[np.float32]:
    """The observation vector of a state; every feature lies between 0 and 1."""
    values = [float(feature(state, pack)) for feature in WHOLE.values()]
    values += [float(state.task == task) for task in pack.tasks]
    values += _of_slots(state, pack)
    last = (state.last_action or "").partition("(")[0]
    values += [float(last == kind) for kind in _kinds(actions)]
    return np.array(values, dtype=np.float32)


def feature_names(pack: Pack, actions: tuple[Action, ...]) -> tuple[str, ...]:
    """One name a feature, in the order of `observe`."""
    return (
        *WHOLE,
        *(f"task={task}" for task in pack.tasks),
        *(f"{slot}.{name}" for slot in pack.askable for name in OF_SLOT),
        *(f"last={kind}" for kind in _kinds(actions)),
    )


def _of_slots(state: DialogueState, pack: Pack) -> Iterator[float]:
    relevant = relevant_slots(state.task, state.customer_id is not None, pack) if state.task else ()
    missing = state.missing(pack)
    for slot in pack.askable:
        value = state.slots.get(slot) or state.tried.get(slot)
        yield float(slot in missing)
        yield min(value.confidence, 1.0) if value is not None and slot in relevant else 0.0
        yield float(value is not None and value.turn == state.turn)
        yield float(slot in state.invalid)
        yield min(state.ask_counts.get(slot, 0) / 3, 1.0)


def _kinds(actions: tuple[Action, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(action.kind for action in actions))
