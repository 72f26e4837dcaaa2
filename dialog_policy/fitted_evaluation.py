"""What a policy's conversations would be worth, learnt from those of another: fitted Q evaluation.

The value of an action is linear in the observation, with a part that all actions share and a part of its own
that is held close to nothing where the action was seldom seen. So an iteration costs two products of
matrices, and the whole can be repeated for a bootstrap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dialog_policy.experience import Experience

Chooser = Callable[[NDArray[np.float32], NDArray[np.bool_]], NDArray[np.int64]]
"""From observations and masks to the actions that a policy takes."""


@dataclass(frozen=True)
class FittedConfig:
    iterations: int = 40
    """Steps ahead that are counted; conversations are seldom longer."""
    more_iterations: int = 8
    """From values that are nearly right."""
    shared_penalty: float = 3.0
    own_penalty: float = 10.0
    lowest: float = -140.0
    """No conversation is worth less, nor more than `highest`."""
    highest: float = 20.0


class Values(NamedTuple):
    taken: NDArray[np.float64]
    """(decisions,) of the logged action, after which the policy goes on."""
    wanted: NDArray[np.float64]
    """(decisions,) of the action that the policy would take."""


class ActionRidge:
    """Ridge regression of a number upon observation and action, with a fixed design and many targets."""

    def __init__(
        self,
        design: NDArray[np.float64],
        actions: NDArray[np.int64],
        count: int,
        weights: NDArray[np.float64],
        config: FittedConfig,
    ) -> None:
        self.design, self.actions, self.weights = design, actions, weights
        width = design.shape[1]
        self._rows = [np.flatnonzero((actions == action) & (weights > 0)) for action in range(count)]
        shared = np.full(width, config.shared_penalty)
        own = np.full(width, config.own_penalty)
        shared[0] = own[0] = 0.1  # the intercept
        self._shared = self._solver(np.flatnonzero(weights > 0), shared)
        self._own = [self._solver(rows, own) for rows in self._rows]

    def _solver(self, rows: NDArray[np.int64], penalty: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse of the penalised Gram matrix."""
        part = self.design[rows]
        return np.asarray(np.linalg.inv((part.T * self.weights[rows]) @ part + np.diag(penalty)), np.float64)

    def fit(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        """(actions, features) coefficients."""
        weighted = self.weights * target
        shared = self._shared @ (self.design.T @ weighted)
        rest = self.weights * (target - self.design @ shared)
        return np.stack(
            [
                shared + solve @ (self.design[rows].T @ rest[rows])
                for rows, solve in zip(self._rows, self._own, strict=True)
            ]
        )


def design_of(observations: NDArray[np.float32]) -> NDArray[np.float64]:
    """(decisions, features) with an intercept in front."""
    return np.hstack([np.ones((len(observations), 1)), observations.astype(np.float64)])


def evaluate_fitted(
    experience: Experience,
    wanted: NDArray[np.int64],
    weights: NDArray[np.float64],
    known: NDArray[np.float64] | None = None,
    near: NDArray[np.float64] | None = None,
    config: FittedConfig | None = None,
) -> Values:
    """Values under the policy that would take `wanted`; `weights` are those of the decisions.

    `known` values of wanted actions are taken as they are; elsewhere it holds no number. `near` are values of
    the wanted actions to begin with.
    """
    config = config or FittedConfig()
    known = np.full(len(wanted), np.nan) if known is None else known
    design = design_of(experience.observations)
    ridge = ActionRidge(design, experience.actions, experience.masks.shape[1], weights, config)
    values = np.zeros(len(wanted)) if near is None else near  # of the action that the policy would take
    coefficients = np.zeros((experience.masks.shape[1], design.shape[1]))
    for _ in range(config.iterations if near is None else config.more_iterations):
        following = np.append(values[1:], 0.0)
        following[experience.final] = 0.0
        coefficients = ridge.fit(experience.rewards + following)
        values = np.where(np.isnan(known), _predict(design, coefficients, wanted, config), known)
    return Values(_predict(design, coefficients, experience.actions, config), values)


def _predict(
    design: NDArray[np.float64],
    coefficients: NDArray[np.float64],
    actions: NDArray[np.int64],
    config: FittedConfig,
) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.einsum("nd,nd->n", design, coefficients[actions])
    return found.clip(config.lowest, config.highest)
