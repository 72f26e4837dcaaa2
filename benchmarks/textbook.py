"""The textbook model of intents and slots: a BiLSTM-CRF over word embeddings learnt from nothing."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torchcrf import CRF

PADDING, UNKNOWN = 0, 1


@dataclass(frozen=True)
class TextbookConfig:
    embedding: int = 128
    width: int = 128
    """Of the LSTM, each way."""
    dropout: float = 0.3
    word_dropout: float = 0.03
    rate: float = 2e-3
    batch_size: int = 64
    steps: int = 2000
    seed: int = 0


class BiLstmCrf(nn.Module):
    def __init__(self, words: int, intents: int, tags: int, config: TextbookConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, config.embedding, padding_idx=PADDING)
        self.lstm = nn.LSTM(config.embedding, config.width, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(config.dropout)
        self.intent_head = nn.Linear(2 * config.width, intents)
        self.tag_head = nn.Linear(2 * config.width, tags)
        self.crf = CRF(tags, batch_first=True)

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """words (batch, seq) → logits (batch, intents), emissions (batch, seq, tags), mask (batch, seq)."""
        mask = words != PADDING
        lengths = mask.sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.dropout(self.embedding(words)), lengths, batch_first=True, enforce_sorted=False
        )
        read, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        read = self.dropout(read)
        peak = read.masked_fill(~mask[..., None], -torch.inf).amax(1)
        return self.intent_head(peak), self.tag_head(read), mask


class Textbook:
    """A BiLstmCrf with its vocabulary; sentences are lists of words."""

    def __init__(self, config: TextbookConfig) -> None:
        self.config = config

    def fit(
        self, sentences: Sequence[Sequence[str]], intents: Sequence[str], tags: Sequence[Sequence[str]]
    ) -> None:
        config = self.config
        torch.manual_seed(config.seed)
        rng = random.Random(config.seed)
        counts = Counter(_fold(word) for words in sentences for word in words)
        self.vocabulary = {word: number for number, word in enumerate(counts, 2)}
        self.intents = sorted(set(intents))
        self.tags = ["O", *sorted({tag for row in tags for tag in row} - {"O"})]
        self.model = BiLstmCrf(len(self.vocabulary) + 2, len(self.intents), len(self.tags), config)
        optimiser = torch.optim.Adam(self.model.parameters(), lr=config.rate)
        rows = [
            (self._numbers(words), self.intents.index(intent), [self.tags.index(tag) for tag in row])
            for words, intent, row in zip(sentences, intents, tags, strict=True)
        ]
        self.model.train()
        rng.shuffle(rows)
        rows.sort(
            key=lambda row: len(row[0])
        )  # batches of one length: the CRF walks every place of the longest
        batches = [rows[i : i + config.batch_size] for i in range(0, len(rows), config.batch_size)]
        for _ in range(config.steps):
            words, gold, places = zip(*rng.choice(batches), strict=True)
            numbers = pad_sequence([torch.tensor(w) for w in words], batch_first=True)
            lost = (torch.rand(numbers.shape) < config.word_dropout) & (numbers != PADDING)
            logits, emissions, mask = self.model(numbers.masked_fill(lost, UNKNOWN))
            path = pad_sequence([torch.tensor(p) for p in places], batch_first=True)
            loss = F.cross_entropy(logits, torch.tensor(gold))
            loss = loss - self.model.crf(emissions, path, mask=mask, reduction="token_mean")
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
            optimiser.step()
        self.model.eval()

    @torch.inference_mode()
    def predict(self, sentences: Sequence[Sequence[str]]) -> tuple[Tensor, list[list[str]]]:
        """Intent probabilities (sentences, intents), and the tags of each sentence."""
        rows = [torch.tensor(self._numbers(words)) for words in sentences]
        logits, emissions, mask = self.model(pad_sequence(rows, batch_first=True))
        paths = self.model.crf.decode(emissions, mask=mask)
        return logits.softmax(-1), [[self.tags[tag] for tag in path] for path in paths]

    def _numbers(self, words: Sequence[str]) -> list[int]:
        return [self.vocabulary.get(_fold(word), UNKNOWN) for word in words]


def _fold(word: str) -> str:
    """Lower case, every digit a 0."""
    return "".join("0" if c.isdigit() else c for c in word.lower())
