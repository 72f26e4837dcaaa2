"""Why the NLU heard an intent in a message: which words counted, and where the encoder looked.

Gradients need the model as PyTorch computes it; the engine that serves has none.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe.layers import SelfAttention
from moe.router import Router
from nlu.model import Scores
from nlu.parser import Parser
from nlu.past import NO_PAST, Past
from nlu.pieces import Batch

STEPS = 64
"""Points on the way from unknown words to the message."""
PIECES_AT_ONCE = 2048
WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Explanation:
    """Arrays have a column for each word."""

    intent: str
    """The likeliest, which is explained."""
    probability: float
    unknown: float
    """Its probability where all words are unknown ones; `words` and `before` make up the difference."""
    spans: tuple[tuple[int, int], ...]
    """Where the words stand in the message."""
    words: NDArray[np.float32]
    """(words,) What each adds to the probability; what counts against it is negative."""
    before: float
    """What the messages before add."""
    attention: NDArray[np.float32]
    """(blocks, words) Share of what the message's pieces look at; the rest goes to what stands around it."""
    experts: NDArray[np.float32]
    """(blocks, experts, words) Mean gate, 0 where an expert is not chosen."""

    @property
    def gap(self) -> float:
        """What is in no part, as the steps are finite."""
        return float(self.probability - self.unknown - self.before - self.words.sum())


def explain(
    parser: Parser,
    text: str,
    context: Sequence[str] = (),
    asked: str | None = None,
    past: Past = NO_PAST,
    steps: int = STEPS,
) -> Explanation:
    """Integrated gradients (Sundararajan et al. 2017) of the likeliest intent's probability.

    The routers keep the experts that they choose for the message: where they change there is no gradient.
    `parser` is one that was loaded in full precision.
    """
    batch = parser.splitter([text], [parser.before(context, asked, past)])
    spans = tuple(match.span() for match in WORD.finditer(text)) or ((0, len(text)),)
    owner = _owners(batch, spans)
    with torch.no_grad():
        probabilities = _probabilities(parser, batch)[0]  # (intents,)
    target = int(probabilities.argmax())
    inner = slice(1, 1 + int(batch.lengths[0]))
    attention, gates = _trace(parser, batch)
    with _routed(parser, gates):
        unknown, pieces = _integrate(parser, batch, target, steps)
    looks = torch.stack([shares[:, inner, inner].mean((0, 1)) for shares in attention])
    experts = torch.stack([gate[inner].T for gate in gates])  # (blocks, experts, message pieces)
    return Explanation(
        intent=parser.model.config.intents[target],
        probability=float(probabilities[target]),
        unknown=unknown,
        spans=spans,
        words=_by_word(pieces[inner], owner, len(spans)).numpy(),
        before=float(pieces[inner.stop :].sum()),
        attention=_by_word(looks, owner, len(spans)).numpy(),
        experts=(
            _by_word(experts, owner, len(spans))
            / _by_word(torch.ones(len(owner)), owner, len(spans)).clamp_min(1)
        ).numpy(),
    )


def _probabilities(parser: Parser, batch: Batch) -> Tensor:
    """(batch, intents)"""
    scores: Scores = parser.model(batch)
    return (scores.intents / parser.calibration.temperature).softmax(-1)


def _owners(batch: Batch, spans: Sequence[tuple[int, int]]) -> list[int]:
    """Of each message piece the number of its word."""
    ends = [end for _, end in spans]
    return [
        min(int(np.searchsorted(ends, start, side="right")), len(spans) - 1) for start, _ in batch.offsets[0]
    ]


def _by_word(values: Tensor, owner: Sequence[int], words: int) -> Tensor:
    """values (..., message pieces) → sums (..., words)"""
    sums = torch.zeros(*values.shape[:-1], words)
    return sums.index_add(-1, torch.tensor(owner), values)


