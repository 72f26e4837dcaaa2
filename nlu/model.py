"""The joint model of intents and slots: a BiLSTM-CRF over the features of the mixture-of-experts encoder."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torchcrf import CRF

from moe.encoder import EncoderConfig, MixtureEncoder
from moe.layers import FeatureDropout, mean_features
from nlu.pieces import ALPHABET, Batch, ContextWindow
from nlu.viterbi import best_paths


@dataclass(frozen=True)
class NluConfig:
    intents: tuple[str, ...]
    """Pack intents, and out_of_scope last."""
    slots: tuple[str, ...]
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    lstm_width: int = 192
    dropout: float = 0.2
    character_filters: int = 48
    """Width of the character features; 0 for none."""
    likeness: bool = True
    """Whether the direction of the encoder's mean features adds to an intent's score."""
    context: ContextWindow = field(default_factory=ContextWindow)

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


class Spelling(nn.Module):
    """A convolution over the characters of each piece's word (Ma and Hovy 2016)."""

    def __init__(self, filters: int, width: int = 24) -> None:
        super().__init__()
        self.letters = nn.Embedding(ALPHABET, width, padding_idx=0)
        self.convolution = nn.Conv1d(width, filters, kernel_size=3, padding=1)

    def forward(self, characters: Tensor) -> Tensor:
        """characters (batch, pieces, word) → (batch, pieces, filters)"""
        letters = self.letters(characters.flatten(0, 1))  # (batch * pieces, word, width)
        # As a matrix product: PyTorch's own convolution takes five times as long for one message.
        windows = F.pad(letters, (0, 0, 1, 1)).unfold(1, 3, 1).flatten(2)  # (batch * pieces, word, 3 * width)
        found = F.linear(windows, self.convolution.weight.flatten(1), self.convolution.bias).amax(1)
        spelt: Tensor = found.unflatten(0, characters.shape[:2])  # (batch, pieces, filters)
        return spelt


class Likeness(nn.Module):
    """Scores by the direction of a message's features: each intent has one of its own."""

    def __init__(self, width: int, intents: int) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(intents, width))
        self.bias = nn.Parameter(torch.zeros(intents))

    def forward(self, features: Tensor) -> Tensor:
        """features (batch, width) → (batch, intents)"""
        return F.linear(F.normalize(features, dim=-1), self.directions, self.bias)


class NluModel(nn.Module):
    """Encoder → BiLSTM → a CRF over BIO tags and a softmax over intents, trained together."""

    def __init__(self, config: NluConfig) -> None:
        super().__init__()
        self.config = config
        width = config.encoder.hidden_width
        self.encoder = MixtureEncoder(config.encoder)
        self.spelling = Spelling(config.character_filters) if config.character_filters else None
        self.lstm = nn.LSTM(
            width + config.character_filters, config.lstm_width, batch_first=True, bidirectional=True
        )
        self.dropout = nn.Dropout(config.dropout)
        self.feature_dropout = FeatureDropout(config.dropout)
        self.likeness = Likeness(width, len(config.intents)) if config.likeness else None
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
        message = self.feature_dropout(features[:, 1 : longest + 1])  # (batch, message pieces, width)
        mask = torch.arange(longest) < batch.lengths[:, None]  # (batch, message pieces)
        spelt = message
        if self.spelling is not None:
            spelt = torch.cat([message, self.spelling(batch.characters())], dim=-1)
        packed = pack_padded_sequence(spelt, batch.lengths, batch_first=True, enforce_sorted=False)
        read, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=longest)
        mean = mean_features(message, mask)  # (batch, width)
        peak = read.masked_fill(~mask[..., None], -torch.inf).amax(1)
        pooled = self.dropout(torch.cat([mean, peak], dim=-1))  # (batch, width + 2 * lstm_width)
        emissions = self.tag_head(self.feature_dropout(torch.cat([message, read], dim=-1)))
        intents = self.intent_head(pooled)  # (batch, intents)
        if self.likeness is not None:
            intents = intents + self.likeness(mean)
        return Scores(intents, self.several_head(pooled).squeeze(-1), emissions, mask)

    def embed(self, batch: Batch) -> Tensor:
        """(batch, width) mean of the encoder's features over the message."""
        longest = int(batch.lengths.max())
        features = self.encoder(batch.pieces, batch.segments, batch.mask)[:, 1 : longest + 1]
        return mean_features(features, torch.arange(longest) < batch.lengths[:, None])

    def slot_loss(self, scores: Scores, tags: Tensor) -> Tensor:
        """Negative log-likelihood of tags (batch, message pieces), a mean over the pieces."""
        loss: Tensor = -self.crf(scores.emissions, tags, mask=scores.mask, reduction="token_mean")
        return loss

    def decode(self, scores: Scores) -> list[list[int]]:
        """The most probable tag sequence of each message."""
        return best_paths(self.crf, scores.emissions, scores.mask)
