"""Messages as batches of word pieces that know their characters."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

MESSAGE_PIECES = 126
WORD_CHARACTERS = 16
"""Characters that the model sees of the word a piece belongs to, in the customer's own spelling."""
ALPHABET = 98
"""None, the 95 of printable ASCII, where the piece itself begins, all others."""


@dataclass(frozen=True)
class ContextWindow:
    """How much of what was said before a model looks at."""

    messages: int = 4
    pieces: int = 48
    past: bool = True
    """Whether a line on what was wanted and given before is one of the messages."""


@dataclass(frozen=True)
class Batch:
    """[CLS] message [SEP] context [SEP], padded on the right."""

    pieces: Tensor
    """(batch, seq)"""
    segments: Tensor
    """(batch, seq) 0 for the message, 1 for its context."""
    mask: Tensor
    """(batch, seq) true for real pieces."""
    lengths: Tensor
    """(batch,) message pieces, at least 1; they stand at 1 … length."""
    texts: tuple[str, ...]
    """The messages as they were typed."""
    offsets: tuple[tuple[tuple[int, int], ...], ...]
    """Character span of each message piece in the customer's own text."""

    def characters(self) -> Tensor:
        """(batch, message pieces, WORD_CHARACTERS) numbers of the characters around each piece, 0 for none.

        Case and digits are in them, which the pieces lose. Made when asked for: not every model looks.
        """
        longest = max(len(spans) for spans in self.offsets)
        nothing = [0] * WORD_CHARACTERS
        rows = []
        for text, spans in zip(self.texts, self.offsets, strict=True):
            row = [_characters(text, start) for start, _ in spans]
            rows.append(row + [nothing] * (longest - len(row)))
        return torch.tensor(rows)


class PieceSplitter:
    """The encoder's tokeniser, read from a tokenizer.json."""

    def __init__(self, path: Path, context: ContextWindow | None = None) -> None:
        """Raises FileNotFoundError, or ValueError for a file that is no tokeniser."""
        self.context = context or ContextWindow()
        if not path.exists():
            raise FileNotFoundError(f"{path}: tokeniser file is missing")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise ValueError(f"{path}: no valid tokeniser ({error})") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        ids = self._tokenizer.get_vocab()
        self.words = frozenset(piece for piece in ids if piece.isalpha())
        """Words that are one piece."""
        try:
            self.cls, self.sep, self.unknown = ids["[CLS]"], ids["[SEP]"], ids["[UNK]"]
        except KeyError as error:
            raise ValueError(f"{path}: the tokeniser lacks the token {error}") from error

    def __call__(self, texts: Sequence[str], contexts: Sequence[Sequence[str]], multiple: int = 1) -> Batch:
        """The batch, padded to a `multiple`: training in bfloat16 compiles a kernel for every new shape."""
        rows: list[tuple[list[int], list[int]]] = []
        offsets: list[tuple[tuple[int, int], ...]] = []
        messages = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        for message, context in zip(messages, contexts, strict=True):
            ids = list(message.ids[:MESSAGE_PIECES]) or [self.unknown]
            offsets.append(tuple(message.offsets[:MESSAGE_PIECES]) or ((0, 0),))
            earlier = self._context(context)
            first = [self.cls, *ids, self.sep]
            rows.append((first + earlier, [0] * len(first) + [1] * len(earlier)))
        longest = -(-max(len(ids) for ids, _ in rows) // multiple) * multiple
        return Batch(
            pieces=torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows]),
            segments=torch.tensor([segment + [0] * (longest - len(segment)) for _, segment in rows]),
            mask=torch.tensor([[i < len(ids) for i in range(longest)] for ids, _ in rows]),
            lengths=torch.tensor([len(spans) for spans in offsets]),
            texts=tuple(texts),
            offsets=tuple(offsets),
        )

    def _context(self, messages: Sequence[str]) -> list[int]:
        ids: list[int] = []
        for message in messages[: self.context.messages]:
            ids += [*self._tokenizer.encode(message, add_special_tokens=False).ids, self.sep]
        return ids[: self.context.pieces]


def _characters(text: str, start: int) -> list[int]:
    """The word that the piece at `start` belongs to, with a mark where the piece begins."""
    first = max(text.rfind(" ", 0, start) + 1, start - WORD_CHARACTERS // 2)
    word = text[first : first + WORD_CHARACTERS - 1].partition(" ")[0]
    numbers = [ord(c) - 31 if 32 <= ord(c) < 127 else ALPHABET - 1 for c in word]
    numbers.insert(start - first, ALPHABET - 2)
    return numbers + [0] * (WORD_CHARACTERS - len(numbers))
