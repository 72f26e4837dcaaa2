"""The mixture-of-experts text generator: a Llama-style decoder whose feed-forward blocks are mixtures.

This is the form for training. Service runs the same weights through moe/decoding.py.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe.layers import Routing, measure_routing
from moe.router import Router


@dataclass(frozen=True)
class GeneratorConfig:
    """Defaults: SmolLM2-135M's widths, its 1,536 neurons a block in a shared expert and 16 routed ones."""

    vocabulary: int
    hidden_width: int = 576
    layers: int = 18
    heads: int = 9
    key_value_heads: int = 3
    shared: int = 512
    experts: int = 16
    expert_width: int = 64
    top_k: int = 6
    positions: int = 1024
    rope_base: float = 100_000.0
    norm_epsilon: float = 1e-5

    @property
    def dense_twin(self) -> "GeneratorConfig":
        """The same sizes without a choice: all routed neurons in one expert, whose gate is 1."""
        return replace(self, experts=1, expert_width=self.experts * self.expert_width, top_k=1)

    @property
    def neurons(self) -> int:
        return self.shared + self.experts * self.expert_width

    @property
    def active_share(self) -> float:
        """Share of a block's neurons that one token uses."""
        return (self.shared + self.top_k * self.expert_width) / self.neurons

    @property
    def head_width(self) -> int:
        return self.hidden_width // self.heads


class GatedMixture(nn.Module):
    """A SwiGLU block of one shared expert and fine-grained routed ones (DeepSeekMoE, arXiv:2401.06066).

    As in moe/layers.py all neurons are computed and the routed ones scaled by their expert's gate, which
    is exact and, for the many tokens of a training batch, simplest.
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.shared, self.experts, self.expert_width = config.shared, config.experts, config.expert_width
        self.router = Router(config.hidden_width, config.experts, config.top_k)
        self.gate = nn.Linear(config.hidden_width, config.neurons, bias=False)
        self.up = nn.Linear(config.hidden_width, config.neurons, bias=False)
        self.down = nn.Linear(config.neurons, config.hidden_width, bias=False)
        self.routing: Routing | None = None

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden (batch, seq, width), mask (batch, seq) true for real tokens → (batch, seq, width)"""
        neurons = self.activate(hidden)  # (batch, seq, neurons)
        if self.experts > 1:
            gates, scores = self.router(hidden)  # (batch, seq, experts)
            if self.training:
                self.routing = measure_routing(gates, scores, mask, self.router.top_k)
            common, routed = neurons.split([self.shared, self.experts * self.expert_width], dim=-1)
            scale = gates.to(routed.dtype).unsqueeze(-1)
            routed = routed.unflatten(-1, (self.experts, self.expert_width)) * scale
            neurons = torch.cat([common, routed.flatten(-2)], dim=-1)
        mixed: Tensor = self.down(neurons)
        return mixed

    def activate(self, hidden: Tensor) -> Tensor:
        """hidden (…, width) → every neuron's output (…, neurons), before any choice"""
        neurons: Tensor = F.silu(self.gate(hidden)) * self.up(hidden)
        return neurons


class CausalAttention(nn.Module):
    """Grouped-query attention with rotary positions, written out: the fused kernel's backward pass took a
    fifth of a training step on a CPU."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.heads, self.groups, self.head_width = config.heads, config.key_value_heads, config.head_width
        wide = (config.heads + 2 * config.key_value_heads) * config.head_width
        self.query_key_value = nn.Linear(config.hidden_width, wide, bias=False)
        self.output = nn.Linear(config.hidden_width, config.hidden_width, bias=False)

    def forward(self, hidden: Tensor, angles: tuple[Tensor, Tensor], blocked: Tensor) -> Tensor:
        """hidden (batch, seq, width), blocked (seq, seq) true where a position may not look."""
        batch, length, _ = hidden.shape
        parts = self.query_key_value(hidden).unflatten(-1, (-1, self.head_width)).transpose(1, 2)
        query, key, value = parts.split([self.heads, self.groups, self.groups], dim=1)
        query, key = rotate(query, angles), rotate(key, angles)
        query = query.unflatten(1, (self.groups, -1))  # (batch, groups, heads / groups, seq, head)
        scores = query @ key.unsqueeze(2).transpose(-1, -2) * self.head_width**-0.5
        shares = scores.masked_fill(blocked, -torch.inf).softmax(-1).to(value.dtype)
        mixed = (shares @ value.unsqueeze(2)).flatten(1, 2)  # (batch, heads, seq, head)
        attended: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, length, -1))
        return attended


def rope_angles(config: GeneratorConfig, length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary positions, each (seq, head width); halves alike, as Llama has them."""
    steps = torch.arange(0, config.head_width, 2) / config.head_width
    turns = torch.outer(torch.arange(length), config.rope_base**-steps)  # (seq, head / 2)
    both = torch.cat([turns, turns], dim=-1)
    return both.cos(), both.sin()


def rotate(heads: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """heads (…, seq, head width), turned by their positions"""
    cosine, sine = (angle.to(heads.dtype) for angle in angles)
    first, second = heads.chunk(2, dim=-1)
    return heads * cosine + torch.cat([-second, first], dim=-1) * sine


class GeneratorBlock(nn.Module):
    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.hidden_width, eps=config.norm_epsilon)
        self.attention = CausalAttention(config)
        self.mixture_norm = nn.RMSNorm(config.hidden_width, eps=config.norm_epsilon)
        self.mixture = GatedMixture(config)

    def forward(self, hidden: Tensor, mask: Tensor, angles: tuple[Tensor, Tensor], blocked: Tensor) -> Tensor:
        hidden = hidden + self.attention(self.attention_norm(hidden), angles, blocked)
        mixed: Tensor = hidden + self.mixture(self.mixture_norm(hidden), mask)
        return mixed


class MixtureGenerator(nn.Module):
    """Predicts the next token; input and output share their embedding."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocabulary, config.hidden_width)
        self.blocks = nn.ModuleList(GeneratorBlock(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.hidden_width, eps=config.norm_epsilon)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """tokens (batch, seq), mask (batch, seq) true for real ones, padding last → (batch, seq, width)"""
        length = tokens.shape[1]
        mask = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
        angles = rope_angles(self.config, length)
        blocked = torch.ones(length, length, dtype=torch.bool).triu(1)
        hidden = self.words(tokens)  # (batch, seq, width)
        for block in self.blocks:
            hidden = block(hidden, mask, angles, blocked)
        normed: Tensor = self.norm(hidden)
        return normed

    def logits(self, states: Tensor) -> Tensor:
        """states (…, width) → (…, vocabulary)"""
        return F.linear(states, self.words.weight)

    def mixtures(self) -> list[GatedMixture]:
        """The mixture of each block, first block first."""
        return [module for module in self.modules() if isinstance(module, GatedMixture)]

    def balance_loss(self) -> Tensor:
        """Mean over the blocks of the last batch; 1 when experts are evenly used."""
        losses = [m.routing.balance_loss for m in self.mixtures() if m.routing is not None]
        return torch.stack(losses).mean() if losses else torch.ones(())

    def rebalance(self, rate: float) -> None:
        """Move the routers' biases against the load of the last batch (arXiv:2408.15664)."""
        for mixture in self.mixtures():
            if mixture.routing is not None:
                mixture.router.rebalance(mixture.routing.load, rate)
