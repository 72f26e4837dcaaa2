"""Healing of an upcycled encoder: it learns to give the features of the dense model that it was made of.

Dealing neurons out to experts of which a token uses some loses what the others would have added. Matching
every block's output to the dense model's (as in DistilBERT's and MiniLM's distillation, with the teacher's
own weights as the start) gives it back, without labels.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from moe.encoder import MixtureEncoder
from moe.layers import Inputs, mean_features


@dataclass(frozen=True)
class HealingConfig:
    steps: int = 2000
    rate: float = 5e-4
    warm_up: int = 50
    last_block: float = 3.0
    """Weight of the last block's error; the others have one."""
    pooled: float = 2.0
    """Weight of the cosine distance of the mean features: sentences should keep their neighbours."""
    balance: float = 0.01
    bias_rate: float = 1e-3


def heal(
    student: MixtureEncoder,
    teacher: MixtureEncoder,
    batches: Iterable[Inputs],
    config: HealingConfig,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Train `student` until `config.steps` batches were seen; the embeddings stay the teacher's."""
    teacher.eval()
    student.train()
    for embedding in (student.words, student.positions):
        embedding.weight.requires_grad_(False)
    free = [p for p in student.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(free, lr=config.rate, weight_decay=0.0, fused=True)
    for step, (pieces, segments, mask) in zip(range(config.steps), batches, strict=False):
        for group in optimiser.param_groups:
            group["lr"] = config.rate * share_of_rate(step, config.warm_up, config.steps)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                wanted = teacher.trace(pieces, segments, mask)
            found = student.trace(pieces, segments, mask)
        loss = _distance(found, wanted, mask, config) + config.balance * student.balance_loss()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(free, 1.0)
        optimiser.step()
        student.rebalance(config.bias_rate)
        report(step, float(loss.detach()))
    student.eval()


def share_of_rate(step: int, warm_up: int, steps: int) -> float:
    """A rise over the first steps, and half a cosine down to nothing."""
    return min(1.0, (step + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _distance(found: list[Tensor], wanted: list[Tensor], mask: Tensor, config: HealingConfig) -> Tensor:
    real = mask.unsqueeze(-1)  # (batch, seq, 1)
    weights = [*(1.0 for _ in found[1:]), config.last_block]
    total = torch.zeros(())
    for own, other, weight in zip(found, wanted, weights, strict=True):
        gap = (own.float() - other.float()).square() * real  # (batch, seq, width)
        total = total + weight * gap.sum() / (real.sum() * gap.shape[-1])
    likeness = F.cosine_similarity(mean_features(found[-1], mask), mean_features(wanted[-1], mask))
    return total + config.pooled * (1 - likeness.mean())


@torch.inference_mode()
def agreement(student: MixtureEncoder, teacher: MixtureEncoder, batches: Iterable[Inputs]) -> float:
    """Mean cosine similarity of the two models' mean features."""
    student.eval()
    teacher.eval()
    found = [
        F.cosine_similarity(
            mean_features(student(*inputs), inputs[2]), mean_features(teacher(*inputs), inputs[2])
        )
        for inputs in batches
    ]
    return float(torch.cat(found).mean())
