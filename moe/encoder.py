"""The mixture-of-experts text encoder."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from moe.layers import EncoderBlock, FeatureDropout, MixtureFeedForward


@dataclass(frozen=True)
class EncoderConfig:
    """Defaults: MiniLM-L6's 1,536 neurons a block in a shared expert and 16 routed ones, of which six act."""

    vocabulary: int = 30522
    positions: int = 512
    hidden_width: int = 384
    layers: int = 6
    heads: int = 12
    shared: int = 512
    experts: int = 16
    expert_width: int = 64
    top_k: int = 6
    dropout: float = 0.1

    @property
    def dense_twin(self) -> "EncoderConfig":
        """The same sizes without a choice: all routed neurons in one expert, whose gate is 1."""
        return replace(self, experts=1, expert_width=self.experts * self.expert_width, top_k=1)

    @property
    def active_share(self) -> float:
        """Share of a block's neurons that one token uses."""
        routed = self.experts * self.expert_width
        return (self.shared + self.top_k * self.expert_width) / (self.shared + routed)


class MixtureEncoder(nn.Module):
    """A BERT-style encoder whose feed-forward blocks are mixtures of experts."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocabulary, config.hidden_width)
        self.positions = nn.Embedding(config.positions, config.hidden_width)
        self.segments = nn.Embedding(2, config.hidden_width)
        self.norm = nn.LayerNorm(config.hidden_width, eps=1e-12)
        self.dropout = FeatureDropout(config.dropout)
        self.blocks = nn.ModuleList(
            EncoderBlock(
                hidden_width=config.hidden_width,
                heads=config.heads,
                shared=config.shared,
                experts=config.experts,
                expert_width=config.expert_width,
                top_k=config.top_k,
                dropout=config.dropout,
            )
            for _ in range(config.layers)
        )

    def forward(self, pieces: Tensor, segments: Tensor, mask: Tensor) -> Tensor:
        """Word pieces, segment ids, mask, each (batch, seq) → features (batch, seq, width)."""
        return self.trace(pieces, segments, mask)[-1]

    def trace(self, pieces: Tensor, segments: Tensor, mask: Tensor) -> list[Tensor]:
        """The output of every block, each (batch, seq, width)."""
        places = torch.arange(pieces.shape[1], device=pieces.device)
        hidden = self.words(pieces) + self.positions(places) + self.segments(segments)
        hidden = self.dropout(self.norm(hidden))
        outputs = []
        for block in self.blocks:
            hidden = block(hidden, mask)
            outputs.append(hidden)
        return outputs

    def mixtures(self) -> list[MixtureFeedForward]:
        """The mixture of each block, bottom first."""
        return [module for module in self.modules() if isinstance(module, MixtureFeedForward)]

    def balance_loss(self) -> Tensor:
        """Mean over the blocks of the last training batch's balance loss."""
        losses = [mixture.routing.balance_loss for mixture in self.mixtures() if mixture.routing]
        return torch.stack(losses).mean()

    def rebalance(self, rate: float) -> None:
        """Move every router's bias against the last training batch's load."""
        for mixture in self.mixtures():
            if mixture.routing:
                mixture.router.rebalance(mixture.routing.load, rate)
