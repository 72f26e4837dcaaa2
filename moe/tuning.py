"""Training of a text generator: on texts, with or without a teacher, and block by block."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe.generator import MixtureGenerator
from moe.healing import share_of_rate


@dataclass(frozen=True)
class TextBatch:
    tokens: Tensor
    """(batch, seq), padding last"""
    mask: Tensor
    """(batch, seq) true for real tokens"""
    wanted: Tensor
    """(batch, seq) true where the token is to be predicted from those before it"""


@dataclass(frozen=True)
class TuningConfig:
    steps: int = 1500
    rate: float = 6e-4
    warm_up: int = 50
    teaching: float = 0.5
    """Share of the teacher's distribution in the loss; the rest is the text itself."""
    temperature: float = 2.0
    balance: float = 0.01
    bias_rate: float = 1e-3
    checkpoint_every: int = 50


class Resumable:
    """An optimiser whose state survives a stop: `save` and the constructor agree on one file."""

    def __init__(self, model: nn.Module, config: TuningConfig, checkpoint: Path) -> None:
        self.model, self.config, self.checkpoint = model, config, checkpoint
        self.free = [p for p in model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.free, lr=config.rate, betas=(0.9, 0.95), weight_decay=0.01, fused=True
        )
        self.step = 0
        if checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            model.load_state_dict(saved["model"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.step = saved["step"]

    def take(self, loss: Tensor) -> None:
        rate = self.config.rate * share_of_rate(self.step, self.config.warm_up, self.config.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.free, 1.0)
        self.optimiser.step()
        self.step += 1
        if self.step % self.config.checkpoint_every == 0 or self.step == self.config.steps:
            self.save()

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        new = self.checkpoint.with_suffix(".new")
        torch.save(state, new)
        new.replace(self.checkpoint)  # a stop while saving leaves the old one


Report = Callable[[int, float], None]


def tune(
    model: MixtureGenerator,
    batches: Iterable[TextBatch],
    config: TuningConfig,
    checkpoint: Path,
    teacher: MixtureGenerator | None = None,
    report: Report = lambda step, loss: None,
) -> None:
    """Train until `config.steps` batches were seen; goes on where `checkpoint` stopped.

    With a teacher its logits are part of the aim (Hinton et al. 2015, arXiv:1503.02531).
    """
    model.train()
    run = Resumable(model, config, checkpoint)
    for batch in _rest(batches, run.step, config.steps):
        with torch.autocast("cpu", torch.bfloat16):
            found, aim = _logits(model, batch), batch.tokens[batch.wanted]
            with torch.no_grad():
                taught = None if teacher is None else _logits(teacher, batch)
        loss = F.cross_entropy(found.float(), aim)
        told = float(loss.detach())
        if taught is not None:
            loss = (1 - config.teaching) * loss + config.teaching * distance(
                found, taught, config.temperature
            )
        model.rebalance(config.bias_rate)
        run.take(loss + config.balance * model.balance_loss())
        report(run.step, told)
    model.eval()


def _rest(batches: Iterable[TextBatch], done: int, steps: int) -> Iterable[TextBatch]:
    """The batches from number `done` on: a run that was stopped sees those that it had not seen."""
    for number, batch in enumerate(batches):
        if number >= steps:
            return
        if number >= done:
            yield batch


def _logits(model: MixtureGenerator, batch: TextBatch) -> Tensor:
    """For each wanted token the logits from which it is predicted, (wanted, vocabulary)."""
    states = model(batch.tokens, batch.mask)  # (batch, seq, width)
    before = batch.wanted.roll(-1, dims=1)
    before[:, -1] = False
    return model.logits(states[before])


def distance(found: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of softened distributions, on the scale of the loss at temperature 1."""
    own = F.log_softmax(found.float() / temperature, dim=-1)
    other = F.log_softmax(taught.float() / temperature, dim=-1)
    return F.kl_div(own, other, log_target=True, reduction="batchmean") * temperature**2


def heal_blocks(
    student: MixtureGenerator,
    teacher: MixtureGenerator,
    batches: Iterable[TextBatch],
    config: TuningConfig,
    checkpoint: Path,
    report: Report = lambda step, loss: None,
) -> None:
    """Teach every mixture its dense block's output for the dense block's input.

    One pass of the teacher serves all blocks, and no block waits for the one before it.
    """
    teacher.eval()
    student.train()
    mixtures = nn.ModuleList(student.mixtures())
    run = Resumable(mixtures, config, checkpoint)
    for batch in _rest(batches, run.step, config.steps):
        seen: list[tuple[Tensor, Tensor]] = []
        hooks = [
            block.register_forward_hook(lambda _, args, out, seen=seen: seen.append((args[0], out)))
            for block in teacher.mixtures()
        ]
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                teacher(batch.tokens, batch.mask)
            for hook in hooks:
                hook.remove()
            loss = torch.zeros(())
            for mixture, (hidden, wanted) in zip(student.mixtures(), seen, strict=True):
                gap = (mixture(hidden, batch.mask) - wanted).float()[batch.mask]  # (tokens, width)
                loss = loss + gap.square().mean() / wanted.float()[batch.mask].square().mean()
        loss = loss / len(seen)
        student.rebalance(config.bias_rate)
        run.take(loss + config.balance * student.balance_loss())
        report(run.step, float(loss.detach()))
    student.eval()


@torch.inference_mode()
def perplexity(model: MixtureGenerator, batches: Iterable[TextBatch]) -> float:
    """Of the wanted tokens."""
    model.eval()
    total, count = 0.0, 0
    for batch in batches:
        aim = batch.tokens[batch.wanted]
        total += float(F.cross_entropy(_logits(model, batch).float(), aim, reduction="sum"))
        count += len(aim)
    return math.exp(total / count)
