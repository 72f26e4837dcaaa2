"""Training of the joint NLU model."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter
from transformers import get_cosine_schedule_with_warmup

from domains.schema import OUT_OF_SCOPE, Pack
from moe.encoder import EncoderConfig, MixtureEncoder
from nlu.batches import Batches, shuffled_alike
from nlu.calibration import Calibration, calibrate
from nlu.checkpoint import CHECKPOINT, read_checkpoint, write_checkpoint
from nlu.contrast import fit_likeness, pull_together, sentences
from nlu.data import Example
from nlu.learning_on import go_on_from
from nlu.model import NluConfig, NluModel
from nlu.parser import Parser
from nlu.pieces import PieceSplitter
from nlu.recipe import TrainConfig, is_scarce
from nlu.tags import tag_rows
from nlu.validation import BestEpoch, Validation

SHARPNESS = 16.0
"""What a likeness of 1 counts for at the start."""
SIZES = ("lstm_width", "dropout", "character_filters", "likeness")
REHEARSAL = 0.2
"""Share of scarce examples that the rehearsal calibrates on."""


class Trainer:
    """Everything one run needs; `run` resumes where `folder` holds a checkpoint of the same run."""

    def __init__(
        self,
        examples: Sequence[Example],
        pack: Pack | None,
        splitter: PieceSplitter,
        config: TrainConfig,
        validation: Sequence[Example] = (),
    ) -> None:
        """With `validation` examples, training stops when they no longer gain, and the best epoch is kept."""
        self.config, self.pack, self.splitter = config, pack, splitter
        self.started = False
        self.new_intents: tuple[str, ...] = ()
        """Which the model that learns on does not know yet."""
        self.validation = Validation(validation, config.patience)
        shuffled = shuffled_alike([replace(e, past=e.past.of_tasks(pack)) for e in examples], config.seed)
        kept = 0 if validation else int(len(shuffled) * config.held_out)
        self.held_out, self.examples = shuffled[:kept], shuffled[kept:]
        intents = [*dict.fromkeys(i for e in sorted(shuffled, key=lambda e: e.intents) for i in e.intents)]
        known = pack.intents if pack else intents
        self.intents = (*(i for i in known if i != OUT_OF_SCOPE), OUT_OF_SCOPE)
        slots = {s.slot for e in shuffled for s in e.spans or ()}
        self.slots = tuple(s for s in pack.slots if s in slots) if pack else tuple(sorted(slots))
        self.batches = Batches(
            self.examples, pack, self.slots, config.batch_size, config.variation, config.seed
        )

    def run(self, model: NluModel, folder: Path) -> Parser:
        """Train, checkpoint each epoch, calibrate; `folder` takes checkpoint.pt and TensorBoard logs."""
        config = self.config
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(config.seed)
        model.encoder.words.weight.requires_grad_(False)  # rare words stay where pretraining put them
        checkpoint = folder / CHECKPOINT
        fingerprint = self._fingerprint(model)
        saved = read_checkpoint(checkpoint, fingerprint) if checkpoint.exists() else None
        if saved is None and (not self.started or self.new_intents):
            self._prepare(model)
        if config.contrast is not None:
            _settle_intents(model)
        optimiser = self._optimiser(model)
        steps = self.batches.count
        total = steps * config.epochs
        schedule = get_cosine_schedule_with_warmup(optimiser, int(total * config.warm_up), total)
        decay = max(0.0, 1 - 1 / (config.averaged * total))
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
        averaged = cast(NluModel, average.module)
        first = 0
        if saved is not None:
            model.load_state_dict(saved["model"])
            average.load_state_dict(saved["average"])
            optimiser.load_state_dict(saved["optimiser"])
            schedule.load_state_dict(saved["schedule"])
            first = saved["epoch"] + 1
            self.validation.restore(saved["best"])
        with Progress() as progress, SummaryWriter(str(folder / "tensorboard")) as writer:
            bar = progress.add_task("training", total=total, completed=steps * first)
            for epoch in range(first, config.epochs):
                if self.validation.exhausted(epoch):
                    break
                loss = 0.0
                for step, batch in enumerate(self._epoch(epoch)):
                    value = self._step(model, optimiser, schedule, batch)
                    average.update_parameters(model)
                    loss += (value - loss) / (step + 1)
                    progress.update(bar, advance=1, description=f"epoch {epoch + 1} loss {loss:.3f}")
                writer.add_scalar("train/loss", loss, epoch)
                told = f"epoch {epoch + 1}: loss {loss:.4f}"
                if self.held_out:
                    accuracy = self._accuracy(averaged)
                    writer.add_scalar("held_out/intent_accuracy", accuracy, epoch)
                    told += f", held-out intent accuracy {accuracy:.4f}"
                progress.console.print(told)
                if self.validation.examples:
                    self._validate(averaged, epoch, writer, progress)
                state = {
                    "run": fingerprint,
                    "epoch": epoch,
                    "model": model.state_dict(),
                    "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                    "best": self.validation.state(),
                }
                write_checkpoint(checkpoint, state)
        best = self.validation.best
        model.load_state_dict(best.weights if best else averaged.state_dict())
        unseen = self.held_out or self.validation.examples
        doubt = not any(OUT_OF_SCOPE in example.intents for example in self.examples)
        usual = config.contrast.usual_temperature if config.contrast else None
        calibration = calibrate(model, self.splitter, unseen, doubt, usual)
        return Parser(model, self.splitter, calibration, self.pack)

    def _fingerprint(self, model: NluModel) -> str:
        """What a run is resumed by: with another configuration or other sentences it starts anew."""
        told = repr((self.config, model.config, self.examples, self.held_out, self.validation.examples))
        return hashlib.sha256(told.encode()).hexdigest()

    def _validate(self, model: NluModel, epoch: int, writer: SummaryWriter, progress: Progress) -> None:
        report = self.validation.take(Parser(model, self.splitter, Calibration(), self.pack), epoch)
        figures = {"intent_accuracy": report.intent_accuracy, "exact_match": report.exact_match}
        if report.slot_f1 is not None:
            figures["slot_f1"] = report.slot_f1
        for name, value in figures.items():
            writer.add_scalar(f"validation/{name}", value, epoch)
        shown = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in figures.items())
        progress.console.print(f"epoch {epoch + 1}: validation {shown}")

    def _prepare(self, model: NluModel) -> None:
        """What comes before the first step; where sentences are few, all that is learnt of the intents."""
        contrast = self.config.contrast
        if contrast is None:
            self._place_directions(model)
        else:
            known = sentences(self.examples)
            pull_together(model, self.splitter, known, contrast, self.config.seed)
            fit_likeness(model, self.splitter, known, contrast.strength)

    @torch.no_grad()
    def _place_directions(self, model: NluModel) -> None:
        """Start each intent at the mean of its sentences (as in prototypical networks, Snell et al. 2017)."""
        if model.likeness is None:
            return
        model.eval()
        for place, intent in enumerate(self.intents):
            if self.started and intent not in self.new_intents:
                continue
            own = [e for e in self.examples if e.intents[0] == intent][: self.config.prototype_examples]
            if own:
                features = model.embed(self.splitter([e.text for e in own], [() for _ in own]))
                mean = F.normalize(F.normalize(features, dim=-1).mean(0), dim=-1)
                model.likeness.directions[place] = SHARPNESS * mean

    def _optimiser(self, model: NluModel) -> torch.optim.AdamW:
        encoder = [p for p in model.encoder.parameters() if p.requires_grad]
        heads = [
            p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("encoder.")
        ]
        groups = [
            {"params": encoder, "lr": self.config.encoder_rate},
            {"params": heads, "lr": self.config.head_rate},
        ]
        return torch.optim.AdamW(groups, weight_decay=self.config.weight_decay, fused=True)

    def _step(
        self,
        model: NluModel,
        optimiser: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        examples: list[Example],
    ) -> float:
        config = self.config
        model.train()
        batch = self.splitter([e.text for e in examples], [e.heard for e in examples], multiple=8)
        with torch.autocast("cpu", torch.bfloat16):
            scores = model(batch)
        loss = F.cross_entropy(
            scores.intents.float(), self._targets(examples), label_smoothing=config.label_smoothing
        )
        several = torch.tensor([float(len(e.intents) > 1) for e in examples])
        loss = loss + config.several_weight * F.binary_cross_entropy_with_logits(
            scores.several.float(), several
        )
        loss = loss + config.balance_weight * model.encoder.balance_loss()
        rows = [i for i, e in enumerate(examples) if e.spans is not None]
        if rows:
            tags = torch.tensor(tag_rows(examples, batch, model.config.tags))[rows]
            picked = replace(scores, emissions=scores.emissions[rows].float(), mask=scores.mask[rows])
            longest = int(batch.lengths[rows].max())
            picked = replace(picked, emissions=picked.emissions[:, :longest], mask=picked.mask[:, :longest])
            loss = loss + config.slot_weight * model.slot_loss(picked, tags[:, :longest])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if config.contrast is None:
            model.encoder.rebalance(config.bias_rate)
        return float(loss.detach())

    def _targets(self, examples: Sequence[Example]) -> Tensor:
        """(batch, intents): one, or a half for each of two."""
        targets = torch.zeros(len(examples), len(self.intents))
        for row, example in enumerate(examples):
            for intent in example.intents[:2]:
                targets[row, self.intents.index(intent)] = 1 / len(example.intents[:2])
        return targets

    def _epoch(self, epoch: int) -> Iterator[list[Example]]:
        yield from self.batches.epoch(epoch)

    @torch.inference_mode()
    def _accuracy(self, model: NluModel) -> float:
        model.eval()
        right = 0
        for start in range(0, len(self.held_out), 64):
            rows = self.held_out[start : start + 64]
            best = model(self.splitter([e.text for e in rows], [e.heard for e in rows])).intents.argmax(-1)
            right += sum(self.intents[i] in e.intents for i, e in zip(best.tolist(), rows, strict=True))
        return right / len(self.held_out)


def _settle_intents(model: NluModel) -> None:
    """Leave what the contrast taught as it is: another head would soon know few sentences by heart."""
    torch.nn.init.zeros_(model.intent_head.weight)
    torch.nn.init.zeros_(model.intent_head.bias)
    for part in (model.encoder, model.likeness, model.intent_head):
        if part is not None:
            part.requires_grad_(False)


@dataclass(frozen=True)
class Training:
    parser: Parser
    best: BestEpoch | None
    """The epoch that was kept, where there was validation."""


def train(
    examples: Sequence[Example],
    pack: Pack | None,
    base: MixtureEncoder,
    splitter: PieceSplitter,
    config: TrainConfig,
    folder: Path,
    validation: Sequence[Example] = (),
    start: NluModel | None = None,
    **sizes: Any,
) -> Training:
    """All of training, from the encoder `base` on; `sizes` are settings of NluConfig.

    With `start` a trained model learns on; intents and slots that it does not know come new to it. Raises
    ModelError where it knows none of the intents.

    Where sentences are few, none can be spared for the calibration: a rehearsal on most of them finds it, and
    the model that is kept learns from all.
    """

    def fit(config: TrainConfig, folder: Path) -> Training:
        trainer = Trainer(examples, pack, splitter, config, validation)
        if start is None:
            model = new_model(trainer, base.config, **sizes)
            model.encoder.load_state_dict(base.state_dict())
        else:
            same = {name: getattr(start.config, name) for name in SIZES}
            model = new_model(trainer, start.config.encoder, **same)
            trainer.started, trainer.new_intents = True, go_on_from(model, start)
        return Training(trainer.run(model, folder), trainer.validation.best)

    if validation or not is_scarce(examples):
        return fit(config, folder)
    # Where intents are learnt by contrast alone, what follows teaches slots, of which nothing is calibrated.
    rehearsal = replace(config, held_out=REHEARSAL, epochs=1 if config.contrast else config.epochs)
    rehearsed = fit(rehearsal, folder / "rehearsal")
    training = fit(replace(config, held_out=0.0), folder)
    training.parser.calibration = rehearsed.parser.calibration
    return training


def new_model(trainer: Trainer, encoder: EncoderConfig | None = None, **sizes: Any) -> NluModel:
    """An untrained model for the trainer's labels."""
    torch.manual_seed(trainer.config.seed)
    return NluModel(NluConfig(trainer.intents, trainer.slots, encoder or EncoderConfig(), **sizes))
