"""Training of a policy: imitation of the rules, then masked PPO with simulated customers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import CheckpointCallback
from stable_baselines3.common.vec_env import DummyVecEnv
from torch.nn import functional as F

from dialog_policy.env import DialogueEnv
from dialog_policy.policy import LearnedPolicy, Policy, actor

CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class TrainConfig:
    steps: int = 600_000
    """Bot actions, all environments together."""
    environments: int = 8
    rollout: int = 256
    """Steps an environment runs between two updates."""
    width: int = 128
    learning_rate: float = 3e-4
    """At the beginning; it falls in a straight line, so that the last policy is a settled one."""
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
    environments: list[Callable[[], Any]] = [
        partial(make_env, 1000 * config.seed + i) for i in range(config.environments)
    ]
    vector = DummyVecEnv(environments)
    saved = sorted((folder / CHECKPOINT).glob("*.zip"), key=lambda path: int(path.stem.split("_")[-2]))
    if saved:
        model = MaskablePPO.load(saved[-1], env=vector)
    else:
        model = MaskablePPO(
            "MlpPolicy",
            vector,
            learning_rate=partial(_falling, config.learning_rate),
            n_steps=config.rollout,
            batch_size=512,
            n_epochs=6,
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
    left = config.steps - model.num_timesteps
    if left > 0:
        every = max(config.steps // 10 // config.environments, 1)
        keep = CheckpointCallback(every, str(folder / CHECKPOINT), name_prefix="ppo")
        model.learn(left, callback=keep, reset_num_timesteps=not saved, progress_bar=True)
    return model


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
