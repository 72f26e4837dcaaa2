"""Trying other actions in service, so that the log can tell what would have come of them."""

import hashlib
import random
from dataclasses import dataclass, replace

import numpy as np

from dialog_policy.policy import Choice, LearnedPolicy
from storage.state import DialogueState

FINAL = frozenset({"handoff", "close"})
"""Kinds that end the conversation: never tried out."""


@dataclass(frozen=True)
class Exploration:
    """Off unless a share is given. Whatever is drawn, the rules allow it."""

    share: float = 0.0
    """Of the conversations; those that explore do so to their end."""
    chance: float = 0.2
    """Of a decision to be drawn among the others near the best; below a half: the best stays likeliest."""
    near: float = 1e-4
    """Least probability of those others under the policy, as a share of the best one's."""
    salt: str = "exploration"

    def __post_init__(self) -> None:
        if not (0 <= self.share <= 1 and 0 <= self.chance < 0.5 and 0 < self.near <= 1):
            raise ValueError(f"{self}: share and near lie between 0 and 1, chance between 0 and 0.5")

    def explores(self, conversation_id: str) -> bool:
        """The same for a conversation in every server, and at every turn."""
        return lot(self.salt, conversation_id) < self.share


class Exploring:
    """A policy that now and then does something else than what it takes for the best."""

    def __init__(self, policy: LearnedPolicy, exploration: Exploration, rng: random.Random) -> None:
        self.policy, self.exploration, self.rng = policy, exploration, rng
        self.version = policy.version
        self._final = np.array([action.kind in FINAL for action in policy.actions])

    def choose(self, state: DialogueState) -> Choice:
        """The best action, or one of the others near it; its probability is exact."""
        choice = replace(self.policy.choose(state), explored=True)
        probabilities = self.policy.probabilities(choice.observation, choice.mask)
        best = self.policy.actions.index(choice.action)
        near = choice.mask & ~self._final & (probabilities >= self.exploration.near * probabilities[best])
        near[best] = False
        others = np.flatnonzero(near)
        if not len(others):
            return choice
        chance = self.exploration.chance
        if self.rng.random() >= chance:
            return replace(choice, probability=1 - chance)
        drawn = self.rng.choice(others.tolist())
        return replace(choice, action=self.policy.actions[drawn], probability=chance / len(others))


def lot(salt: str, conversation_id: str) -> float:
    """A number between 0 and 1 that `salt` gives the conversation for good."""
    digest = hashlib.sha256(f"{salt}:{conversation_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
