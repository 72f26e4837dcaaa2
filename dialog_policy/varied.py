"""Customers and errors that differ from conversation to conversation: a policy learns for all of them."""

import random
from collections.abc import Sequence
from dataclasses import replace

from dialog_policy.env import DialogueEnv
from dialog_policy.population import Kind, Population
from domains.schema import Pack
from nlu.errors import NluErrors

AS_DESCRIBED = 0.3
"""Share of the conversations with the population and the errors as they were given."""
HIGHEST_ERROR = 0.35
POPULATIONS, ERRORS = 64, 24
"""How many of each are drawn; making one for each conversation would cost more than the conversation."""


class VariedEnv(DialogueEnv):
    """Domain randomisation (Tobin et al. 2017) around a population and the errors of an NLU."""

    def __init__(self, pack: Pack, population: Population, errors: NluErrors, seed: int = 0) -> None:
        super().__init__(pack, population, errors, seed)
        rng = random.Random(seed)
        intents = list(pack.intents)
        self._described = (population, errors)
        self._populations = [vary(population, rng) for _ in range(POPULATIONS)]
        self._errors = [errors, *vary_errors(errors, intents, rng, ERRORS)]

    def begin(self, seed: int | None = None) -> None:
        if seed is not None:
            self._rng = random.Random(seed)
        if self._rng.random() < AS_DESCRIBED:
            self.population, self.errors = self._described
        else:
            self.population = self._rng.choice(self._populations)
            self.errors = self._rng.choice(self._errors)
        super().begin()


def vary(population: Population, rng: random.Random) -> Population:
    """The same kinds in other shares, each a little different."""
    return Population(kinds={name: _vary_kind(kind, rng) for name, kind in population.kinds.items()})


def _vary_kind(kind: Kind, rng: random.Random) -> Kind:
    patience = max(2, kind.patience[0] + rng.randint(-2, 1))
    questions = kind.questions[1] + rng.choice((0, 0, 1))
    chances = {
        name: min(1.0, max(0.0, getattr(kind, name) + rng.choice((0, rng.uniform(-spread, spread)))))
        for name, spread in (("volunteers", 0.4), ("correction", 0.4), ("change_of_mind", 0.3))
    }
    for name in ("typos", "asks_person"):
        if chance := getattr(kind, name):  # nothing is drawn for what a kind does not do
            chances[name] = min(1.0, chance * rng.uniform(0.0, 2.0))
    return kind.model_copy(
        update={
            **chances,
            "share": kind.share * rng.uniform(0.3, 3.0),
            "patience": (patience, max(patience, kind.patience[1] + rng.randint(-3, 1))),
            "questions": (kind.questions[0], questions),
            "small_talk": kind.small_talk * rng.uniform(0.0, 3.0),
        }
    )


def vary_errors(errors: NluErrors, intents: Sequence[str], rng: random.Random, count: int) -> list[NluErrors]:
    """Uniform rates from none up, and the given errors with more of them."""
    uniform = [
        NluErrors.uniform(HIGHEST_ERROR * place / max(count // 2 - 1, 1), intents)
        for place in range(count // 2)
    ]
    return uniform + [_worse(errors, intents, rng) for _ in range(count - count // 2)]


def _worse(errors: NluErrors, intents: Sequence[str], rng: random.Random) -> NluErrors:
    """Some intents taken for another one, slots missed more often."""
    rows = dict(errors.intents)
    for intent in rng.sample(list(intents), k=len(intents) // 4):
        share, other = rng.uniform(0.0, 0.5), rng.choice(intents)
        row = {name: chance * (1 - share) for name, chance in rows.get(intent, {intent: 1.0}).items()}
        rows[intent] = {**row, other: row.get(other, 0.0) + share}
    return replace(
        errors,
        intents=rows,
        slot_missed=errors.slot_missed + rng.uniform(0.0, 0.15),
        slot_wrong=errors.slot_wrong + rng.uniform(0.0, 0.15),
    )
