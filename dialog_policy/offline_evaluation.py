"""What a policy would be worth, from conversations that another one held."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dialog_policy.experience import Experience
from dialog_policy.fitted_evaluation import Values

HALF_TRUSTED = 10.0
"""Conversations on which a correction must rest to count by half."""


@dataclass(frozen=True)
class Ratios:
    """How much likelier the policy's own conversations are than the logged ones, decision by decision.

    In conversations without exploration the log shows one way only. They tell of the policy as long as it
    goes that way (`straight`); of all other ways only those with exploration tell.
    """

    ratio: NDArray[np.float64]
    """(conversations, longest) up to and with each decision; carried on after the end."""
    straight: NDArray[np.bool_]
    """(conversations, longest) whether only likeliest actions were taken so far."""

    @classmethod
    def of(cls, experience: Experience, wanted: NDArray[np.int64]) -> "Ratios":
        """Of a policy that takes the actions `wanted`."""
        each = (experience.actions == wanted) / experience.probabilities
        return cls(
            np.cumprod(pad(experience, each, 1.0), axis=1).astype(np.float64),
            np.cumprod(pad(experience, experience.probabilities > 0.5, 1.0), axis=1).astype(bool),
        )

    def weigh(
        self, weights: NDArray[np.float64], explored: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(conversations, longest) weights for means over the policy's conversations, and their sums.

        A sum is one where the log shows all that the policy would do, and less where it does not.
        """
        everywhere = weights / weights.sum()
        exploring = weights * explored
        exploring = exploring / max(exploring.sum(), 1e-9)
        share = np.where(self.straight, everywhere[:, None], exploring[:, None])
        weighted = share * self.ratio
        return weighted, weighted.sum(axis=0)


def pad(experience: Experience, values: NDArray[np.generic], fill: float) -> NDArray[np.float64]:
    """(conversations, longest) of (decisions,)."""
    lengths = np.diff([*experience.first, len(experience.actions)])
    padded = np.full((len(experience), lengths.max()), fill)
    inside = np.arange(lengths.max()) < lengths[:, None]
    padded[inside] = values
    return padded


def importance_sampled(experience: Experience, ratios: Ratios, weights: NDArray[np.float64]) -> float:
    """Weighted per-decision importance sampling (Precup et al. 2000)."""
    shares, sums = ratios.weigh(weights, experience.explored)
    rewards = pad(experience, experience.rewards, 0.0)
    return float(((shares * rewards).sum(axis=0) / np.maximum(sums, 1e-9)).sum())


def doubly_robust(
    experience: Experience, ratios: Ratios, values: Values, weights: NDArray[np.float64]
) -> float:
    """The fitted value, corrected by what it gets wrong where the log shows it (Jiang and Li 2016).

    What the log does not show is not extrapolated: there the fitted value stands alone. The fewer
    conversations the correction rests on, the less it counts (shrinkage, as in Su et al. 2020).
    """
    shares, sums = ratios.weigh(weights, experience.explored)
    following = np.append(values.wanted[1:], 0.0)
    following[experience.final] = 0.0
    surprise = pad(experience, experience.rewards + following - values.taken, 0.0)
    begin = np.average(values.wanted[experience.first], weights=weights)
    correction = ((shares * surprise).sum(axis=0) / np.maximum(sums, 1.0)).sum()
    return float(begin + trust(effective_size(experience, ratios, weights)) * correction)


def trust(effective: float) -> float:
    """How far a correction counts that rests on this many conversations: by half at `HALF_TRUSTED`."""
    return effective / (effective + HALF_TRUSTED)


def effective_size(experience: Experience, ratios: Ratios, weights: NDArray[np.float64]) -> float:
    """How many conversations of the policy itself the log is worth (Kish)."""
    shares = ratios.weigh(weights, experience.explored)[0][:, -1]
    total = float((shares**2).sum())
    return float(shares.sum() ** 2 / total) if total else 0.0


def coverage(experience: Experience, ratios: Ratios, weights: NDArray[np.float64]) -> float:
    """The share of the policy's conversations that the log shows to their end."""
    return float(min(ratios.weigh(weights, experience.explored)[1][-1], 1.0))
