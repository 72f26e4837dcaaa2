"""Whether a policy is better than the live one, as far as a log of the live one can tell."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from dialog_policy.experience import Experience
from dialog_policy.features import feature_names
from dialog_policy.fitted_evaluation import evaluate_fitted
from dialog_policy.log_reward import LogReward
from dialog_policy.offline_evaluation import (
    Ratios,
    coverage,
    doubly_robust,
    effective_size,
    importance_sampled,
    trust,
)
from dialog_policy.policy import LearnedPolicy

Verdict = Literal["better", "not better", "not enough data"]


@dataclass(frozen=True)
class JudgeConfig:
    resamples: int = 30
    """Of the conversations; the whole evaluation is repeated for each."""
    unseen: float = 10.0
    """By how much a conversation may be worth more or less than fitted, where the log does not show it."""
    worthwhile: float = 0.5
    """The least gain, in reward, that a promotion is worth."""
    least_effective: float = 30.0
    """Conversations of the policy itself that the log must be worth before anything is said."""
    seed: int = 0


@dataclass(frozen=True)
class Estimate:
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, spread: float, allowance: float = 0.0) -> "Estimate":
        """With its 95 % interval; `allowance` is for what the resampled data do not show."""
        half = math.hypot(1.96 * spread, allowance)
        return cls(float(value), float(value) - half, float(value) + half)


@dataclass(frozen=True)
class Judgement:
    version: str
    fitted: Estimate
    """Fitted Q evaluation."""
    weighted: Estimate
    """Weighted importance sampling; tells only of the share of conversations that is covered."""
    robust: Estimate
    """Doubly robust: the one that counts."""
    live: Estimate
    gain: Estimate
    """Of the robust value over the live policy's, by the same conversations."""
    effective: float
    """Sample size: how many conversations of this policy the log is worth."""
    covered: float
    """Share of this policy's conversations that the log shows to their end."""
    verdict: Verdict
    words: str


def judge(
    experience: Experience,
    candidate: LearnedPolicy,
    live: LearnedPolicy,
    reward: LogReward,
    config: JudgeConfig | None = None,
) -> Judgement:
    """Compare two policies by conversations that neither was trained on."""
    config = config or JudgeConfig()
    rng = np.random.default_rng(config.seed)
    sides = [_Side(experience, policy, reward) for policy in (candidate, live)]
    points = [side.estimate(experience.weights) for side in sides]
    draws = []
    for _ in range(config.resamples):
        weights = experience.weights * rng.poisson(1.0, len(experience))
        draws.append([side.estimate(weights) for side in sides])
    values, spread = np.array(points), np.array(draws).std(axis=0, ddof=1)  # (policies, methods)
    gains = np.array(draws)[:, 0, 2] - np.array(draws)[:, 1, 2]
    covered = coverage(experience, sides[0].ratios, experience.weights)
    effective = effective_size(experience, sides[0].ratios, experience.weights)
    allowance = config.unseen * (1 - covered * trust(effective))
    gain = Estimate.of(values[0, 2] - values[1, 2], float(gains.std(ddof=1)), allowance)
    verdict, words = _verdict(gain, effective, covered, experience, config)
    return Judgement(
        candidate.version,
        Estimate.of(values[0, 0], spread[0, 0], allowance),
        Estimate.of(values[0, 1], spread[0, 1], 0.0),
        Estimate.of(values[0, 2], spread[0, 2], allowance),
        Estimate.of(values[1, 2], spread[1, 2]),
        gain,
        effective,
        covered,
        verdict,
        words,
    )


def wanted_by(policy: LearnedPolicy, experience: Experience) -> NDArray[np.int64]:
    """(decisions,) the actions that the policy would take."""
    with torch.inference_mode():
        scores = policy.network(torch.from_numpy(experience.observations))
        best = scores.masked_fill(~torch.from_numpy(experience.masks), -torch.inf).argmax(1)
    return np.asarray(best.numpy())


class _Side:
    """One of the two policies, with all that does not depend on how conversations are weighted."""

    def __init__(
        self,
        experience: Experience,
        policy: LearnedPolicy,
        reward: LogReward,
    ) -> None:
        self.experience = experience
        self.wanted = wanted_by(policy, experience)
        self.ratios = Ratios.of(experience, self.wanted)
        self._known = _handed_over(experience, self.wanted, policy, reward)
        self._near: NDArray[np.float64] | None = None

    def estimate(self, weights: NDArray[np.float64]) -> tuple[float, float, float]:
        """Fitted, weighted and robust value."""
        logged = self.experience
        rows = weights[logged.owner]
        values = evaluate_fitted(logged, self.wanted, rows, self._known, self._near)
        self._near = values.wanted if self._near is None else self._near
        return (
            float(np.average(values.wanted[logged.first], weights=weights)),
            importance_sampled(logged, self.ratios, weights),
            doubly_robust(logged, self.ratios, values, weights),
        )


def _handed_over(
    experience: Experience, wanted: NDArray[np.int64], policy: LearnedPolicy, reward: LogReward
) -> NDArray[np.float64]:
    """What handing over is worth, which needs no log: the conversation ends, asked for or not."""
    names = feature_names(policy.pack, policy.actions)

    def feature(name: str) -> NDArray[np.float32]:
        column: NDArray[np.float32] = experience.observations[:, names.index(name)]
        return column

    asked = (
        (feature("wants_person") > 0) | (feature("locked") > 0) | (feature("authentication_failures") > 0.5)
    )
    handoff = next(place for place, action in enumerate(policy.actions) if action.kind == "handoff")
    worth = np.where(asked, reward.ended("asked for a person"), reward.ended("given to a person"))
    return np.where(wanted == handoff, worth, np.nan)


def _verdict(
    gain: Estimate, effective: float, covered: float, experience: Experience, config: JudgeConfig
) -> tuple[Verdict, str]:
    size = len(experience)
    found = (
        f"gain {gain.value:+.2f} reward a conversation (95 % interval {gain.low:+.2f} to {gain.high:+.2f})"
    )
    if effective >= config.least_effective and gain.low > 0:
        return "better", f"Better than the live policy: {found}."
    if gain.high < config.worthwhile:
        return "not better", f"Not better than the live policy: {found}."
    if not experience.explored.any():
        return "not enough data", (
            f"Not enough data: {found}, and no logged conversation explored, so that the log shows nothing "
            "but what the live policy does. Serve with CHATBOT_EXPLORE=0.2 for a while."
        )
    unseen = config.unseen * (1 - covered * trust(effective))
    if unseen > max(gain.value, config.worthwhile):
        return "not enough data", (
            f"Not enough data: {found}. {1 - covered:.0%} of what it would do was never tried, and no number "
            "of further conversations changes that without more exploration; try it as a canary."
        )
    half = gain.high - gain.value
    sought = max(abs(gain.value), config.worthwhile)
    more = math.ceil(size * max(half**2 - unseen**2, 0.0) / max(sought**2 - unseen**2, 0.01)) - size
    return "not enough data", (
        f"Not enough data: {found}. If the gain is what it seems, about {max(more, size // 10):,} more "
        f"conversations would show it, beside the {size:,} there are."
    )
