"""From a small language model to the generator: fine-tuned dense, made a mixture, healed, tuned."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from chatbot.wording.corpus import Row, batches
from chatbot.wording.tokens import Tokens
from moe.generator import GeneratorConfig, MixtureGenerator
from moe.shards import save_shards
from moe.tuning import TextBatch, TuningConfig, heal_blocks, tune
from moe.upcycling import load_llama, most_needed, upcycle_generator

WATCHED = 8
"""Batches on which layers are judged and neurons are dealt out."""
PRETRAINED_LAYERS = 30
CONFIG = "config.json"

Stage = Callable[[str, int], Callable[[int, float], None]]
"""Called with a stage's name and steps; what it returns is told each step and its loss."""


@dataclass(frozen=True)
class GeneratorTraining:
    layers: int = 18
    top_k: int = GeneratorConfig.top_k
    dense_steps: int = 900
    dense_rate: float = 5e-4
    heal_steps: int = 150
    heal_rate: float = 1e-3
    tune_steps: int = 900
    tune_rate: float = 4e-4
    seed: int = 0


def start_dense(
    weights: Mapping[str, Tensor], old: Sequence[int], tokens: Tokens, layers: Sequence[int]
) -> MixtureGenerator:
    """The pretrained model with some of its layers and tokens."""
    config = GeneratorConfig(vocabulary=tokens.size, layers=len(layers)).dense_twin
    dense = MixtureGenerator(config)
    load_llama(dense, weights, layers, old)
    return dense


class GeneratorTrainer:
    """The stages of one run; each goes on where its checkpoint in `folder` stopped."""

    def __init__(
        self,
        rows: Sequence[Row],
        own: Sequence[Row],
        tokens: Tokens,
        config: GeneratorTraining,
        folder: Path,
        stage: Stage,
    ) -> None:
        self.rows, self.own, self.tokens = rows, own, tokens
        self.config, self.folder, self.stage = config, folder, stage
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)

    def dense(self, weights: Mapping[str, Tensor], old: Sequence[int]) -> MixtureGenerator:
        """The dense model in fewer layers, tuned on the replies."""
        whole = start_dense(weights, old, self.tokens, range(PRETRAINED_LAYERS))
        layers = most_needed(whole, self._watched(), self.config.layers)
        model = start_dense(weights, old, self.tokens, layers)
        tuning = TuningConfig(steps=self.config.dense_steps, rate=self.config.dense_rate)
        report = self.stage("dense model", tuning.steps)
        tune(model, self._batches(1), tuning, self.folder / "dense.pt", report=report)
        return model

    def mixture(self, dense: MixtureGenerator) -> MixtureGenerator:
        """The mixture made of a dense model: its blocks healed, then tuned with it as the teacher."""
        config = replace(GeneratorConfig(dense.config.vocabulary), layers=dense.config.layers)
        config = replace(config, top_k=self.config.top_k)
        model = upcycle_generator(dense, config, self._watched(), self.config.seed)
        healing = TuningConfig(steps=self.config.heal_steps, rate=self.config.heal_rate)
        report = self.stage("healing", healing.steps)
        heal_blocks(model, dense, self._batches(2), healing, self.folder / "healed.pt", report)
        tuning = TuningConfig(steps=self.config.tune_steps, rate=self.config.tune_rate)
        report = self.stage("mixture", tuning.steps)
        tune(model, self._batches(1), tuning, self.folder / "mixture.pt", dense, report)
        return model

    def save(self, model: MixtureGenerator) -> None:
        """Write weights, as int8, and configuration beside the tokeniser."""
        save_shards(model.state_dict(), self.folder)
        told = json.dumps(asdict(model.config), indent=1)
        (self.folder / CONFIG).write_text(told + "\n", encoding="utf-8")

    def _batches(self, offset: int) -> Iterator[TextBatch]:
        return batches(self.rows, self.own, self.config.seed + offset, self.tokens.end)

    def _watched(self) -> list[tuple[Tensor, Tensor]]:
        return [(batch.tokens, batch.mask) for batch in islice(self._batches(3), WATCHED)]
