"""Validation after each epoch: when training no longer gains, and which epoch was best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nlu.data import Example
from nlu.evaluate import NluReport, parse_all, score
from nlu.parser import Parser


@dataclass(frozen=True)
class BestEpoch:
    epoch: int
    score: float
    weights: dict[str, Tensor]


class Validation:
    """Scores every epoch by its exact match (intent and all slots), and keeps the weights of the best one."""

    def __init__(self, examples: Sequence[Example], patience: int) -> None:
        self.examples, self.patience = examples, patience
        self.best: BestEpoch | None = None

    def take(self, parser: Parser, epoch: int) -> NluReport:
        """The figures after an epoch; the earlier of two equally good epochs stays the best."""
        report = score(parse_all(parser, self.examples), self.examples)
        if self.best is None or report.exact_match > self.best.score:
            weights = {name: tensor.clone() for name, tensor in parser.model.state_dict().items()}
            self.best = BestEpoch(epoch, report.exact_match, weights)
        return report

    def exhausted(self, epoch: int) -> bool:
        """Whether the `patience` epochs before this one were no better than the best."""
        return self.best is not None and epoch - self.best.epoch > self.patience

    def state(self) -> dict[str, Any] | None:
        return vars(self.best) if self.best else None

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Go on from what `state` gave, in a run that was interrupted."""
        self.best = BestEpoch(**state) if state and self.examples else None
