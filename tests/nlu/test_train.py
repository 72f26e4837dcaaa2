"""A tiny model learns a tiny task, and an interrupted run goes on where it was."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from domains.schema import OUT_OF_SCOPE
from moe.encoder import MixtureEncoder
from nlu.batches import Variation
from nlu.calibration import Calibration
from nlu.checkpoint import CHECKPOINT
from nlu.data import Example, Span
from nlu.evaluate import evaluate
from nlu.learning_on import go_on_from
from nlu.model import NluModel
from nlu.parser import ModelError, Parser
from nlu.pieces import PieceSplitter
from nlu.recipe import TrainConfig
from nlu.tags import tag_rows
from nlu.train import SHARPNESS, Trainer, new_model, train
from tests.nlu.conftest import TINY

QUICK = TrainConfig(
    epochs=4,
    batch_size=8,
    encoder_rate=3e-3,
    head_rate=3e-2,
    label_smoothing=0.0,
    held_out=0.0,
    variation=Variation(two_wishes=0.0, exchanged=0.0, typos=0.0, bare=0.0),
)


def sentences() -> list[Example]:
    """Forty, of three intents; those of the first have an amount."""
    rng = random.Random(0)
    made = []
    for number in range(14):
        amount = f"${rng.randint(1, 999)}"
        wish, whose = rng.choice(["please send", "send", "i send", "move"]), rng.choice(["my", "the"])
        text = f"{wish} {amount} to {whose} account"
        start = text.index(amount)
        made.append(Example(text, ("transfer",), (Span(start, start + len(amount), "amount"),)))
        made.append(Example(f"how much is {'my ' * (number % 3)}balance {number}", ("balance",)))
        made.append(Example(f"i lost {'the ' * (number % 4)}card {number} please", ("lost",)))
    return made[:40]


class LoggingTrainer(Trainer):
    """Notes which epochs it runs, and stops before one of them."""

    def __init__(
        self,
        examples: Sequence[Example],
        splitter: PieceSplitter,
        config: TrainConfig,
        stop_at: int = -1,
        validation: Sequence[Example] = (),
    ) -> None:
        super().__init__(examples, None, splitter, config, validation)
        self.stop_at = stop_at
        self.epochs: list[int] = []

    def _epoch(self, epoch: int) -> Iterator[list[Example]]:
        if epoch == self.stop_at:
            raise KeyboardInterrupt
        self.epochs.append(epoch)
        return super()._epoch(epoch)


def fresh(trainer: Trainer) -> NluModel:
    return new_model(trainer, TINY, lstm_width=8, dropout=0.0)


class ForgetfulTrainer(LoggingTrainer):
    """Learns for two epochs, and from then on forgets all it knew."""

    def _epoch(self, epoch: int) -> Iterator[list[Example]]:
        if epoch >= 2:
            self.model.intent_head.reset_parameters()
            assert self.model.likeness is not None
            torch.nn.init.normal_(self.model.likeness.directions)
            self.model.tag_head.reset_parameters()
        for batch in super()._epoch(epoch):
            yield batch
            if epoch >= 2:
                return

    def run(self, model: NluModel, folder: Path) -> Parser:
        self.model = model
        return super().run(model, folder)


def test_that_training_stops_without_gain_on_validation_and_keeps_the_best_epoch(
    splitter: PieceSplitter, tmp_path: Path
) -> None:
    examples = sentences()
    config = TrainConfig(**{**vars(QUICK), "epochs": 9, "patience": 2, "slot_weight": 0.0})
    trainer = ForgetfulTrainer(examples, splitter, config, validation=examples)
    model = fresh(trainer)
    parser = trainer.run(model, tmp_path)
    best = trainer.validation.best
    assert best is not None
    assert best.epoch < 2
    assert trainer.epochs == list(range(best.epoch + 3))
    parser.calibration = Calibration()
    assert evaluate(parser, examples).exact_match == best.score

    again = LoggingTrainer(examples, splitter, config, validation=examples)
    resumed = fresh(again)
    again.run(resumed, tmp_path)
    assert again.epochs == [], "a run that stopped early is not gone on with"
    for name, weight in best.weights.items():
        assert torch.equal(model.state_dict()[name], weight), name
        assert torch.equal(resumed.state_dict()[name], weight), name


def test_that_a_tiny_model_learns_forty_sentences_by_heart(splitter: PieceSplitter, tmp_path: Path) -> None:
    examples = sentences()
    trainer = Trainer(examples, None, splitter, TrainConfig(**{**vars(QUICK), "epochs": 16}))
    model = fresh(trainer)
    before = model.state_dict()["encoder.words.weight"].clone()
    parser = trainer.run(model, tmp_path)
    report = evaluate(parser, examples)
    assert report.intent_accuracy > 0.95
    assert report.slot_f1 is not None
    assert report.slot_f1 > 0.95
    assert report.exact_match > 0.95
    assert torch.equal(model.state_dict()["encoder.words.weight"], before), "word vectors are to stay"
    assert model.encoder.mixtures()[0].router.bias.abs().max() > 0


def test_that_an_interrupted_run_goes_on_and_ends_where_a_whole_one_does(
    splitter: PieceSplitter, tmp_path: Path
) -> None:
    examples = sentences()
    whole = LoggingTrainer(examples, splitter, QUICK)
    expected = fresh(whole)
    whole.run(expected, tmp_path / "whole")
    assert whole.epochs == [0, 1, 2, 3]

    interrupted = LoggingTrainer(examples, splitter, QUICK, stop_at=2)
    with pytest.raises(KeyboardInterrupt):
        interrupted.run(fresh(interrupted), tmp_path / "parts")
    assert interrupted.epochs == [0, 1]
    resumed = LoggingTrainer(examples, splitter, QUICK)
    model = fresh(resumed)
    resumed.run(model, tmp_path / "parts")
    assert resumed.epochs == [2, 3]
    for name, weight in expected.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], weight, atol=1e-5, rtol=1e-4, msg=name)


def test_that_a_finished_run_is_not_run_again_and_a_changed_one_is(
    splitter: PieceSplitter, tmp_path: Path
) -> None:
    config = TrainConfig(**{**vars(QUICK), "epochs": 1})
    first = LoggingTrainer(sentences(), splitter, config)
    first.run(fresh(first), tmp_path)
    again = LoggingTrainer(sentences(), splitter, config)
    model = fresh(again)
    again.run(model, tmp_path)
    assert again.epochs == []
    changed = LoggingTrainer(sentences(), splitter, TrainConfig(**{**vars(config), "head_rate": 2e-3}))
    changed.run(fresh(changed), tmp_path)
    assert changed.epochs == [0]
    corrected = [Example("send it to my balance", ("balance",)), *sentences()[1:]]
    retrained = LoggingTrainer(corrected, splitter, changed.config)
    retrained.run(fresh(retrained), tmp_path)
    assert retrained.epochs == [0], "sentences that were corrected are to be learnt"


def test_that_a_broken_checkpoint_is_named_with_the_remedy(splitter: PieceSplitter, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"no checkpoint")
    trainer = Trainer(sentences(), None, splitter, QUICK)
    with pytest.raises(ModelError, match=r"checkpoint\.pt: broken checkpoint .*; delete it"):
        trainer.run(fresh(trainer), tmp_path)


def test_that_few_sentences_are_all_learnt_and_calibrated_by_a_rehearsal(
    splitter: PieceSplitter, tmp_path: Path
) -> None:
    examples = sentences()
    base = MixtureEncoder(TINY)
    config = TrainConfig(**{**vars(QUICK), "epochs": 12})
    training = train(examples, None, base, splitter, config, tmp_path, lstm_width=8, dropout=0.0)
    alone = Trainer(examples, None, splitter, config)
    assert len(alone.examples) == len(examples), "all are trained on"
    assert training.parser.calibration.temperature != Calibration().temperature
    assert (tmp_path / "rehearsal" / CHECKPOINT).exists()
    assert evaluate(training.parser, examples).intent_accuracy > 0.8


def test_that_the_same_seed_shuffles_alike_and_epochs_differ(splitter: PieceSplitter) -> None:
    first, second = (Trainer(sentences(), None, splitter, QUICK) for _ in range(2))
    assert list(first._epoch(0)) == list(second._epoch(0))
    assert list(first._epoch(0)) != list(first._epoch(1))
    flat = [e.text for batch in first._epoch(0) for e in batch]
    assert sorted(flat) == sorted(e.text for e in sentences())


def test_that_examples_are_held_back_for_calibration(splitter: PieceSplitter) -> None:
    trainer = Trainer(sentences(), None, splitter, TrainConfig(held_out=0.25))
    assert len(trainer.held_out) == 10
    assert len(trainer.examples) == 30
    assert {id(e) for e in trainer.held_out}.isdisjoint(id(e) for e in trainer.examples)


def test_that_the_same_examples_are_held_back_when_others_are_added(splitter: PieceSplitter) -> None:
    config = TrainConfig(held_out=0.25)
    before = Trainer(sentences(), None, splitter, config)
    added = [Example(f"send {place} dollars", ("transfer",)) for place in range(4)]
    after = Trainer([*added, *reversed(sentences())], None, splitter, config)
    known = Counter(e.text for e in before.examples)
    unseen = Counter(e.text for e in after.held_out if e not in added)
    assert len(after.held_out) == 11
    assert (known & unseen).total() <= 1, "a model that learns on is not calibrated on what it knows"


def test_that_labels_come_from_the_data_where_there_is_no_pack(splitter: PieceSplitter) -> None:
    trainer = Trainer([*sentences(), Example("x", (OUT_OF_SCOPE,))], None, splitter, QUICK)
    assert trainer.intents[-1] == OUT_OF_SCOPE
    assert set(trainer.intents) == {"transfer", "balance", "lost", OUT_OF_SCOPE}
    assert trainer.slots == ("amount",)


def test_that_tags_cover_all_pieces_of_a_span_and_no_others(splitter: PieceSplitter) -> None:
    example = Example("send $50 to dana", ("a",), (Span(5, 8, "x"), Span(12, 16, "y")))
    batch = splitter([example.text, "send"], [(), ()])
    tags = ("O", "B-x", "I-x", "B-y", "I-y")
    rows = tag_rows([example, Example("send", ("a",))], batch, tags)
    named = [tags[number] for number in rows[0]]
    pieces = [example.text[start:end] for start, end in batch.offsets[0]]
    assert list(zip(pieces, named, strict=True)) == [
        ("send", "O"),
        ("$", "B-x"),
        ("5", "I-x"),
        ("0", "I-x"),
        ("to", "O"),
        ("d", "B-y"),
        ("a", "I-y"),
        ("n", "I-y"),
        ("a", "I-y"),
    ]
    assert rows[1] == [0] * len(pieces)


def test_that_a_trained_model_learns_on_from_where_it_was(splitter: PieceSplitter, tmp_path: Path) -> None:
    base = MixtureEncoder(TINY)
    learnt = train(sentences(), None, base, splitter, QUICK, tmp_path / "first").parser.model
    still = TrainConfig(**{**vars(QUICK), "epochs": 1, "encoder_rate": 0.0, "head_rate": 0.0})
    goes_on = train(sentences(), None, base, splitter, still, tmp_path / "on", start=learnt).parser.model
    for name, weight in learnt.state_dict().items():
        if not name.endswith("router.bias"):
            torch.testing.assert_close(goes_on.state_dict()[name], weight, msg=name)


GREETINGS = [
    Example(f"{word} there", ("greet",), (Span(0, len(word), "word"),)) for word in ("hi", "hey", "hello")
]


def test_that_new_intents_and_slots_come_beside_what_was_learnt(
    splitter: PieceSplitter, tmp_path: Path
) -> None:
    base = MixtureEncoder(TINY)
    learnt = train(sentences(), None, base, splitter, QUICK, tmp_path / "first").parser.model
    more = [*GREETINGS, *sentences()]
    new = new_model(Trainer(more, None, splitter, QUICK), TINY)
    assert go_on_from(new, learnt) == ("greet",)
    batch = splitter(["send 50 dollars"], [()])
    with torch.no_grad():
        old_scores, new_scores = learnt.eval()(batch), new.eval()(batch)
    for intent in learnt.config.intents:
        row, other = new.config.intents.index(intent), learnt.config.intents.index(intent)
        torch.testing.assert_close(new_scores.intents[:, row], old_scores.intents[:, other])
    for tag in learnt.config.tags:
        row, other = new.config.tags.index(tag), learnt.config.tags.index(tag)
        torch.testing.assert_close(new_scores.emissions[..., row], old_scores.emissions[..., other])
        for following in learnt.config.tags:
            pair, known = new.config.tags.index(following), learnt.config.tags.index(following)
            torch.testing.assert_close(
                new.crf.transitions[row, pair], learnt.crf.transitions[other, known], msg=f"{tag} {following}"
            )


def test_that_a_model_that_learns_on_begins_a_new_intent_at_its_sentences(
    splitter: PieceSplitter, tmp_path: Path
) -> None:
    base = MixtureEncoder(TINY)
    learnt = train(sentences(), None, base, splitter, QUICK, tmp_path / "first").parser.model
    still = replace(QUICK, epochs=1, encoder_rate=0.0, head_rate=0.0)
    more = [*GREETINGS, *sentences()]
    goes_on = train(more, None, base, splitter, still, tmp_path / "on", start=learnt).parser.model
    assert goes_on.likeness is not None
    assert learnt.likeness is not None
    directions = dict(zip(goes_on.config.intents, goes_on.likeness.directions.detach(), strict=True))
    assert directions["greet"].norm() == pytest.approx(SHARPNESS, rel=1e-3)
    for intent, known in zip(learnt.config.intents, learnt.likeness.directions.detach(), strict=True):
        torch.testing.assert_close(directions[intent], known)


def test_that_a_model_that_knows_none_of_the_intents_cannot_learn_on(
    splitter: PieceSplitter, tmp_path: Path
) -> None:
    base = MixtureEncoder(TINY)
    learnt = train(sentences(), None, base, splitter, QUICK, tmp_path / "first").parser.model
    with pytest.raises(ModelError, match="--start knows none of these intents, not even 'greet'"):
        train(GREETINGS, None, base, splitter, QUICK, tmp_path / "on", start=learnt)


def test_that_values_are_exchanged_among_the_sentences_that_are_trained_on(splitter: PieceSplitter) -> None:
    config = replace(QUICK, variation=replace(QUICK.variation, exchanged=1.0))
    trainer = Trainer(sentences(), None, splitter, config)
    amounts = {e.text[s.start : s.end] for e in sentences() for s in e.spans or ()}
    made = [e for batch in trainer._epoch(0) for e in batch]
    assert {e.text[s.start : s.end] for e in made for s in e.spans or ()} <= amounts
    assert {e.text for e in made} - {e.text for e in sentences()}
