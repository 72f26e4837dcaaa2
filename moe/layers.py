"""The blocks of the mixture-of-experts transformer. They take plain values; only the models read a config."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe.router import Router

Inputs = tuple[Tensor, Tensor, Tensor]
"""Word pieces, segments, mask, each (batch, seq)."""


@dataclass
class Routing:
    """What one block's router did with one batch."""

    load: Tensor
    """(experts,) share of tokens that chose each expert; adds up to top_k."""
    balance_loss: Tensor
    """Scalar; 1 when load and affinity are even, larger when both crowd on the same experts."""


class MixtureFeedForward(nn.Module):
    """A feed-forward block of one shared expert and fine-grained routed ones (DeepSeekMoE, arXiv:2401.06066).

    The experts' neurons stand side by side in two matrices, shared ones first. All are computed and the
    routed ones scaled by their expert's gate: with a few tokens of a short message this is faster on a
    CPU than gathering tokens expert by expert, and exactly equal to it.
    """

    def __init__(self, hidden_width: int, shared: int, experts: int, expert_width: int, top_k: int) -> None:
        super().__init__()
        self.shared, self.experts, self.expert_width = shared, experts, expert_width
        self.router = Router(hidden_width, experts, top_k)
        self.up = nn.Linear(hidden_width, shared + experts * expert_width)
        self.down = nn.Linear(shared + experts * expert_width, hidden_width)
        self.routing: Routing | None = None

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden (batch, seq, width), mask (batch, seq) true for real tokens → (batch, seq, width)."""
        gates, scores = self.router(hidden)  # (batch, seq, experts)
        if self.training:
            self.routing = measure_routing(gates, scores, mask, self.router.top_k)
        neurons = F.gelu(self.up(hidden))  # (batch, seq, shared + experts * expert_width)
        common, routed = neurons.split([self.shared, self.experts * self.expert_width], dim=-1)
        routed = routed.unflatten(-1, (self.experts, self.expert_width)) * gates.to(routed.dtype).unsqueeze(
            -1
        )
        mixed: Tensor = self.down(torch.cat([common, routed.flatten(-2)], dim=-1))
        return mixed


def measure_routing(gates: Tensor, scores: Tensor, mask: Tensor, top_k: int) -> Routing:
    """gates and scores (batch, seq, experts), mask (batch, seq) true for real tokens."""
    real = mask.unsqueeze(-1)
    count = real.sum().clamp_min(1)
    load = ((gates > 0) & real).sum((0, 1)) / count  # (experts,)
    shares = scores / scores.sum(-1, keepdim=True).clamp_min(1e-9)
    importance = (shares * real).sum((0, 1)) / count  # (experts,)
    return Routing(load.detach(), (load / top_k * importance).sum() * gates.shape[-1])


class FeatureDropout(nn.Module):
    """Dropout of whole features of a sequence (Gal and Ghahramani 2016).

    One mask for all positions: drawing one for each took an eighth of a training step on a CPU.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, hidden: Tensor) -> Tensor:
        """hidden (batch, seq, width)"""
        if not self.training or self.share == 0:
            return hidden
        kept = torch.rand(hidden.shape[0], 1, hidden.shape[2]) >= self.share  # (batch, 1, width)
        return hidden * (kept / (1 - self.share)).to(hidden.dtype)


def mean_features(features: Tensor, mask: Tensor) -> Tensor:
    """features (batch, seq, width), mask (batch, seq) → (batch, width)"""
    real = mask.unsqueeze(-1)
    mean: Tensor = (features.float() * real).sum(1) / real.sum(1)
    return mean


class SelfAttention(nn.Module):
    """Multi-head attention over the whole sequence.

    Without dropout of its own, and written out: on a CPU, drawing the masks took a fifth of a training
    step, and the fused kernel's bfloat16 backward pass a third.
    """

    def __init__(self, hidden_width: int, heads: int) -> None:
        super().__init__()
        if hidden_width % heads:
            raise ValueError(f"hidden_width {hidden_width} does not divide by {heads} heads")
        self.heads = heads
        self.query_key_value = nn.Linear(hidden_width, 3 * hidden_width)
        self.output = nn.Linear(hidden_width, hidden_width)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden (batch, seq, width), mask (batch, seq) → (batch, seq, width)."""
        query, key, value = self._parts(hidden)
        mixed = _shares(query, key, mask).to(value.dtype) @ value  # (batch, heads, seq, width / heads)
        attended: Tensor = self.output(mixed.transpose(1, 2).flatten(-2))
        return attended

    def shares(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """How much each place looks at each: (batch, heads, seq, seq), whose rows add up to 1."""
        query, key, _ = self._parts(hidden)
        return _shares(query, key, mask)

    def _parts(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """hidden (batch, seq, width) → query, key, value, each (batch, heads, seq, width / heads)"""
        parts = self.query_key_value(hidden).unflatten(-1, (3, self.heads, -1))
        return tuple(parts.permute(2, 0, 3, 1, 4))


def _shares(query: Tensor, key: Tensor, mask: Tensor) -> Tensor:
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5  # (batch, heads, seq, seq)
    shares: Tensor = scores.masked_fill(~mask[:, None, None, :], -torch.inf).softmax(-1)
    return shares


class EncoderBlock(nn.Module):
    """Attention and mixture, each followed by residual and layer norm, as in BERT."""

    def __init__(
        self,
        hidden_width: int,
        heads: int,
        shared: int,
        experts: int,
        expert_width: int,
        top_k: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention = SelfAttention(hidden_width, heads)
        self.attention_norm = nn.LayerNorm(hidden_width, eps=1e-12)
        self.mixture = MixtureFeedForward(hidden_width, shared, experts, expert_width, top_k)
        self.mixture_norm = nn.LayerNorm(hidden_width, eps=1e-12)
        self.dropout = FeatureDropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        hidden = self.attention_norm(hidden + self.dropout(self.attention(hidden, mask)))
        normed: Tensor = self.mixture_norm(hidden + self.dropout(self.mixture(hidden, mask)))
        return normed
