"""From a dense BERT to the mixture: no neuron lost, none twice, the same function where all experts work."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from moe.encoder import EncoderConfig, MixtureEncoder
from moe.layers import Inputs
from moe.upcycling import deal_neurons, fit_router, load_bert, upcycle

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


def some_inputs(seed: int) -> list[Inputs]:
    pieces = torch.randint(0, 30, (8, 6), generator=torch.Generator().manual_seed(seed))
    return [(pieces, torch.zeros_like(pieces), torch.ones_like(pieces, dtype=torch.bool))]


@pytest.fixture
def dense() -> MixtureEncoder:
    made = MixtureEncoder(CONFIG.dense_twin).eval()
    load_bert(made, bert_weights())
    return made


@pytest.fixture
def encoder(dense: MixtureEncoder) -> MixtureEncoder:
    return upcycle(dense, CONFIG, some_inputs(0)).eval()


def test_that_the_dense_twin_computes_what_the_dense_block_does(dense: MixtureEncoder) -> None:
    hidden = torch.randn(2, 5, CONFIG.hidden_width)
    for layer, mixture in enumerate(dense.mixtures()):
        mixed = mixture(hidden, torch.ones(2, 5, dtype=torch.bool))
        torch.testing.assert_close(mixed, dense_block(bert_weights(), layer, hidden), atol=1e-5, rtol=1e-5)


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


def random_neurons(seed: int) -> Tensor:
    """(tokens, neurons)"""
    return F.gelu(torch.randn(50, NEURONS, generator=torch.Generator().manual_seed(seed)))


def test_that_every_neuron_is_dealt_exactly_once() -> None:
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        down = torch.randn(CONFIG.hidden_width, NEURONS, generator=generator)
        order = deal_neurons(random_neurons(seed), down, CONFIG.shared, CONFIG.experts, generator)
        assert sorted(order.tolist()) == list(range(NEURONS))


def test_that_the_neurons_that_add_most_are_shared() -> None:
    neurons, down = random_neurons(0), torch.randn(CONFIG.hidden_width, NEURONS)
    order = deal_neurons(neurons, down, CONFIG.shared, CONFIG.experts, torch.Generator())
    added = [float(neurons[:, n].abs().mean() * down[:, n].norm()) for n in range(NEURONS)]
    most = sorted(range(NEURONS), key=lambda n: -added[n])[: CONFIG.shared]
    assert sorted(order[: CONFIG.shared].tolist()) == sorted(most)


def test_that_neurons_which_are_active_together_share_an_expert() -> None:
    generator = torch.Generator().manual_seed(3)
    moments = torch.eye(4).repeat_interleave(10, dim=0)  # four kinds of tokens, ten of each
    routed = moments.repeat_interleave(4, dim=1) + 0.02 * torch.rand(40, 16, generator=generator)
    shuffled = torch.randperm(16, generator=generator)
    neurons = torch.cat([torch.full((40, 8), 10.0), routed[:, shuffled]], dim=1)
    for seed in range(20):
        order = deal_neurons(neurons, torch.ones(8, 24), 8, 4, torch.Generator().manual_seed(seed))
        groups = (shuffled[order[8:] - 8] // 4).view(4, 4)
        if all(len(set(group)) == 1 for group in groups.tolist()):
            return
    pytest.fail("no start of the k-means found the four kinds")


def test_that_the_router_finds_the_experts_that_add_most_where_the_input_tells() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(400, 8, generator=generator)
    truth = torch.randn(8, 5, generator=generator)
    affinity = fit_router(hidden, hidden @ truth + 20)
    found, wanted = hidden @ affinity.T, hidden @ truth
    assert (found.argmax(-1) == wanted.argmax(-1)).float().mean() > 0.95


def test_that_the_same_seed_gives_the_same_experts(dense: MixtureEncoder) -> None:
    first, second, other = (upcycle(dense, CONFIG, some_inputs(0), seed) for seed in (1, 1, 2))
    names = first.state_dict().keys()
    assert all(torch.equal(first.state_dict()[n], second.state_dict()[n]) for n in names)
    assert not all(torch.equal(first.state_dict()[n], other.state_dict()[n]) for n in names)


def test_that_a_checkpoint_with_other_names_is_refused() -> None:
    weights = bert_weights()
    del weights["encoder.layer.1.output.dense.bias"]
    with pytest.raises(KeyError, match=r"encoder\.layer\.1\.output\.dense\.bias"):
        load_bert(MixtureEncoder(CONFIG.dense_twin), weights)


def test_that_a_checkpoint_of_another_size_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"words\.weight"):
        load_bert(MixtureEncoder(replace(CONFIG.dense_twin, vocabulary=31)), bert_weights())
