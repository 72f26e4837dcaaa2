"""How to train, chosen by the data."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from domains.schema import OUT_OF_SCOPE
from nlu.batches import Variation
from nlu.contrast import Contrast
from nlu.data import Example

SCARCE = 20
"""Sentences an intent has, on average, up to which all count as few."""
FEW_STEPS = 140
"""Steps in which slots are learnt from few sentences, once the encoder has learnt the intents."""


@dataclass(frozen=True)
class TrainConfig:
    epochs: int = 8
    batch_size: int = 48
    encoder_rate: float = 1e-4
    head_rate: float = 1e-3
    weight_decay: float = 0.01
    warm_up: float = 0.05
    label_smoothing: float = 0.1
    slot_weight: float = 1.0
    several_weight: float = 0.2
    balance_weight: float = 0.01
    bias_rate: float = 1e-3
    held_out: float = 0.04
    """Share of the examples kept for calibration."""
    variation: Variation = field(default_factory=Variation)
    averaged: float = 0.1
    """Share of the steps over which the weights that are kept were averaged, roughly."""
    prototype_examples: int = 32
    """Sentences of an intent at whose mean its direction starts."""
    contrast: Contrast | None = None
    """Where sentences are few: how the encoder learns before all else, and alone."""
    patience: int = 3
    """Epochs without a better validation score after which training stops."""
    seed: int = 0


def is_scarce(examples: Sequence[Example]) -> bool:
    """Whether sentences are as few as in a pack that somebody has just begun."""
    counts = Counter(intent for e in examples for intent in e.intents if intent != OUT_OF_SCOPE)
    return not counts or counts.total() / len(counts) <= SCARCE


def recipe(examples: Sequence[Example], epochs: int | None = None, **settings: Any) -> TrainConfig:
    """Settings for these examples; what is given wins."""
    if is_scarce(examples):
        steps = math.ceil(len(examples) / TrainConfig.batch_size)
        settings = {"contrast": Contrast(), **settings}
        epochs = epochs or min(60, math.ceil(FEW_STEPS / steps))
    return TrainConfig(epochs=epochs or TrainConfig.epochs, **settings)
