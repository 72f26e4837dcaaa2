"""A mixture that was made of a dense model learns to agree with it again."""

from collections.abc import Iterator

import pytest
import torch

from moe.encoder import EncoderConfig, MixtureEncoder
from moe.healing import HealingConfig, agreement, heal
from moe.layers import Inputs, mean_features

SIZES = EncoderConfig(
    vocabulary=40,
    positions=20,
    hidden_width=16,
    layers=2,
    heads=2,
    shared=8,
    experts=8,
    expert_width=4,
    top_k=2,
    dropout=0.0,
)


def random_inputs(seed: int) -> Iterator[Inputs]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        lengths = torch.randint(2, 9, (16, 1), generator=generator)
        pieces = torch.randint(1, 40, (16, 8), generator=generator)
        yield pieces, torch.zeros_like(pieces), torch.arange(8) < lengths


@pytest.fixture
def models() -> tuple[MixtureEncoder, MixtureEncoder]:
    """Student and teacher with the same weights; the routed neurons of the teacher are one expert."""
    torch.manual_seed(0)
    teacher = MixtureEncoder(SIZES.dense_twin)
    for mixture in teacher.mixtures():
        torch.nn.init.normal_(mixture.up.weight, std=0.5)
        torch.nn.init.normal_(mixture.down.weight, std=0.5)
    student = MixtureEncoder(SIZES)
    own = student.state_dict()
    own.update({name: t for name, t in teacher.state_dict().items() if "router" not in name})
    student.load_state_dict(own)
    return student, teacher


def test_that_healing_brings_the_features_back_to_those_of_the_dense_model(
    models: tuple[MixtureEncoder, MixtureEncoder],
) -> None:
    student, teacher = models
    unseen = [next(random_inputs(99))]
    words = student.words.weight.clone()
    before = agreement(student, teacher, unseen)
    losses: list[float] = []
    config = HealingConfig(steps=150, rate=3e-3, warm_up=10)
    heal(student, teacher, random_inputs(1), config, lambda step, loss: losses.append(loss))
    after = agreement(student, teacher, unseen)
    assert len(losses) == 150
    assert 1 - after < 0.5 * (1 - before), f"{before:.3f} → {after:.3f}"
    assert torch.equal(student.words.weight, words), "embeddings stay the teacher's"


def test_that_a_dense_twin_has_every_neuron_active_and_a_gate_of_one() -> None:
    twin = SIZES.dense_twin
    assert twin.active_share == 1.0
    assert twin.shared + twin.experts * twin.expert_width == SIZES.shared + SIZES.experts * SIZES.expert_width
    gates, _ = MixtureEncoder(twin).mixtures()[0].router(torch.randn(3, 16))
    assert torch.allclose(gates, torch.ones_like(gates))


def test_that_padding_does_not_count_in_the_mean() -> None:
    features = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert mean_features(features, torch.tensor([[True, True, False]])).item() == 2.0
