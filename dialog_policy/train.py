"""Training of a policy: imitation of the rules, then masked PPO with simulated customers."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import CheckpointCallback
from stable_baselines3.common.vec_env import DummyVecEnv
from torch.nn import functional as F

from dialog_policy.env import DialogueEnv
from dialog_policy.features import FEATURE_VERSION
from dialog_policy.policy import CONFIG, WEIGHTS, LearnedPolicy, Policy, actor

CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class TrainConfig:
    steps: int = 400_000
    """Bot actions, all environments together."""
    environments: int = 8
    rollout: int = 256
    """Steps an environment runs between two updates."""
    width: int = 128
    learning_rate: float = 3e-4
    discount: float = 0.99
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
        env.reset(seed=seed * 1_000_003 + episode)
        done = False
        while not done:
            choice = policy.choose(env.state)
            observations.append(choice.observation)
            masks.append(choice.mask)
            actions.append(place[choice.action])
            done = env.step(actions[-1])[2]
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
            learning_rate=config.learning_rate,
            n_steps=config.rollout,
            batch_size=512,
            n_epochs=6,
            gamma=config.discount,
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


def export(
    model: MaskablePPO, env: DialogueEnv, folder: Path, version: str, config: TrainConfig
) -> LearnedPolicy:
    """Write the actor alone, as safetensors: what is served is no pickle."""
    policy: Any = model.policy
    hidden = [layer for layer in policy.mlp_extractor.policy_net if isinstance(layer, torch.nn.Linear)]
    linear = [*hidden, policy.action_net]
    sizes = [linear[0].in_features, *(layer.out_features for layer in linear)]
    network = actor(sizes)
    targets = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    for target, source in zip(targets, linear, strict=True):
        target.load_state_dict(source.state_dict())
    folder.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), folder / WEIGHTS)
    data = {
        "version": version,
        "pack": env.pack.name,
        "feature_version": FEATURE_VERSION,
        "actions": [str(action) for action in env.actions],
        "sizes": sizes,
        "training": asdict(config),
    }
    (folder / CONFIG).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return LearnedPolicy(network, env.pack, version)
