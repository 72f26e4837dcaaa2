"""A population of simulated customers whose conversations look like the logged ones: by moments.

Customers of a wide repertoire of kinds talk to the policy that was live. Shares of the kinds are then
sought under which the means of what can be seen of their conversations equal those of the log.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialog_policy.env import DialogueEnv
from dialog_policy.fitted_errors import fit_errors
from dialog_policy.policy import LearnedPolicy
from dialog_policy.population import Population, load_population
from dialog_policy.simulation import SimulationConfig, hold
from domains.schema import Pack
from nlu.errors import NluErrors
from nlu.understanding import Understanding
from storage.logs import LoggedConversation
from storage.state import DialogueState

SeenTurn = tuple[Understanding, Sequence[str], DialogueState]
"""What was heard, the bot's actions, and the state after the turn."""

CHANGES: Mapping[str, Mapping[str, Any]] = {
    "": {},
    "hasty": {"patience": (2, 3)},
    "very hasty": {"patience": (1, 2)},
    "all at once": {"volunteers": 1.0},
    "all at once, corrects": {"volunteers": 1.0, "correction": 0.9},
    "asks much": {"questions": (2, 3)},
    "asks much, hasty": {"questions": (2, 3), "patience": (2, 3)},
    "corrects, hasty": {"correction": 0.8, "patience": (2, 3)},
}
"""What may be different about customers of a kind."""
PLAIN_ONLY = frozenset(
    {"all at once", "all at once, corrects", "asks much", "asks much, hasty", "corrects, hasty"}
)
"""Changes that are tried for the kinds `plain` and `busy` alone."""


@dataclass(frozen=True)
class FitConfig:
    episodes: int = 40
    """Conversations for each kind of the repertoire."""
    steps: int = 2000
    leash: float = 5.0
    """How strongly the shares are held to those that customers were thought to have before."""
    noise: float = 0.04
    """Difference of a moment that means nothing: few conversations stand for a kind."""
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    population: Population
    errors: NluErrors
    logged: Mapping[str, float]
    """Moments of the log."""
    simulated: Mapping[str, float]
    """The same of the fitted population."""


def fit_population(
    conversations: Sequence[LoggedConversation],
    policy: LearnedPolicy,
    measured: NluErrors,
    pack: Pack,
    config: FitConfig | None = None,
) -> Fitted:
    """Who the customers are that talked to `policy`, and how well they were understood."""
    config = config or FitConfig()
    errors = fit_errors(conversations, measured, pack)
    repertoire, before = _repertoire(pack)
    logged = np.stack([_moments(_of_log(conversation), pack) for conversation in conversations])
    target, spread = logged.mean(axis=0), logged.std(axis=0) / np.sqrt(len(logged))
    means = []
    for name, kind in repertoire.items():
        env = DialogueEnv(pack, Population(kinds={name: kind}), errors)
        held = hold(env, policy, SimulationConfig(config.episodes, seed=config.seed))
        moments = [
            _moments([(t.understanding, [d.action for d in t.decisions], t.state) for t in one.turns], pack)
            for one, _ in held
        ]
        means.append(np.mean(moments, axis=0))
    table = np.stack(means, axis=1)  # (moments, kinds)
    noise = np.hypot(spread, config.noise)
    shares = _match(table / noise[:, None], target / noise, before, config)
    kept = {
        name: kind.model_copy(update={"share": float(share)})
        for (name, kind), share in zip(repertoire.items(), shares, strict=True)
        if share > 1e-3
    }
    return Fitted(
        Population(kinds=kept),
        errors,
        dict(zip(MOMENTS, target.tolist(), strict=True)),
        dict(zip(MOMENTS, (table @ shares).tolist(), strict=True)),
    )


