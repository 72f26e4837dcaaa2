"""Conversations with simulated customers as a gymnasium environment with action masks."""

import random
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from dialog_policy.ear import NoisyEar
from dialog_policy.features import observe
from dialog_policy.goals import DrawValue
from dialog_policy.meaning import Ear
from dialog_policy.population import Kind, Population
from dialog_policy.rules import action_set, allowed, concrete
from dialog_policy.simulator import Customer
from domains.schema import Pack
from nlu.errors import NluErrors
from nlu.understanding import Understanding
from storage.actions import Action
from storage.hearing import hear
from storage.records import Execution
from storage.state import DialogueState, act, proof_slots, record

Observation = NDArray[np.float32]


@dataclass(frozen=True)
class Reward:
    """What is a good conversation, in one place."""

    satisfied: float = 20.0
    """The customer got what it came for, or was rightly refused or handed over."""
    message: float = -4.0
    """Each message the customer has to write."""
    left: float = -20.0
    """The customer gave up."""
    needless_handoff: float = -20.0
    """A person was called for what the bot could have done."""
    unfinished: float = -20.0
    """The bot said goodbye too early."""


class DialogueEnv(gym.Env[Observation, np.int64]):
    """One episode is one conversation; one step one bot action."""

    heard: Understanding
    """The customer's last message, as understood."""
    spoken: DialogueState
    """After the bot's last turn, before the customer's answer."""
    executed: Execution
    """The last call of the business system; it has no key."""
    draw_value: DrawValue | None = None
    """Where the values come from that customers give; None makes them up."""

    def __init__(self, pack: Pack, population: Population, errors: NluErrors, seed: int = 0) -> None:
        self.pack, self.population, self.errors = pack, population, errors
        self.reward = Reward()
        self.actions = action_set(pack)
        self._nothing = observe(DialogueState(), pack, self.actions)
        self.observation_space = spaces.Box(0.0, 1.0, self._nothing.shape, np.float32)
        self.action_space = spaces.Discrete(len(self.actions))
        self._rng = random.Random(seed)
        self.state = DialogueState()
        self._turn: list[Action] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self.begin(seed)
        return self._observe(), {}

    def begin(self, seed: int | None = None) -> None:
        """`reset` for who looks at the state itself, and needs no observation."""
        if seed is not None:
            self._rng = random.Random(seed)
        kinds = self.population.kinds
        name = self._rng.choices(list(kinds), weights=[kind.share for kind in kinds.values()])[0]
        self._ear = self.listen(kinds[name])
        self.customer = Customer(self.pack, name, kinds[name], self._rng, self.draw_value)
        opening = DialogueState(greeted=True)
        self.heard = self._ear.hear(self.customer.open(), opening)
        self.state = hear(opening, self.heard, self.pack)
        self._turn = []

    def listen(self, kind: Kind) -> Ear:
        """Who hears a customer of this kind."""
        return NoisyEar(self.pack, self.errors, self._rng, kind.typos)

    def action_masks(self) -> NDArray[np.bool_]:
        return allowed(self.state, self.pack, self.actions)

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        reward, done, info = self.advance(action)
        seen = self._nothing if done else self._observe()  # nobody acts on what an end looks like
        return seen, reward, done, False, info

    def advance(self, action: np.int64 | int) -> tuple[float, bool, dict[str, Any]]:
        """`step` likewise: the reward, whether the conversation is over, and then what became of it."""
        chosen = concrete(self.actions[int(action)], self.state)
        self._turn.append(chosen)
        self.state = act(self.state, chosen, self.pack)
        if chosen.kind in ("authenticate", "execute"):
            self._execute(chosen)
        if not chosen.waits:
            return 0.0, False, {}
        self.spoken = self.state
        meant = self.customer.answer(self._turn, self.state)
        self._turn = []
        if meant is None:
            satisfied, reward = self._judge(chosen)
            return reward, True, self._summary(satisfied, chosen)
        self.heard = self._ear.hear(meant, self.state)
        self.state = hear(self.state, self.heard, self.pack)
        return self.reward.message, False, {}

    def _execute(self, action: Action) -> None:
        task = action.argument or self.pack.domain.authentication.task
        if action.kind == "authenticate":
            names = sorted(proof_slots(self.pack))
        else:
            names = [*self.pack.tasks[task].slots, *self.pack.tasks[task].optional]
        values = {name: self.state.slots[name].value for name in names if name in self.state.slots}
        result = self.customer.execute(task, values)
        self.executed = Execution("", task, values, result.outcome, dict(result.facts))
        self.state = record(self.state, task, result, self.pack)

    def _judge(self, last: Action) -> tuple[bool, float]:
        satisfied = self.customer.satisfied(self.state.handed_over)
        if satisfied:
            needless = last.kind == "handoff" and not self.customer.needs_person  # out, once all is done
            return True, self.reward.satisfied + (self.reward.needless_handoff if needless else 0.0)
        if self.customer.left:
            return False, self.reward.left
        return False, self.reward.needless_handoff if last.kind == "handoff" else self.reward.unfinished

    def _summary(self, satisfied: bool, last: Action) -> dict[str, Any]:
        return {
            "kind": self.customer.kind_name,
            "satisfied": satisfied,
            "turns": self.customer.messages,
            "handed_over": last.kind == "handoff",
            "left": self.customer.left,
            "wrong_executions": self.customer.wrong_executions,
        }

    def _observe(self) -> Observation:
        return observe(self.state, self.pack, self.actions)
