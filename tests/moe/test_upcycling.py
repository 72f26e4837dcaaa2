"""From a dense BERT to the mixture: no neuron lost, none twice, the same function where all experts work."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from moe.encoder import EncoderConfig, MixtureEncoder
from moe.upcycling import deal_neurons, load_bert

CONFIG = EncoderConfig(
    vocabulary=30,
    positions=12,
    hidden_width=8,
    layers=2,
    heads=2,
    shared=8,
    experts=4,
    expert_width=4,
    top_k=4,
)
NEURONS = CONFIG.shared + CONFIG.experts * CONFIG.expert_width


def bert_weights(seed: int = 0) -> dict[str, Tensor]:
    """A random checkpoint with the names that transformers gives to a BERT."""
    generator = torch.Generator().manual_seed(seed)
    width = CONFIG.hidden_width

    def random(*shape: int) -> Tensor:
        return 0.4 * torch.randn(*shape, generator=generator)

    weights = {
        "embeddings.word_embeddings.weight": random(CONFIG.vocabulary, width),
        "embeddings.position_embeddings.weight": random(CONFIG.positions, width),
        "embeddings.token_type_embeddings.weight": random(2, width),
        "embeddings.LayerNorm.weight": 1 + random(width),
        "embeddings.LayerNorm.bias": random(width),
    }
    shapes = {
        "attention.self.query": (width, width),
        "attention.self.key": (width, width),
        "attention.self.value": (width, width),
        "attention.output.dense": (width, width),
        "intermediate.dense": (NEURONS, width),
        "output.dense": (width, NEURONS),
    }
    for layer in range(CONFIG.layers):
        for name, (rows, columns) in shapes.items():
            weights[f"encoder.layer.{layer}.{name}.weight"] = random(rows, columns)
            weights[f"encoder.layer.{layer}.{name}.bias"] = random(rows)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            weights[f"encoder.layer.{layer}.{name}.weight"] = 1 + random(width)
            weights[f"encoder.layer.{layer}.{name}.bias"] = random(width)
    return weights


def dense_block(weights: dict[str, Tensor], layer: int, hidden: Tensor) -> Tensor:
    source = f"encoder.layer.{layer}"
    up, down = f"{source}.intermediate.dense", f"{source}.output.dense"
    neurons = F.gelu(F.linear(hidden, weights[f"{up}.weight"], weights[f"{up}.bias"]))
    return F.linear(neurons, weights[f"{down}.weight"], weights[f"{down}.bias"])


@pytest.fixture
def encoder() -> MixtureEncoder:
    made = MixtureEncoder(CONFIG).eval()
    load_bert(made, bert_weights())
    return made


def test_that_with_all_experts_at_equal_gates_the_mixture_equals_the_dense_block(
    encoder: MixtureEncoder,
) -> None:
    weights = bert_weights()
    hidden = torch.randn(2, 5, CONFIG.hidden_width)
    for layer, mixture in enumerate(encoder.mixtures()):
        mixture.router.affinity.weight.data.zero_()  # every gate is 1
        mixed = mixture(hidden, torch.ones(2, 5, dtype=torch.bool))
        torch.testing.assert_close(mixed, dense_block(weights, layer, hidden), atol=1e-5, rtol=1e-5)


def test_that_the_attention_is_that_of_bert(encoder: MixtureEncoder) -> None:
    weights = bert_weights()
    hidden = torch.randn(1, 4, CONFIG.hidden_width)
    query, key, value = (
        F.linear(hidden, weights[f"{name}.weight"], weights[f"{name}.bias"]).view(1, 4, 2, -1).transpose(1, 2)
        for name in (f"encoder.layer.1.attention.self.{part}" for part in ("query", "key", "value"))
    )
    mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(1, 4, -1)
    output = "encoder.layer.1.attention.output.dense"
    expected = F.linear(mixed, weights[f"{output}.weight"], weights[f"{output}.bias"])
    attention = encoder.get_submodule("blocks.1.attention")
    attended = attention(hidden, torch.ones(1, 4, dtype=torch.bool))
    torch.testing.assert_close(attended, expected, atol=1e-5, rtol=1e-5)


def test_that_every_neuron_is_dealt_exactly_once() -> None:
    for seed in range(5):
        weights = bert_weights(seed)
        up = weights["encoder.layer.0.intermediate.dense.weight"]
        down = weights["encoder.layer.0.output.dense.weight"]
        order = deal_neurons(up, down, CONFIG.shared, CONFIG.experts, torch.Generator().manual_seed(seed))
        assert sorted(order.tolist()) == list(range(NEURONS))


def test_that_the_strongest_neurons_are_shared() -> None:
    weights = bert_weights()
    up = weights["encoder.layer.0.intermediate.dense.weight"]
    down = weights["encoder.layer.0.output.dense.weight"]
    order = deal_neurons(up, down, CONFIG.shared, CONFIG.experts, torch.Generator())
    strength = [float(up[n].norm() * down[:, n].norm()) for n in range(NEURONS)]
    strongest = sorted(range(NEURONS), key=lambda n: -strength[n])[: CONFIG.shared]
    assert sorted(order[: CONFIG.shared].tolist()) == sorted(strongest)


def test_that_neurons_of_one_direction_share_an_expert() -> None:
    generator = torch.Generator().manual_seed(3)
    axes = torch.eye(8)[:4].repeat_interleave(4, dim=0)  # four groups of four neurons
    routed = axes + 0.05 * torch.randn(16, 8, generator=generator)
    shuffled = torch.randperm(16, generator=generator)
    up = torch.cat([10 * torch.randn(8, 8, generator=generator), routed[shuffled]])
    down = torch.ones(8, 24)
    for seed in range(20):
        order = deal_neurons(up, down, 8, 4, torch.Generator().manual_seed(seed))
        groups = (shuffled[order[8:] - 8] // 4).view(4, 4)
        if all(len(set(group)) == 1 for group in groups.tolist()):
            return
    pytest.fail("no start of the k-means found the four directions")


def test_that_the_same_seed_gives_the_same_experts() -> None:
    first, second, other = (MixtureEncoder(CONFIG) for _ in range(3))
    load_bert(first, bert_weights(), seed=1)
    load_bert(second, bert_weights(), seed=1)
    load_bert(other, bert_weights(), seed=2)
    names = first.state_dict().keys()
    assert all(torch.equal(first.state_dict()[n], second.state_dict()[n]) for n in names)
    assert not all(torch.equal(first.state_dict()[n], other.state_dict()[n]) for n in names)


def test_that_a_checkpoint_with_other_names_is_refused() -> None:
    weights = bert_weights()
    del weights["encoder.layer.1.output.dense.bias"]
    with pytest.raises(KeyError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        load_bert(MixtureEncoder(CONFIG), weights)


def test_that_a_checkpoint_of_another_size_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"words\.weight"):
        load_bert(MixtureEncoder(replace(CONFIG, vocabulary=31)), bert_weights())
