"""Probabilities that mean what they say, and the threshold above which a message is out of scope."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from domains.schema import OUT_OF_SCOPE
from nlu.data import Example
from nlu.model import NluModel
from nlu.pieces import PieceSplitter

FALSE_REJECTS = 0.01
"""Share of in-scope messages that may be taken for out of scope."""
LEAST_DOUBT = 0.75
"""Where there were no out-of-scope examples: no message is rejected whose best intent has a quarter."""
SPREAD = 0.12
"""Of the logarithm of the temperatures that models of one kind need."""


@dataclass(frozen=True)
class Calibration:
    """Found on held-out training data."""

    temperature: float = 1.0
    out_of_scope_threshold: float = 0.5
    doubt: bool = False
    """Whether no example was out of scope, so that doubt about all intents has to stand for it."""
    strangeness: float | None = None
    """How strange a message may be before it is out of scope; models without it go by the probability."""


@torch.inference_mode()
def calibrate(
    model: NluModel,
    splitter: PieceSplitter,
    examples: Sequence[Example],
    doubt: bool = False,
    usual: float | None = None,
) -> Calibration:
    """Temperature scaling (Guo et al. 2017) and the out-of-scope threshold, on held-out examples.

    `doubt` says that no training example was out of scope. `usual` is the temperature that such models need,
    from which few examples take it less far than many.
    """
    single = [e for e in examples if len(e.intents) == 1]
    if not single:
        return Calibration(doubt=doubt)
    model.eval()
    chunks = []
    for start in range(0, len(single), 64):
        rows = single[start : start + 64]
        chunks.append(model(splitter([e.text for e in rows], [e.heard for e in rows])).intents.float())
    logits = torch.cat(chunks)  # (examples, intents)
    names = model.config.intents
    gold = torch.tensor([names.index(e.intents[0]) for e in single])
    candidates = torch.linspace(0.3, 3.0, 109)
    losses = torch.stack([F.cross_entropy(logits / t, gold) for t in candidates])
    if usual is not None:
        losses = losses + ((candidates / usual).log() / SPREAD).square() / (2 * len(single))
    temperature = float(candidates[losses.argmin()])
    served = logits[gold != names.index(OUT_OF_SCOPE)] / temperature
    if len(served) == 0:
        return Calibration(temperature, LEAST_DOUBT if doubt else 0.5, doubt)
    if not doubt:
        return Calibration(temperature, strangeness=_exceeded_by_few(strangeness(served, names)))
    doubts = outside_scores(served, names, Calibration(doubt=True))
    return Calibration(temperature, max(LEAST_DOUBT, _exceeded_by_few(doubts)), doubt)


def _exceeded_by_few(scores: Tensor) -> float:
    """The lowest score that at most FALSE_REJECTS of these in-scope messages exceed."""
    return float(scores.quantile(1 - FALSE_REJECTS))


def outside_scores(logits: Tensor, intents: Sequence[str], calibration: Calibration) -> Tensor:
    """logits (…, intents) by the temperature → (…) how likely a message is out of scope."""
    if calibration.strangeness is not None:
        return (strangeness(logits, intents) - calibration.strangeness).sigmoid()
    probabilities = logits.softmax(-1)
    if not calibration.doubt:
        return probabilities[..., intents.index(OUT_OF_SCOPE)]
    return 1 - _best_inside(probabilities, intents)


def strangeness(logits: Tensor, intents: Sequence[str]) -> Tensor:
    """logits (…, intents) → (…) how little a message resembles what was learnt.

    That is, how low even the best logit is (Hendrycks et al. 2022), and some of what speaks for none: the
    examples out of scope are few, and show only some of what it may be.
    """
    return 0.25 * logits[..., intents.index(OUT_OF_SCOPE)] - _best_inside(logits, intents)


def _best_inside(scores: Tensor, intents: Sequence[str]) -> Tensor:
    """scores (…, intents) → (…) the highest of an intent that is in scope."""
    return scores[..., [place for place, name in enumerate(intents) if name != OUT_OF_SCOPE]].amax(-1)


def expected_calibration_error(confidences: Tensor, right: Tensor, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins, weighted by their size."""
    which = (confidences * bins).long().clamp(0, bins - 1)
    gaps = [
        (which == b).float().mean()
        * (confidences[which == b].mean() - right[which == b].float().mean()).abs()
        for b in range(bins)
        if (which == b).any()
    ]
    return float(torch.stack(gaps).sum())