def _integrate(parser: Parser, batch: Batch, target: int, steps: int) -> tuple[float, Tensor]:
    """The intent's probability with unknown words only, and what each piece (seq,) adds to it.

    Both what a piece is and how its word is spelt go the straight way from nothing to what they are.
    """
    model, splitter = parser.model, parser.splitter
    marks = (batch.pieces == splitter.cls) | (batch.pieces == splitter.sep)
    with torch.no_grad():
        words = model.encoder.words(batch.pieces)  # (1, seq, width)
        nothing = model.encoder.words(batch.pieces.masked_fill(~marks, splitter.unknown))
        letters = model.spelling.letters(batch.characters()[0]) if model.spelling else None
    seq = batch.pieces.shape[1]
    total = torch.zeros(seq)
    way = (torch.arange(steps) + 0.5) / steps  # the middle of each step
    for part in way.split(max(1, PIECES_AT_ONCE // seq)):
        share = part[:, None, None]
        point = (nothing + share * (words - nothing)).requires_grad_()  # (part, seq, width)
        spelt = None if letters is None else (share[..., None] * letters).requires_grad_()
        # (part, message pieces, characters, width)
        probability = _at(parser, _repeat(batch, len(part)), target, point, spelt)
        inputs = [point] if spelt is None else [point, spelt]
        gradients = torch.autograd.grad(probability.sum(), inputs)
        total += (gradients[0] * (words - nothing)).sum((0, 2)) / steps
        if letters is not None:
            total[1 : 1 + len(letters)] += (gradients[1] * letters).sum((0, 2, 3)) / steps
    with torch.no_grad():
        blank = None if letters is None else torch.zeros_like(letters)[None]
        unknown = float(_at(parser, batch, target, nothing, blank))
    return unknown, total


def _at(parser: Parser, batch: Batch, target: int, words: Tensor, letters: Tensor | None) -> Tensor:
    """(batch,) The intent's probability where pieces and their characters are embedded as given."""
    model = parser.model
    with ExitStack() as hooks:
        hooks.enter_context(model.encoder.words.register_forward_hook(lambda *_: words))
        if model.spelling is not None and letters is not None:
            flat = letters.flatten(0, 1)  # (batch * message pieces, characters, width)
            hooks.enter_context(model.spelling.letters.register_forward_hook(lambda *_: flat))
        return _probabilities(parser, batch)[:, target]


def _repeat(batch: Batch, times: int) -> Batch:
    return Batch(
        pieces=batch.pieces.expand(times, -1),
        segments=batch.segments.expand(times, -1),
        mask=batch.mask.expand(times, -1),
        lengths=batch.lengths.expand(times),
        texts=batch.texts * times,
        offsets=batch.offsets * times,
    )


@torch.no_grad()
def _trace(parser: Parser, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
    """Of each block the attention (heads, seq, seq) and the gates (seq, experts)."""
    attention: list[Tensor] = []
    gates: list[Tensor] = []

    def look(module: SelfAttention, inputs: tuple[Tensor, Tensor]) -> None:
        attention.append(module.shares(*inputs)[0])

    def route(_: object, inputs: object, outputs: tuple[Tensor, Tensor]) -> None:
        gates.append(outputs[0][0])

    with ExitStack() as hooks:
        for module in parser.model.encoder.modules():
            if isinstance(module, SelfAttention):
                hooks.enter_context(module.register_forward_pre_hook(look))
            if isinstance(module, Router):
                hooks.enter_context(module.register_forward_hook(route))
        parser.model.encoder(batch.pieces, batch.segments, batch.mask)
    return attention, gates


@contextmanager
def _routed(parser: Parser, gates: Sequence[Tensor]) -> Iterator[None]:
    """The routers choose the experts that have `gates`, whatever they are given."""
    with ExitStack() as hooks:
        for mixture, gate in zip(parser.model.encoder.mixtures(), gates, strict=True):

            def route(
                router: Router, _: object, outputs: tuple[Tensor, Tensor], chosen: Tensor = gate > 0
            ) -> tuple[Tensor, Tensor]:
                kept = outputs[1] * chosen  # (batch, seq, experts)
                return kept * (router.top_k / kept.sum(-1, keepdim=True).clamp_min(1e-9)), outputs[1]

            hooks.enter_context(mixture.router.register_forward_hook(route))
        yield
