"""Learning from logged conversations alone: corrected turns, and conservative Q learning."""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dialog_policy.experience import Experience, general
from dialog_policy.policy import LearnedPolicy

Curve = list[float]


@dataclass(frozen=True)
class ImitationConfig:
    steps: int = 300
    learning_rate: float = 3e-4
    leash: float = 1.0
    """Weight of staying with the live policy everywhere else."""
    seed: int = 0


@dataclass(frozen=True)
class ConservativeConfig:
    """Discrete CQL (Kumar et al. 2020) with a slowly following target network."""

    steps: int = 3000
    batch: int = 512
    learning_rate: float = 5e-4
    conservatism: float = 1.0
    """Weight of holding down the values of actions that the log does not show."""
    follow: float = 0.01
    scale: float = 20.0
    """Rewards are divided by it: the size of the largest one."""
    seed: int = 0


def corrected(experience: Experience, live: LearnedPolicy) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the first decisions of turns that staff corrected, and what they should have been."""
    place = {str(action): index for index, action in enumerate(live.actions)}
    rows, actions = [], []
    row = 0
    for conversation in experience.conversations:
        for turn in conversation.turns:
            action = place.get(general(turn.correction)) if turn.correction else None
            if action is not None and turn.decisions and experience.masks[row, action]:
                rows.append(row)
                actions.append(action)
            row += len(turn.decisions)
    return np.array(rows, dtype=np.int64), np.array(actions, dtype=np.int64)


def imitate_corrections(
    experience: Experience, live: LearnedPolicy, version: str, config: ImitationConfig | None = None
) -> tuple[LearnedPolicy, Curve] | None:
    """The live policy, but for what staff corrected; None where nothing was."""
    config = config or ImitationConfig()
    rows, actions = corrected(experience, live)
    if not len(rows):
        return None
    generator = torch.Generator().manual_seed(config.seed)
    network = copy.deepcopy(live.network).train()
    observations, masks = torch.from_numpy(experience.observations), torch.from_numpy(experience.masks)
    wrong, right = torch.from_numpy(rows), torch.from_numpy(actions)
    weights = torch.from_numpy(experience.weights[experience.owner[rows]]).float()
    with torch.no_grad():
        before = _masked(live.network(observations), masks).log_softmax(1)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    curve = []
    for _ in range(config.steps):
        some = torch.randint(len(observations), (256,), generator=generator)
        losses = F.cross_entropy(_masked(network(observations[wrong]), masks[wrong]), right, reduction="none")
        stay = F.kl_div(
            _masked(network(observations[some]), masks[some]).log_softmax(1),
            before[some],
            log_target=True,
            reduction="batchmean",
        )
        loss = (weights * losses).sum() / weights.sum() + config.leash * stay
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        curve.append(loss.item())
    return LearnedPolicy(network, live.pack, version), curve


def learn_conservatively(
    experience: Experience, live: LearnedPolicy, version: str, config: ConservativeConfig | None = None
) -> tuple[LearnedPolicy, Curve]:
    """A network of values, served like one of logits: the allowed action of the highest value is taken.

    It starts from the live policy, so that the values of actions have its order where the log says nothing.
    """
    config = config or ConservativeConfig()
    generator = torch.Generator().manual_seed(config.seed)
    network = copy.deepcopy(live.network).train()
    target = copy.deepcopy(network).requires_grad_(False)
    observations, masks = torch.from_numpy(experience.observations), torch.from_numpy(experience.masks)
    actions = torch.from_numpy(experience.actions)
    rewards = torch.from_numpy(experience.rewards / config.scale).float()
    going_on = torch.from_numpy(~experience.final)
    weights = torch.from_numpy(experience.weights[experience.owner]).float()
    following = torch.arange(len(actions)).add(1).clamp(max=len(actions) - 1)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    curve = []
    for _ in range(config.steps):
        rows = torch.randint(len(actions), (config.batch,), generator=generator)
        values = _masked(network(observations[rows]), masks[rows])
        taken = values.gather(1, actions[rows, None]).squeeze(1)
        with torch.no_grad():
            after = following[rows]
            best = _masked(network(observations[after]), masks[after]).argmax(1, keepdim=True)
            later = target(observations[after]).gather(1, best).squeeze(1)  # double Q
            goal = rewards[rows] + going_on[rows] * later
        error = F.smooth_l1_loss(taken, goal, reduction="none")
        loss = (weights[rows] * (error + config.conservatism * (values.logsumexp(1) - taken))).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            for slow, fast in zip(target.parameters(), network.parameters(), strict=True):
                slow.lerp_(fast, config.follow)
        curve.append(loss.item())
    return LearnedPolicy(network, live.pack, version), curve


def _masked(scores: Tensor, masks: Tensor) -> Tensor:
    return scores.masked_fill(~masks, -1e8)
