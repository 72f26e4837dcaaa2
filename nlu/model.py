"""The joint model of intents and slots: a BiLSTM-CRF over the features of the mixture-of-experts encoder."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torchcrf import CRF

from moe.encoder import EncoderConfig, MixtureEncoder
from nlu.pieces import Batch
from nlu.viterbi import best_paths


@dataclass(frozen=True)
class NluConfig:
    intents: tuple[str, ...]
    """Pack intents, and out_of_scope last."""
    slots: tuple[str, ...]
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    lstm_width: int = 192
    dropout: float = 0.2

    @property
    def tags(self) -> tuple[str, ...]:
        return ("O", *(f"{prefix}-{slot}" for slot in self.slots for prefix in ("B", "I")))


@dataclass(frozen=True)
class Scores:
    intents: Tensor
    """(batch, intents) logits of the one main intent."""
    several: Tensor
    """(batch,) logit of the message carrying a second wish."""
    emissions: Tensor
    """(batch, message pieces, tags)"""
    mask: Tensor
    """(batch, message pieces)"""


class NluModel(nn.Module):
    """Encoder → BiLSTM → a CRF over BIO tags and a softmax over intents, trained together."""

    def __init__(self, config: NluConfig) -> None:
        super().__init__()
        self.config = config
        width = config.encoder.hidden_width
        self.encoder = MixtureEncoder(config.encoder)
        self.lstm = nn.LSTM(width, config.lstm_width, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(config.dropout)
        self.intent_head = nn.Linear(width + 2 * config.lstm_width, len(config.intents))
        self.several_head = nn.Linear(width + 2 * config.lstm_width, 1)
        self.tag_head = nn.Linear(width + 2 * config.lstm_width, len(config.tags))
        self.crf = CRF(len(config.tags), batch_first=True)

    def forward(self, batch: Batch) -> Scores:
        features = self.encoder(batch.pieces, batch.segments, batch.mask)
        with torch.autocast("cpu", enabled=False):  # the LSTM's shapes differ from batch to batch
            return self._read(features.float(), batch)

    def _read(self, features: Tensor, batch: Batch) -> Scores:
        longest = int(batch.lengths.max())
        message = self.dropout(features[:, 1 : longest + 1])  # (batch, message pieces, width)
        mask = torch.arange(longest) < batch.lengths[:, None]  # (batch, message pieces)
        packed = pack_padded_sequence(message, batch.lengths, batch_first=True, enforce_sorted=False)
        read, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=longest)
        mean = (message * mask[..., None]).sum(1) / batch.lengths[:, None]
        peak = read.masked_fill(~mask[..., None], -torch.inf).amax(1)
        pooled = self.dropout(torch.cat([mean, peak], dim=-1))  # (batch, width + 2 * lstm_width)
        emissions = self.tag_head(self.dropout(torch.cat([message, read], dim=-1)))
        return Scores(self.intent_head(pooled), self.several_head(pooled).squeeze(-1), emissions, mask)

    def slot_loss(self, scores: Scores, tags: Tensor) -> Tensor:
        """Negative log-likelihood of tags (batch, message pieces), a mean over the pieces."""
        loss: Tensor = -self.crf(scores.emissions, tags, mask=scores.mask, reduction="token_mean")
        return loss

    def decode(self, scores: Scores) -> list[list[int]]:
        """The most probable tag sequence of each message."""
        return best_paths(self.crf, scores.emissions, scores.mask)
