"""Training learns: a trivial task by reward, the rules by imitation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback

from dialog_policy import train as training
from dialog_policy.policy import RulePolicy
from dialog_policy.train import (
    CONVERSATIONS,
    LONG,
    SHORT,
    Demonstrations,
    Pace,
    TrainConfig,
    demonstrate,
    imitate,
    train,
)
from domains.schema import Pack
from tests.dialog_policy.conftest import MakeEnv

ACTIONS = 4


class IdentityEnv(gym.Env[NDArray[np.float32], np.int64]):
    """Name the bit that is set. One wrong action is forbidden each time; an episode has ten steps."""

    def __init__(self, seed: int) -> None:
        self.observation_space = spaces.Box(0.0, 1.0, (ACTIONS,), np.float32)
        self.action_space = spaces.Discrete(ACTIONS)
        self._rng = np.random.default_rng(seed)
        self.forbidden_taken = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        return self._draw(), {}

    def _draw(self) -> NDArray[np.float32]:
        self._bit = int(self._rng.integers(ACTIONS))
        self._forbidden = (self._bit + 1 + int(self._rng.integers(ACTIONS - 1))) % ACTIONS
        observation: NDArray[np.float32] = np.eye(ACTIONS, dtype=np.float32)[self._bit]
        return observation

    def action_masks(self) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = np.arange(ACTIONS) != self._forbidden
        return mask

    def step(self, action: np.int64) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        assert int(action) != self._forbidden, "a forbidden action was taken"
        self._steps += 1
        reward = float(int(action) == self._bit)
        return self._draw(), reward, self._steps >= 10, False, {}


PACE = Pace(rollout=256, batch=512, epochs=6, learning_rate=5e-3)
QUICK = TrainConfig(steps=3072, environments=2, width=16, pace=PACE, discount=0.5, entropy=0.0)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No progress bar on the tests' terminal."""
    learn: Callable[..., Any] = MaskablePPO.learn

    def learn_quietly(self: MaskablePPO, *args: Any, **options: Any) -> Any:
        return learn(self, *args, **{**options, "progress_bar": False})

    monkeypatch.setattr(MaskablePPO, "learn", learn_quietly)


def mean_reward(model: MaskablePPO, episodes: int = 20) -> float:
    env = IdentityEnv(seed=123)
    total = 0.0
    for _ in range(episodes):
        observation, _ = env.reset()
        done = False
        while not done:
            action, _ = model.predict(observation, deterministic=True, action_masks=env.action_masks())
            observation, reward, done, _, _ = env.step(np.int64(action))
            total += reward
    return total / episodes


def test_that_masked_ppo_learns_a_trivial_task(tmp_path: Path) -> None:
    model = train(IdentityEnv, QUICK, tmp_path)
    assert mean_reward(model) > 9.5
    assert mean_reward(MaskablePPO("MlpPolicy", IdentityEnv(0), seed=0, device="cpu")) < 8
    assert model.num_timesteps >= QUICK.steps


class Interruption(Exception):
    pass


def test_that_an_interrupted_run_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = CheckpointCallback

    class Stopping(original):  # type: ignore[misc, valid-type]
        def _on_step(self) -> bool:
            super()._on_step()
            if self.num_timesteps >= 1536:
                raise Interruption
            return True

    monkeypatch.setattr(training, "CheckpointCallback", Stopping)
    with pytest.raises(Interruption):
        train(IdentityEnv, QUICK, tmp_path)
    monkeypatch.undo()
    steps: list[int] = []

    class Counting(original):  # type: ignore[misc, valid-type]
        def _on_step(self) -> bool:
            steps.append(self.num_timesteps)
            return bool(super()._on_step())

    monkeypatch.setattr(training, "CheckpointCallback", Counting)
    model = train(IdentityEnv, QUICK, tmp_path)
    assert 1200 < min(steps) < 1550, "it began anew"
    assert max(steps) >= QUICK.steps
    assert mean_reward(model) > 9
    assert issubclass(Counting, BaseCallback)


def test_that_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    config = TrainConfig(**{**vars(QUICK), "steps": 1024})
    train(IdentityEnv, config, tmp_path)
    again = train(IdentityEnv, config, tmp_path)
    assert again.num_timesteps <= 1024 + 2 * PACE.rollout


