"""Tuning of a generator: it learns, goes on after a stop, follows a teacher, and is healed block by block."""

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from moe.generator import MixtureGenerator
from moe.tuning import TextBatch, TuningConfig, distance, heal_blocks, perplexity, tune
from moe.upcycling import upcycle_generator
from tests.moe.test_generator import TINY

LEARNING = TuningConfig(steps=30, rate=3e-3, warm_up=3, checkpoint_every=10)


def batch(seed: int = 0) -> TextBatch:
    torch.manual_seed(seed)
    tokens = torch.randint(0, 60, (4, 12))
    mask = torch.ones_like(tokens, dtype=torch.bool)
    wanted = mask.clone()
    wanted[:, :4] = False
    return TextBatch(tokens, mask, wanted)


def model(seed: int = 0) -> MixtureGenerator:
    torch.manual_seed(seed)
    return MixtureGenerator(TINY)


def stopping(after: int) -> Iterator[TextBatch]:
    for number, one in enumerate(repeat(batch())):
        if number == after:
            raise KeyboardInterrupt
        yield one


def test_a_tuned_generator_expects_what_it_was_shown(tmp_path: Path) -> None:
    generator = model()
    before = perplexity(generator, [batch()])
    tune(generator, repeat(batch()), LEARNING, tmp_path / "c.pt")
    assert perplexity(generator, [batch()]) < before / 3


def test_only_the_wanted_tokens_are_learnt(tmp_path: Path) -> None:
    one = batch()
    nothing = TextBatch(one.tokens, one.mask, torch.zeros_like(one.wanted))
    nothing.wanted[0, 5] = True
    generator = model()
    tune(generator, repeat(nothing), LEARNING, tmp_path / "c.pt")
    assert perplexity(generator, [nothing]) < 2
    assert perplexity(generator, [one]) > 20


def test_a_run_that_was_stopped_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    unbroken, stopped = model(), model()
    tune(unbroken, repeat(batch()), LEARNING, tmp_path / "unbroken.pt")
    with pytest.raises(KeyboardInterrupt):
        tune(stopped, stopping(25), LEARNING, tmp_path / "stopped.pt")
    resumed = model(seed=5)
    tune(resumed, repeat(batch()), LEARNING, tmp_path / "stopped.pt")
    for own, other in zip(resumed.parameters(), unbroken.parameters(), strict=True):
        torch.testing.assert_close(own, other)


def test_the_distance_to_a_teacher_is_none_where_they_agree_and_grows_where_they_do_not() -> None:
    logits = torch.randn(5, 60, generator=torch.Generator().manual_seed(0))
    assert float(distance(logits, logits, 2.0)) == pytest.approx(0, abs=1e-6)
    near, far = (float(distance(logits + gap * torch.linspace(0, 1, 60), logits, 2.0)) for gap in (0.5, 2))
    assert 0 < near < far


def test_at_temperature_one_the_distance_is_the_divergence_of_the_distributions() -> None:
    own, other = torch.randn(2, 7, 60, generator=torch.Generator().manual_seed(0))
    shares = other.softmax(-1)
    expected = (shares * (shares.log() - F.log_softmax(own, -1))).sum(-1).mean()
    assert float(distance(own, other, 1.0)) == pytest.approx(float(expected), rel=1e-5)


def test_healing_brings_every_block_nearer_to_the_dense_one(tmp_path: Path) -> None:
    torch.manual_seed(3)
    dense = MixtureGenerator(TINY.dense_twin).eval()
    inputs = [(batch().tokens, batch().mask)]
    student = upcycle_generator(dense, TINY, inputs)
    told: list[float] = []
    heal_blocks(
        student, dense, repeat(batch()), LEARNING, tmp_path / "h.pt", lambda _, loss: told.append(loss)
    )
    assert told[-1] < 0.7 * told[0]
    torch.testing.assert_close(student.words.weight, dense.words.weight)
