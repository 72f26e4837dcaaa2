"""The whole encoder: padding, balance, the share of neurons that is active."""

import pytest
import torch

from moe.encoder import EncoderConfig, MixtureEncoder

TINY = EncoderConfig(
    vocabulary=40,
    positions=20,
    hidden_width=16,
    layers=2,
    heads=2,
    shared=8,
    experts=4,
    expert_width=4,
    top_k=2,
)


@pytest.fixture
def encoder() -> MixtureEncoder:
    torch.manual_seed(0)
    return MixtureEncoder(TINY).eval()


def test_that_padding_does_not_change_the_features(encoder: MixtureEncoder) -> None:
    pieces = torch.randint(1, 40, (2, 6))
    segments = torch.tensor([[0, 0, 0, 0, 1, 1]] * 2)
    alone = encoder(pieces, segments, torch.ones(2, 6, dtype=torch.bool))
    padding = torch.randint(0, 40, (2, 5))
    padded = encoder(
        torch.cat([pieces, padding], dim=1),
        torch.cat([segments, torch.zeros_like(padding)], dim=1),
        torch.tensor([[True] * 6 + [False] * 5] * 2),
    )
    torch.testing.assert_close(padded[:, :6], alone, atol=1e-5, rtol=1e-5)


def test_that_order_and_segment_change_the_features(encoder: MixtureEncoder) -> None:
    mask = torch.ones(1, 4, dtype=torch.bool)
    pieces, nowhere = torch.tensor([[5, 6, 7, 8]]), torch.zeros(1, 4, dtype=torch.long)
    plain = encoder(pieces, nowhere, mask)
    assert plain.shape == (1, 4, 16)
    assert not torch.allclose(encoder(pieces.flip(1), nowhere, mask).flip(1), plain, atol=1e-3)
    assert not torch.allclose(encoder(pieces, torch.ones_like(nowhere), mask), plain, atol=1e-3)


def test_that_the_balance_loss_is_one_when_affinities_are_even(encoder: MixtureEncoder) -> None:
    for mixture in encoder.mixtures():
        torch.nn.init.zeros_(mixture.router.affinity.weight)
    encoder.train()(torch.randint(1, 40, (3, 6)), torch.zeros(3, 6, dtype=torch.long), torch.ones(3, 6) > 0)
    assert encoder.balance_loss().item() == pytest.approx(1.0)


def test_that_the_balance_loss_is_larger_when_tokens_crowd_on_the_same_experts(
    encoder: MixtureEncoder,
) -> None:
    for mixture in encoder.mixtures():
        with torch.no_grad():
            mixture.router.affinity.weight.zero_()
            direction = torch.randn(16)
            mixture.router.affinity.weight[0] = mixture.router.affinity.weight[1] = direction
            mixture.router.bias.copy_(torch.tensor([1.0, 1.0, 0.0, 0.0]))
    state = encoder.state_dict()
    for layer, mixture in enumerate(encoder.mixtures()):
        state[f"blocks.{layer}.attention_norm.bias"] += 3 * mixture.router.affinity.weight[0].detach()
    encoder.train()(torch.randint(1, 40, (3, 6)), torch.zeros(3, 6, dtype=torch.long), torch.ones(3, 6) > 0)
    assert encoder.balance_loss().item() > 1.2


def test_that_rebalancing_reaches_every_block(encoder: MixtureEncoder) -> None:
    encoder.train()(torch.randint(1, 40, (2, 5)), torch.zeros(2, 5, dtype=torch.long), torch.ones(2, 5) > 0)
    encoder.rebalance(0.01)
    for mixture in encoder.mixtures():
        assert mixture.routing is not None
        assert mixture.router.bias.tolist() == pytest.approx(
            (0.01 * torch.sign(mixture.routing.load.mean() - mixture.routing.load)).tolist()
        )
        assert mixture.router.bias.abs().max() > 0


def test_that_the_active_share_counts_the_shared_and_the_chosen_neurons() -> None:
    assert TINY.active_share == pytest.approx((8 + 2 * 4) / (8 + 4 * 4))
    assert EncoderConfig().active_share == pytest.approx(7 / 12)
