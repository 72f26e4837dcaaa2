"""Training the live policy on in the fitted simulator, on a leash: PPO that pays for departing from it."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor, nn

from dialog_policy.env import DialogueEnv
from dialog_policy.fitted_population import Fitted
from dialog_policy.policy import LearnedPolicy
from dialog_policy.rehearsal import rehearse
from dialog_policy.train import actor_layers, export


@dataclass(frozen=True)
class FineTuneConfig:
    steps: int = 60_000
    """Bot actions, all environments together."""
    environments: int = 4
    rollout: int = 512
    learning_rate: float = 2e-4
    leash: float = 0.3
    """Reward that is paid for each nat by which an action is likelier than under the live policy."""
    entropy: float = 0.01
    rehearsed: int = 300
    """Conversations of the live policy from which the critic learns before the actor may move."""
    seed: int = 0


class Leash(BaseCallback):
    """The divergence from the live policy as a part of the reward, as where language models are tuned."""

    def __init__(self, live: nn.Sequential, strength: float) -> None:
        super().__init__()
        self.live, self.strength = live, strength
        self.curve: list[float] = []
        """Mean reward of the conversations that ended in each rollout, without the leash."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        model: Any = self.model
        buffer = model.rollout_buffer
        ended = [episode["r"] for episode in model.ep_info_buffer or ()]
        if ended:
            self.curve.append(float(np.mean(ended)))
        observations = torch.from_numpy(buffer.observations)
        masks = torch.from_numpy(buffer.action_masks.reshape(*observations.shape[:2], -1)).bool()
        with torch.no_grad():
            logits = self.live(observations).masked_fill(~masks, -1e8)
            last = model.policy.predict_values(torch.from_numpy(model._last_obs))
        actions = torch.from_numpy(buffer.actions).long()
        before = logits.log_softmax(-1).gather(-1, actions).squeeze(-1).numpy()
        buffer.rewards -= self.strength * np.clip(buffer.log_probs - before, -5, 5)
        buffer.compute_returns_and_advantage(last, self.locals["dones"])


def fine_tune(
    live: LearnedPolicy, fitted: Fitted, version: str, config: FineTuneConfig | None = None
) -> tuple[LearnedPolicy, list[float]]:
    """The live policy, trained on with the customers whom the log shows. Returns its learning curve, too."""
    config = config or FineTuneConfig()

    def environment(seed: int) -> Any:
        return Monitor(DialogueEnv(live.pack, fitted.population, fitted.errors, seed))

    seeds = range(1000 * config.seed, 1000 * config.seed + config.environments)
    vector = DummyVecEnv([lambda seed=seed: environment(seed) for seed in seeds])  # type: ignore[misc]
    linear = [layer for layer in live.network if isinstance(layer, nn.Linear)]
    widths = [layer.out_features for layer in linear[:-1]]
    model = MaskablePPO(
        "MlpPolicy",
        vector,
        learning_rate=config.learning_rate,
        n_steps=config.rollout,
        batch_size=512,
        n_epochs=6,
        gamma=1.0,
        gae_lambda=0.97,
        ent_coef=config.entropy,
        target_kl=0.05,
        policy_kwargs={"net_arch": {"pi": widths, "vf": widths}},
        seed=config.seed,
        device="cpu",
    )
    for target, source in zip(actor_layers(model), linear, strict=True):
        target.load_state_dict(source.state_dict())
    env = DialogueEnv(live.pack, fitted.population, fitted.errors)
    _teach_critic(model, live, env, config)
    leash = Leash(copy.deepcopy(live.network), config.leash)
    model.learn(config.steps, callback=leash)
    return export(model, env, version), leash.curve


def _teach_critic(model: MaskablePPO, live: LearnedPolicy, env: DialogueEnv, config: FineTuneConfig) -> None:
    """What comes after each decision of the live policy; an ignorant critic would spoil the actor first."""
    shown = rehearse(env, live, config.rehearsed, config.seed + 31)
    ahead = np.cumsum(shown.rewards[::-1])[::-1]  # of all conversations that follow as well
    behind = np.append(ahead[shown.first[1:]], 0.0)
    goal = torch.from_numpy(ahead - np.repeat(behind, np.diff([*shown.first, len(ahead)]))).float()
    observations = torch.from_numpy(shown.observations)
    policy: Any = model.policy
    parameters = [*policy.mlp_extractor.value_net.parameters(), *policy.value_net.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=1e-3)
    generator = torch.Generator().manual_seed(config.seed)
    for _ in range(40):
        for rows in torch.randperm(len(goal), generator=generator).split(512):
            found: Tensor = policy.value_net(policy.mlp_extractor.forward_critic(observations[rows]))
            loss = nn.functional.mse_loss(found.squeeze(1), goal[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
