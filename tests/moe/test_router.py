"""The router against an oracle written with loops."""

import math

import pytest
import torch
from torch import Tensor

from moe.router import Router


def make_router(seed: int, hidden_width: int = 6, experts: int = 5, top_k: int = 2) -> Router:
    torch.manual_seed(seed)
    router = Router(hidden_width, experts, top_k)
    router.bias.copy_(0.3 * torch.randn(experts))
    return router


def gates_by_hand(router: Router, token: list[float]) -> tuple[list[float], list[float]]:
    weights: list[list[float]] = router.affinity.weight.tolist()
    bias: list[float] = router.bias.tolist()
    scores = [1 / (1 + math.exp(-sum(w * x for w, x in zip(row, token, strict=True)))) for row in weights]
    ranked = sorted(range(len(scores)), key=lambda e: scores[e] + bias[e], reverse=True)
    chosen = ranked[: router.top_k]
    total = sum(scores[e] for e in chosen)
    gates = [router.top_k * s / total if e in chosen else 0.0 for e, s in enumerate(scores)]
    return gates, scores


@pytest.mark.parametrize("top_k", [1, 2, 4, 5])
def test_that_the_router_does_what_the_loops_do(top_k: int) -> None:
    for seed in range(20):
        router = make_router(seed, top_k=top_k)
        hidden = torch.randn(3, 4, 6)
        gates, scores = router(hidden)
        for row in range(3):
            for place in range(4):
                expected_gates, expected_scores = gates_by_hand(router, hidden[row, place].tolist())
                assert gates[row, place].tolist() == pytest.approx(expected_gates, abs=1e-5)
                assert scores[row, place].tolist() == pytest.approx(expected_scores, abs=1e-5)


def test_that_the_gates_of_a_token_add_up_to_top_k_and_top_k_of_them_are_open() -> None:
    gates, _ = make_router(1, experts=8, top_k=3)(torch.randn(50, 6))
    assert gates.sum(-1).tolist() == pytest.approx([3.0] * 50, abs=1e-4)
    assert (gates > 0).sum(-1).tolist() == [3] * 50


def test_that_the_bias_steers_the_choice_but_not_the_gates() -> None:
    router = make_router(2, experts=4, top_k=2)
    router.bias.zero_()
    hidden = torch.randn(30, 6)
    gates, scores = router(hidden)
    router.bias.copy_(torch.tensor([5.0, 5.0, 0.0, 0.0]))
    steered, same_scores = router(hidden)
    assert torch.equal(scores, same_scores)
    assert not torch.equal(gates, steered)
    assert ((steered > 0) == torch.tensor([True, True, False, False])).all()
    expected = 2 * scores[:, :2] / scores[:, :2].sum(-1, keepdim=True)
    torch.testing.assert_close(steered[:, :2], expected)


def test_that_the_bias_moves_against_the_load() -> None:
    router = make_router(3, experts=4, top_k=2)
    router.bias.zero_()
    router.rebalance(torch.tensor([0.9, 0.5, 0.1, 0.5]), 0.01)
    assert router.bias.tolist() == pytest.approx([-0.01, 0.0, 0.01, 0.0])


def test_that_rebalancing_spreads_tokens_that_crowd_on_one_expert() -> None:
    torch.manual_seed(4)
    router = Router(6, 4, 1)
    hidden = torch.randn(400, 6) + 2 * router.affinity.weight[0].detach() / router.affinity.weight[0].norm()

    def load() -> Tensor:
        gates: Tensor = router(hidden)[0]
        return (gates > 0).float().mean(0)

    crowded = load().max()
    for _ in range(300):
        router.rebalance(load(), 0.005)
    assert crowded > 0.4
    assert load().max() < 0.3


@pytest.mark.parametrize("top_k", [0, -1, 6])
def test_that_a_top_k_beyond_the_experts_is_refused(top_k: int) -> None:
    with pytest.raises(ValueError, match=f"between 1 and 5 experts, not {top_k}"):
        Router(6, 5, top_k)


def test_that_gradients_reach_the_affinities_and_the_bias_takes_none() -> None:
    router = make_router(5)
    gates, _ = router(torch.randn(7, 6))
    (gates**2).sum().backward()
    assert router.affinity.weight.grad is not None
    assert router.affinity.weight.grad.abs().sum() > 0
    assert [name for name, _ in router.named_parameters()] == ["affinity.weight"]
