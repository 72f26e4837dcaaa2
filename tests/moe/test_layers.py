"""The transformer's blocks against slow, plain versions of themselves."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from moe.layers import EncoderBlock, MixtureFeedForward, SelfAttention

WIDTH = 8


@pytest.fixture
def mixture() -> MixtureFeedForward:
    torch.manual_seed(0)
    made = MixtureFeedForward(WIDTH, shared=6, experts=4, expert_width=3, top_k=2)
    made.router.bias.copy_(0.2 * torch.randn(4))
    return made


def expert_by_expert(mixture: MixtureFeedForward, token: Tensor) -> Tensor:
    """One token (width,) through the shared expert and each chosen one, apart from each other."""
    gates = mixture.router(token)[0]
    neurons = range(mixture.shared)
    total = mixture.down.bias + neurons_by_hand(mixture, token, neurons)
    for expert in range(mixture.experts):
        if gates[expert] > 0:
            start = mixture.shared + expert * mixture.expert_width
            neurons = range(start, start + mixture.expert_width)
            total = total + gates[expert] * neurons_by_hand(mixture, token, neurons)
    return total


def neurons_by_hand(mixture: MixtureFeedForward, token: Tensor, neurons: range) -> Tensor:
    total = torch.zeros(WIDTH)
    for n in neurons:
        activation = F.gelu(mixture.up.weight[n] @ token + mixture.up.bias[n])
        total = total + activation * mixture.down.weight[:, n]
    return total


def test_that_the_mixture_equals_its_experts_computed_one_by_one(mixture: MixtureFeedForward) -> None:
    hidden = torch.randn(3, 5, WIDTH)
    mixed = mixture(hidden, torch.ones(3, 5, dtype=torch.bool))
    for row in range(3):
        for place in range(5):
            torch.testing.assert_close(
                mixed[row, place], expert_by_expert(mixture, hidden[row, place]), atol=1e-5, rtol=1e-5
            )


def test_that_an_expert_that_is_not_chosen_takes_no_part(mixture: MixtureFeedForward) -> None:
    token = torch.randn(1, 1, WIDTH)
    mask = torch.ones(1, 1, dtype=torch.bool)
    before = mixture(token, mask)
    idle = int((mixture.router(token)[0][0, 0] == 0).nonzero()[0])
    start = mixture.shared + idle * mixture.expert_width
    with torch.no_grad():
        mixture.down.weight[:, start : start + mixture.expert_width] += 100
    torch.testing.assert_close(mixture(token, mask), before)


def test_that_load_counts_real_tokens_only(mixture: MixtureFeedForward) -> None:
    hidden = torch.randn(2, 6, WIDTH)
    mask = torch.tensor([[True] * 6, [True] * 2 + [False] * 4])
    mixture.train()(hidden, mask)
    assert mixture.routing is not None
    gates = mixture.router(hidden)[0]
    chosen = [0.0] * 4
    for row, place in mask.nonzero().tolist():
        for expert in range(4):
            chosen[expert] += float(gates[row, place, expert] > 0) / 8
    assert mixture.routing.load.tolist() == pytest.approx(chosen)
    assert float(mixture.routing.load.sum()) == pytest.approx(2.0)


def test_that_nothing_is_measured_outside_of_training(mixture: MixtureFeedForward) -> None:
    mixture.eval()(torch.randn(1, 2, WIDTH), torch.ones(1, 2, dtype=torch.bool))
    assert mixture.routing is None


def attention_by_hand(attention: SelfAttention, hidden: Tensor) -> Tensor:
    """One sequence (seq, width) without padding, head by head and query by query."""
    query, key, value = attention.query_key_value(hidden).split(WIDTH, dim=-1)
    size = WIDTH // attention.heads
    rows = []
    for place in range(len(hidden)):
        heads = []
        for head in range(attention.heads):
            part = slice(head * size, (head + 1) * size)
            scores = [
                (query[place, part] @ key[k, part]).item() / math.sqrt(size) for k in range(len(hidden))
            ]
            shares = torch.tensor(scores).softmax(-1)
            heads.append(sum((s * value[k, part] for k, s in enumerate(shares)), torch.zeros(size)))
        rows.append(attention.output(torch.cat(heads)))
    return torch.stack(rows)


def test_that_attention_equals_the_loops_and_ignores_padded_positions() -> None:
    torch.manual_seed(1)
    attention = SelfAttention(WIDTH, heads=2)
    hidden = torch.randn(2, 7, WIDTH)
    mask = torch.tensor([[True] * 7, [True] * 4 + [False] * 3])
    attended = attention(hidden, mask)
    torch.testing.assert_close(attended[0], attention_by_hand(attention, hidden[0]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        attended[1, :4], attention_by_hand(attention, hidden[1, :4]), atol=1e-5, rtol=1e-5
    )


def test_that_what_stands_in_padded_positions_changes_no_real_token() -> None:
    torch.manual_seed(2)
    block = EncoderBlock(WIDTH, 2, shared=4, experts=2, expert_width=2, top_k=1, dropout=0.1).eval()
    hidden = torch.randn(1, 5, WIDTH)
    mask = torch.tensor([[True, True, True, False, False]])
    other = hidden.clone()
    other[0, 3:] = 50 * torch.randn(2, WIDTH)
    torch.testing.assert_close(block(hidden, mask)[0, :3], block(other, mask)[0, :3])
    visible = torch.ones(1, 5, dtype=torch.bool)
    assert not torch.allclose(block(hidden, visible)[0, :3], block(other, visible)[0, :3])


def test_that_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="hidden_width 8 does not divide by 3 heads"):
        SelfAttention(WIDTH, 3)
