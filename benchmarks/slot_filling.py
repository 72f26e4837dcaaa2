"""A search dialogue with misheard messages, as a public task for the learner, apart from any pack.

After the restaurant domain of Casanueva et al. (2017, arXiv:1711.11023): a user looks for a venue by some
slots and wants details of it; every message is misheard with a given rate; −1 a turn and +20 for success; 25
turns at most. Beliefs, user and hand-made policy are simpler than there, and written anew.
"""

import random
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

Observation = NDArray[np.float32]
SLOTS, VALUES, DETAILS, VENUES = 3, 8, 3, 110
LONGEST = 25
SUCCESS, TURN = 20.0, -1.0
PATIENCE = 3
"""Wrong offers and repeated actions that a user puts up with."""
NO_MATTER = 0.15
"""How often a user does not care about a slot."""
REQUEST, CONFIRM, OFFER, OTHER, TELL, REPEAT, BYE = (
    range(SLOTS),
    range(SLOTS, 2 * SLOTS),
    *range(2 * SLOTS, 2 * SLOTS + 5),
)
ACTIONS = 2 * SLOTS + 5
Act = tuple[str, int, int]
"""Kind, slot or detail, value; VALUES stands for "does not matter"."""


class SlotFillingEnv(gym.Env[Observation, np.int64]):
    """One episode is one dialogue. `info["success"]` is there at its end."""

    def __init__(self, error: float, seed: int = 0) -> None:
        self.error = error
        self._rng = random.Random(seed)
        venues = random.Random(4)  # the same ones for all seeds
        self.venues = np.array([[venues.randrange(VALUES) for _ in range(SLOTS)] for _ in range(VENUES)])
        self.action_space = spaces.Discrete(ACTIONS)
        size = SLOTS * 4 + DETAILS + 5 + ACTIONS
        self.observation_space = spaces.Box(0.0, 1.0, (size,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self._rng = random.Random(seed)
        rng = self._rng
        venue = self.venues[rng.randrange(VENUES)]
        self.goal = [VALUES if rng.random() < NO_MATTER else int(value) for value in venue]
        self.wanted = set(rng.sample(range(DETAILS), rng.randint(1, DETAILS)))
        self.told: set[int] = set()
        self.beliefs = np.zeros((SLOTS, VALUES + 1))
        self.asked = np.zeros(DETAILS)
        self.offered: int | None = None
        self.refused: set[int] = set()
        self.last = REPEAT
        self.turn = self.annoyed = 0
        self._meant: list[Act] = [("inform", slot, self.goal[slot]) for slot in rng.sample(range(SLOTS), 1)]
        self._hear(self._meant)
        return self.observe(), {}

    def action_masks(self) -> NDArray[np.bool_]:
        mask = np.ones(ACTIONS, dtype=bool)
        mask[list(CONFIRM)] = self.beliefs.max(1) > 0
        mask[[OTHER, TELL, BYE]] = self.offered is not None
        mask[TELL] &= bool(self.asked.max() > 0)
        return mask

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        chosen = int(action)
        self.turn += 1
        self.annoyed += chosen == self.last
        self.last = chosen
        answer = self._answer(chosen)
        if answer is None or self.turn >= LONGEST or self.annoyed > PATIENCE:
            success = self.satisfied()
            reward = TURN + (SUCCESS if success else 0.0)
            return self.observe(), reward, True, False, {"success": success, "turns": self.turn}
        self._meant = answer
        self._hear(answer)
        return self.observe(), TURN, False, False, {}

    def satisfied(self) -> bool:
        return self.offered is not None and self._fits(self.offered) and self.wanted <= self.told

    # ── the user ──

    def _answer(self, action: int) -> list[Act] | None:
        """None at the end."""
        if action in REQUEST:
            return [("inform", action, self.goal[action])]
        if action in CONFIRM:
            slot = action - SLOTS
            if int(self.beliefs[slot].argmax()) == self.goal[slot]:
                return [("affirm", slot, self.goal[slot])]
            return [("inform", slot, self.goal[slot])]
        if action == BYE:
            return None
        if action == REPEAT:
            return self._meant
        if action in (OFFER, OTHER):
            if action == OTHER and self.offered is not None:
                self.refused.add(self.offered)
            self.told.clear()
            self.offered = self._search()
        elif action == TELL:
            self.told.add(int(self.asked.argmax()))
            self.asked[self.asked.argmax()] = 0.0
        if self.offered is None:  # nothing was found
            return [("inform", slot, self.goal[slot]) for slot in self._rng.sample(range(SLOTS), 1)]
        wrong = [s for s in range(SLOTS) if self.goal[s] not in (VALUES, self.venues[self.offered][s])]
        self.annoyed += bool(wrong)
        if wrong:
            return [("inform", slot, self.goal[slot]) for slot in wrong[:2]]
        left = sorted(self.wanted - self.told)
        return [("ask", left[0], 0)] if left else None

    def _fits(self, venue: int) -> bool:
        return all(self.goal[s] in (VALUES, self.venues[venue][s]) for s in range(SLOTS))

    def _search(self) -> int | None:
        found = [n for n in np.flatnonzero(self._believed()) if n not in self.refused]
        return int(found[0]) if found else None

    def _believed(self) -> NDArray[np.bool_]:
        """Of each venue whether it is as the user is believed to want it."""
        tops = self.beliefs.argmax(1)
        open_slots = (self.beliefs.max(1) < 0.2) | (tops == VALUES)
        return np.asarray(((self.venues == tops) | open_slots).all(1))

    # ── what is heard ──

    def _hear(self, acts: list[Act]) -> None:
        for kind, place, value in acts:
            wrong = self._rng.random() < self.error
            confidence = self._rng.betavariate(3, 3) if wrong else self._rng.betavariate(4, 2)
            if kind == "ask":
                if wrong:
                    place = self._rng.randrange(DETAILS)
                self.asked[place] = max(self.asked[place], confidence)
                continue
            if wrong:
                value = self._rng.randrange(VALUES + 1)
                if self._rng.random() < 0.3:
                    continue
            self.beliefs[place] *= 1 - confidence
            self.beliefs[place, value] += confidence

    def observe(self) -> Observation:
        ordered = np.sort(self.beliefs, axis=1)
        nothing = 1 - self.beliefs.sum(1)
        indifferent = self.beliefs.argmax(1) == VALUES
        found = int(self._believed().sum())
        last = np.zeros(ACTIONS)
        last[self.last] = 1.0
        whole = [
            self.turn / LONGEST,
            self.offered is not None,
            min(found / 10, 1.0),
            found == 0,
            len(self.told) / DETAILS,
        ]
        parts = (ordered[:, -1], ordered[:, -2], nothing, indifferent, self.asked, whole, last)
        return np.concatenate(parts).astype(np.float32).clip(0, 1)


def handcrafted(env: SlotFillingEnv, sure: float, heard: float) -> int:
    """Ask for what is not known, confirm what is doubtful, offer, tell what was asked for."""
    if env.offered is not None and env.asked.max() >= heard and env.last not in CONFIRM:
        return TELL
    for slot in range(SLOTS):
        top = env.beliefs[slot].max()
        if top < 0.2:
            return slot
        if top < sure:
            return SLOTS + slot
    if env.offered is not None and env.last in (OFFER, OTHER, TELL):
        return TELL if env.asked.max() > 0 else REPEAT
    return OFFER
