"""Training of a policy: imitation of the rules, then masked PPO with simulated customers."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback, CheckpointCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize
from torch.nn import functional as F

from dialog_policy.env import DialogueEnv
from dialog_policy.policy import LearnedPolicy, Policy, actor

CHECKPOINT = "checkpoint"
CONVERSATIONS = "conversations"
"""An attribute of the model, so that checkpoints keep it."""


@dataclass(frozen=True)
class Pace:
    """How much is learnt from how much practice."""

    rollout: int
    """Steps an environment runs between two updates."""
    batch: int
    epochs: int
    """Passes over what the environments brought."""
    learning_rate: float
    """At the beginning; it falls in a straight line, so that the last policy is a settled one."""
    exploration: float = 0.0
    """What is added to `entropy` at the beginning; it falls with the square of what is left."""
    scaled: bool = False
    """Whether rewards are divided by the spread of what conversations bring."""


LONG = Pace(rollout=256, batch=512, epochs=6, learning_rate=3e-4)
SHORT = Pace(rollout=64, batch=128, epochs=10, learning_rate=1e-3, exploration=0.2, scaled=True)
"""For some thousand conversations from nothing (benchmarks/learner.py)."""
FEW_STEPS = 100_000


@dataclass(frozen=True)
class TrainConfig:
    steps: int = 600_000
    """Bot actions, all environments together."""
    dialogues: int | None = None
    """Conversations after which training ends, in place of steps."""
    environments: int = 8
    width: int = 128
    pace: Pace | None = None
    """None chooses it by how much there is to learn from."""
    discount: float = 1.0
    """Conversations end, and a message costs the customer as much later as now."""
    trace: float = 0.97
    """Lambda of the generalised advantage estimate (Schulman et al. 2016)."""
    entropy: float = 0.005
    imitated_episodes: int = 1500
    seed: int = 0


@dataclass(frozen=True)
class Demonstrations:
    observations: NDArray[np.float32]
    masks: NDArray[np.bool_]
    actions: NDArray[np.int64]


def demonstrate(policy: Policy, env: DialogueEnv, episodes: int, seed: int) -> Demonstrations:
    """What `policy` does over `episodes` conversations."""
    place = {action: index for index, action in enumerate(env.actions)}
    observations, masks, actions = [], [], []
    for episode in range(episodes):
        env.begin(seed * 1_000_003 + episode)
        done = False
        while not done:
            choice = policy.choose(env.state)
            observations.append(choice.observation)
            masks.append(choice.mask)
            actions.append(place[choice.action])
            done = env.advance(actions[-1])[1]
    return Demonstrations(np.stack(observations), np.stack(masks), np.array(actions))


def train(
    make_env: Callable[[int], Any],
    config: TrainConfig,
    folder: Path,
    demonstrations: Demonstrations | None = None,
) -> MaskablePPO:
    """Masked PPO (Huang and Ontañón 2022) on any environment with `action_masks()`.

    `make_env` takes a seed. `folder` takes checkpoints, from which an interrupted run goes on, and
    TensorBoard logs.
    """
    few = config.dialogues is not None or config.steps < FEW_STEPS
    pace = config.pace or (SHORT if few and demonstrations is None else LONG)
    seeds = range(1000 * config.seed, 1000 * config.seed + config.environments)
    vector: VecEnv = DummyVecEnv([partial(make_env, seed) for seed in seeds])
    if pace.scaled:
        vector = VecNormalize(vector, norm_obs=False, gamma=config.discount)
    saved = sorted((folder / CHECKPOINT).glob("*.zip"), key=lambda path: int(path.stem.split("_")[-2]))
    if saved:
        model = MaskablePPO.load(saved[-1], env=vector)
    else:
        model = MaskablePPO(
            "MlpPolicy",
            vector,
            learning_rate=partial(_falling, pace.learning_rate),
            n_steps=pace.rollout,
            batch_size=pace.batch,
            n_epochs=pace.epochs,
            gamma=config.discount,
            gae_lambda=config.trace,
            ent_coef=config.entropy,
            policy_kwargs={"net_arch": [config.width, config.width]},
            tensorboard_log=str(folder / "tensorboard"),
            seed=config.seed,
            device="cpu",
        )
        if demonstrations is not None:
            imitate(model, demonstrations, config.seed)
    progress = Progress(config, pace)
    if not progress.ended(model):
        total = config.steps if config.dialogues is None else config.dialogues
        every = max(total // 10 // config.environments, 1)
        keep = CheckpointCallback(every, str(folder / CHECKPOINT), name_prefix="ppo")
        left = config.steps - model.num_timesteps if config.dialogues is None else sys.maxsize
        shown = config.dialogues is None  # nobody knows how many steps these take
        model.learn(left, callback=[progress, keep], reset_num_timesteps=not saved, progress_bar=shown)
    return model


class Progress(BaseCallback):
    """Ends training where conversations are counted, and lets rate and exploration fall on the way."""

    def __init__(self, config: TrainConfig, pace: Pace) -> None:
        super().__init__()
        self.config, self.pace = config, pace

    def ended(self, model: MaskablePPO) -> bool:
        return self._left(model) <= 0

    def _left(self, model: MaskablePPO) -> float:
        """Share of the practice that is still to come."""
        if self.config.dialogues is None:
            return 1 - model.num_timesteps / max(self.config.steps, 1)
        return 1 - getattr(model, CONVERSATIONS, 0) / self.config.dialogues

    def _on_training_start(self) -> None:
        self._on_rollout_end()

    def _on_step(self) -> bool:
        held = getattr(self.model, CONVERSATIONS, 0)
        setattr(self.model, CONVERSATIONS, held + int(self.locals["dones"].sum()))
        return self.config.dialogues is None or self._left(self._ppo) > 0

    def _on_rollout_end(self) -> None:
        left = max(self._left(self._ppo), 0.0)
        self._ppo.ent_coef = self.config.entropy + self.pace.exploration * left**2
        if self.config.dialogues is not None and left < 1:
            # The rate goes by steps, and nobody knows yet how many these conversations take.
            self._ppo._total_timesteps = int(self.num_timesteps / (1 - left))

    @property
    def _ppo(self) -> MaskablePPO:
        assert isinstance(self.model, MaskablePPO)
        return self.model


def _falling(highest: float, left: float) -> float:
    return highest * max(left, 0.05)


def imitate(model: MaskablePPO, shown: Demonstrations, seed: int, epochs: int = 8, batch: int = 512) -> None:
    """Fit the actor to the demonstrated actions by cross-entropy over the allowed ones."""
    generator = torch.Generator().manual_seed(seed)
    observations, masks = torch.from_numpy(shown.observations), torch.from_numpy(shown.masks)
    actions = torch.from_numpy(shown.actions)
    optimiser = torch.optim.Adam(model.policy.parameters(), lr=1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(actions), generator=generator).split(batch):
            latent = model.policy.mlp_extractor.forward_actor(observations[rows])
            logits = model.policy.action_net(latent).masked_fill(~masks[rows], -1e8)
            loss = F.cross_entropy(logits, actions[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def export(model: MaskablePPO, env: DialogueEnv, version: str) -> LearnedPolicy:
    """The actor alone, to be served."""
    linear = actor_layers(model)
    network = actor([linear[0].in_features, *(layer.out_features for layer in linear)])
    targets = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    for target, source in zip(targets, linear, strict=True):
        target.load_state_dict(source.state_dict())
    return LearnedPolicy(network, env.pack, version)


def actor_layers(model: MaskablePPO) -> list[torch.nn.Linear]:
    """The layers from the observation to the logits."""
    policy: Any = model.policy
    hidden = [layer for layer in policy.mlp_extractor.policy_net if isinstance(layer, torch.nn.Linear)]
    return [*hidden, policy.action_net]