def _repertoire(pack: Pack) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Kinds, and the shares that they are thought to have before the log is looked at."""
    shipped = load_population("default", pack).kinds
    kinds, shares = {}, []
    for change, values in CHANGES.items():
        for name, kind in shipped.items():
            if change in PLAIN_ONLY and name not in ("plain", "busy"):
                continue
            kinds[f"{name}, {change}" if change else name] = kind.model_copy(update=values)
            shares.append(kind.share * (1.0 if not change else 0.1))
    return kinds, np.array(shares) / sum(shares)


def _match(
    table: NDArray[np.float64], target: NDArray[np.float64], before: NDArray[np.float64], config: FitConfig
) -> NDArray[np.float64]:
    """Shares that minimise the squared misfit and the divergence from `before`, by mirror descent."""
    shares = before.copy()
    rate = 0.5 / (np.abs(table.T @ table).max() + config.leash)
    for _ in range(config.steps):
        misfit = table.T @ (table @ shares - target)
        slope = misfit + config.leash * np.log(shares / before)
        shares = np.maximum(shares * np.exp(-rate * (slope - slope @ shares)), 1e-9)
        shares /= shares.sum()
    return shares


# ── what can be seen of a conversation ──

MOMENTS = (
    *(f"more than {count} messages" for count in (1, 2, 3, 4, 5, 6, 8, 10, 13)),
    *("closed", "handed over", "left", "wanted a person", "locked", "was out of scope"),
    *("executed something", "executed two", "values at first / 4", "no value at first"),
    *("values an answer / 2", "questions / 3", "two questions", "question in a task"),
    *("remarks / 2", "confirmation refused with a value", "confirmation refused", "task changed"),
    *("failures / 3", "two failures in a row", "three failures in a row"),
    *("left after one failure", "left after two", "left after three or more", "clarified"),
)


def _moments(turns: Sequence[SeenTurn], pack: Pack) -> NDArray[np.float64]:
    states = [state for _, _, state in turns]
    last = states[-1]
    actions = [action for _, taken, _ in turns for action in taken]
    executed = sum(action.startswith("execute") for action in actions)
    asked_before = [(taken[-1] if taken else "") for _, taken, _ in turns]
    pairs = list(zip(asked_before, turns[1:], strict=False))
    answers = [len(turn[0].entities) for asked, turn in pairs if asked.startswith("ask(")]
    refused = [
        turn[0] for asked, turn in pairs if asked.startswith("confirm") and "affirm" not in turn[0].wishes
    ]
    topics = [[w for w in heard.wishes if w in pack.topics and w in pack.intents] for heard, _, _ in turns]
    questions = sum(map(bool, topics))
    during = sum(
        bool(asked) and before[2].task is not None
        for asked, before in zip(topics[1:], turns[:-1], strict=True)
    )
    tasks = [state.task for state in states if state.task]
    changed = sum(a != b for a, b in pairwise(tasks)) > max(executed - 1, 0)
    failures = [state.failures for state in states]
    gone = not last.closed and not last.handed_over
    first = len(turns[0][0].entities)
    return np.array(
        [
            *(float(len(turns) > count) for count in (1, 2, 3, 4, 5, 6, 8, 10, 13)),
            float(last.closed),
            float(last.handed_over),
            float(gone),
            float(any(state.wants_person for state in states)),
            float(last.locked or last.authentication_failures > 1),
            float(any(heard.out_of_scope > 0.5 for heard, _, _ in turns)),
            float(executed > 0),
            float(executed > 1),
            min(first, 4) / 4,
            float(first == 0),
            (sum(answers) / len(answers) if answers else 0.0) / 2,
            min(questions, 3) / 3,
            float(questions > 1),
            float(during > 0),
            min(sum("remark" in heard.wishes for heard, _, _ in turns), 2) / 2,
            float(any(heard.entities for heard in refused)),
            float(bool(refused)),
            float(changed),
            min(sum(count > 0 for count in failures), 3) / 3,
            float(max(failures) >= 2),
            float(max(failures) >= 3),
            float(gone and last.failures == 1),
            float(gone and last.failures == 2),
            float(gone and last.failures >= 3),
            float(any(action == "clarify" for action in actions)),
        ]
    )


def _of_log(conversation: LoggedConversation) -> list[SeenTurn]:
    return [
        (turn.heard, [decision.action for decision in turn.decisions], turn.state)
        for turn in conversation.turns
    ]


def describe(fitted: Fitted) -> Iterable[tuple[str, float, float]]:
    """Each moment with its value in the log and in the simulator."""
    return ((name, fitted.logged[name], fitted.simulated[name]) for name in MOMENTS)
