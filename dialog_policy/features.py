"""The observation: what a good agent would look at before the next word, as numbers."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from domains.schema import Pack
from storage.actions import Action
from storage.slots import relevant_slots
from storage.state import DialogueState

FEATURE_VERSION = 4
"""Raise it with every change of meaning, order or number: logs and policies carry it."""


def observe(state: DialogueState, pack: Pack, actions: tuple[Action, ...]) -> NDArray[np.float32]:
    """The observation vector of a state; every feature lies between 0 and 1."""
    return np.fromiter((value for _, value in _features(state, pack, actions)), dtype=np.float32)


def feature_names(pack: Pack, actions: tuple[Action, ...]) -> tuple[str, ...]:
    """One name a feature, in the order of `observe`."""
    return tuple(name for name, _ in _features(DialogueState(), pack, actions))


def _features(state: DialogueState, pack: Pack, actions: tuple[Action, ...]) -> Iterator[tuple[str, float]]:
    yield "turn", min(state.turn / 20, 1.0)
    yield "step", min(state.step / 6, 1.0)
    yield "failures", min(state.failures / 3, 1.0)
    yield "upset", min(state.upset / 2, 1.0)
    yield "top_probability", state.top_probability
    yield "out_of_scope", state.out_of_scope
    yield "task_confidence", min(state.task_confidence, 1.0)
    yield "question", float(state.question is not None)
    yield "question_is_topic", float(state.question in pack.topics)
    yield "question_confidence", min(state.question_confidence, 1.0)
    yield "greeting", float(state.greeting)
    yield "cancelled", float(state.cancelled)
    yield "goodbye", float(state.goodbye)
    yield "wants_person", float(state.wants_person)
    yield "may_want_person", float(state.may_want_person)
    yield "offered_more", float(state.offered_more)
    yield "waiting_tasks", min(len(state.waiting) / 2, 1.0)
    yield "completed_tasks", min(len(state.completed) / 2, 1.0)
    yield "results", min(len(state.results) / 2, 1.0)
    yield "alternatives", float(len(state.alternatives) == 2)
    yield "switched_task", float(bool(state.waiting) and state.task in state.alternatives)
    yield "authenticated", float(state.customer_id is not None)
    yield "needs_authentication", float(state.needs_authentication(pack))
    yield "authentication_failures", min(state.authentication_failures / 3, 1.0)
    yield "locked", float(state.locked)
    yield "tried", float(bool(state.tried))
    yield "missing", min(len(state.missing(pack)) / 5, 1.0)
    yield "confirmation_asked", float(state.confirmation == "asked")
    yield "confirmation_given", float(state.confirmation == "given")
    yield "must_confirm", float(state.task is not None and pack.tasks[state.task].confirm)
    for task in pack.tasks:
        yield f"task={task}", float(state.task == task)
    relevant = relevant_slots(state.task, state.customer_id is not None, pack) if state.task else ()
    missing = state.missing(pack)
    for slot in pack.askable:
        value = state.slots.get(slot) or state.tried.get(slot)
        yield f"{slot}.missing", float(slot in missing)
        yield (
            f"{slot}.confidence",
            min(value.confidence, 1.0) if value is not None and slot in relevant else 0.0,
        )
        yield f"{slot}.new", float(value is not None and value.turn == state.turn)
        yield f"{slot}.invalid", float(slot in state.invalid)
        yield f"{slot}.asked", min(state.ask_counts.get(slot, 0) / 3, 1.0)
    last = (state.last_action or "").partition("(")[0]
    for kind in dict.fromkeys(action.kind for action in actions):
        yield f"last={kind}", float(last == kind)
