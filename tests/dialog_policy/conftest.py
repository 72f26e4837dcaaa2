"""Simulated customers for the tests: fixed kinds, so that a change of users.yaml changes no test."""

from collections.abc import Callable

import pytest

from dialog_policy.env import DialogueEnv
from dialog_policy.population import Population
from domains.schema import OUT_OF_SCOPE, Pack
from nlu.errors import NluErrors

MakeEnv = Callable[..., DialogueEnv]

KINDS = {
    "plain": {"share": 3},
    "talkative": {"share": 1, "volunteers": 0.8, "small_talk": 0.1},
    "questioner": {"share": 1, "questions": (1, 2)},
    "asker": {"share": 1, "tasks": (0, 0), "questions": (1, 2)},
    "busy": {"share": 1, "tasks": (2, 2), "volunteers": 0.5},
    "corrector": {"share": 1, "correction": 0.8},
    "wavering": {"share": 1, "change_of_mind": 0.6},
    "person": {"share": 0.5, "wants_person": True},
    "stranger": {"share": 0.5, "wrong_credentials": True},
    "elsewhere": {"share": 0.5, "tasks": (0, 0), "out_of_scope": True},
}


@pytest.fixture(scope="session")
def make_env(pack: Pack) -> MakeEnv:
    """`nlu_error` is the share of misheard intents and of missed or garbled values."""

    def make(nlu_error: float = 0.0, seed: int = 0, **kinds: dict[str, object]) -> DialogueEnv:
        population = Population.model_validate({"kinds": kinds or KINDS})
        errors = NluErrors.uniform(nlu_error, [*pack.intents, OUT_OF_SCOPE])
        return DialogueEnv(pack, population, errors, seed)

    return make