def test_that_training_ends_after_so_many_conversations_and_is_not_begun_again(tmp_path: Path) -> None:
    config = TrainConfig(dialogues=60, environments=2, width=16, discount=0.5, seed=3)
    model = train(IdentityEnv, config, tmp_path)
    assert getattr(model, CONVERSATIONS) in (60, 61)  # two may end with the same step
    assert 600 <= model.num_timesteps <= 620
    again = train(IdentityEnv, config, tmp_path)
    assert getattr(again, CONVERSATIONS) in (60, 61)
    assert again.num_timesteps <= 620, "it began anew"


def test_that_few_conversations_are_learnt_from_at_another_pace(tmp_path: Path) -> None:
    few = train(IdentityEnv, TrainConfig(dialogues=300, environments=2, discount=0.5), tmp_path / "few")
    assert (few.n_steps, few.batch_size) == (SHORT.rollout, SHORT.batch)
    assert few.ent_coef < SHORT.exploration / 4, "the exploration did not fall"
    assert mean_reward(few) > 9.5
    many = TrainConfig(steps=0, environments=1)
    assert (
        train(IdentityEnv, TrainConfig(**{**vars(many), "pace": LONG}), tmp_path / "long").n_steps
        == LONG.rollout
    )


@pytest.fixture(scope="module")
def shown(pack: Pack, make_env: MakeEnv) -> Demonstrations:
    return demonstrate(RulePolicy(pack), make_env(0.1), episodes=150, seed=0)


def test_that_demonstrations_are_allowed_actions_and_the_same_for_one_seed(
    shown: Demonstrations, pack: Pack, make_env: MakeEnv
) -> None:
    rows = np.arange(len(shown.actions))
    assert shown.masks[rows, shown.actions].all()
    assert shown.observations.shape[0] == shown.masks.shape[0] == len(rows) > 1000
    again = demonstrate(RulePolicy(pack), make_env(0.1), episodes=5, seed=0)
    count = len(again.actions)
    assert (again.actions == shown.actions[:count]).all()
    assert (again.observations == shown.observations[:count]).all()
    other = demonstrate(RulePolicy(pack), make_env(0.1), episodes=5, seed=1)
    assert other.observations.tobytes() != again.observations.tobytes()


def test_that_imitation_reproduces_what_the_rules_do(
    shown: Demonstrations, pack: Pack, make_env: MakeEnv
) -> None:
    model = MaskablePPO("MlpPolicy", make_env(), policy_kwargs={"net_arch": [64, 64]}, seed=0, device="cpu")
    imitate(model, shown, seed=0, epochs=30, batch=128)
    fresh = demonstrate(RulePolicy(pack), make_env(0.1), episodes=30, seed=5)
    taken, _ = model.predict(fresh.observations, deterministic=True, action_masks=fresh.masks)
    assert (taken == fresh.actions).mean() > 0.9


def test_that_imitation_learns_nothing_where_only_one_action_is_allowed() -> None:
    model = MaskablePPO("MlpPolicy", IdentityEnv(0), seed=0, device="cpu")
    before = {name: weights.clone() for name, weights in model.policy.state_dict().items()}
    actions = np.arange(64) % ACTIONS
    forced = Demonstrations(np.ones((64, ACTIONS), np.float32), np.eye(ACTIONS, dtype=bool)[actions], actions)
    imitate(model, forced, seed=0)
    assert all(torch.equal(weights, before[name]) for name, weights in model.policy.state_dict().items())
    free = Demonstrations(forced.observations, np.ones((64, ACTIONS), bool), np.zeros(64, np.int64))
    imitate(model, free, seed=0)
    assert not all(torch.equal(weights, before[name]) for name, weights in model.policy.state_dict().items())


def test_that_training_begins_from_the_demonstrations(
    shown: Demonstrations, pack: Pack, make_env: MakeEnv, tmp_path: Path
) -> None:
    config = TrainConfig(steps=0, environments=1, width=32)
    model = train(lambda seed: make_env(0.1, seed), config, tmp_path, shown)
    taken, _ = model.predict(shown.observations, deterministic=True, action_masks=shown.masks)
    assert (taken == shown.actions).mean() > 0.6
    assert all(torch.isfinite(p).all() for p in model.policy.parameters())
