"""How well a generator words what it is asked to: against what people said, and by its facts."""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sacrebleu.metrics.bleu import BLEU

from chatbot.wording.phrasing import fill
from chatbot.wording.request import Request
from chatbot.wording.sgd import Pair, load_sgd
from chatbot.wording.tokens import PLACEHOLDER
from nlu.text_files import DataError


@dataclass(frozen=True)
class Wording:
    request: Request
    text: str
    """As it was generated, with placeholders."""
    tokens: int
    seconds: float
    faults: tuple[str, ...]
    """What the check found; where there is any, the request's own sentences are the reply."""

    @property
    def reply(self) -> str:
        """With the facts put in."""
        return fill(self.request.say if self.faults else self.text, self.request.facts)


@dataclass(frozen=True)
class WordingReport:
    n: int
    bleu: float
    """Corpus BLEU of the replies as the customer sees them (sacrebleu's defaults)."""
    bleu_unchecked: float
    slot_error: float
    """Facts missing, repeated or invented in what was generated, for each fact that was asked for."""
    slot_error_checked: float
    """The same of the replies."""
    template_share: float
    tokens_per_second: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def sample_turns(path: Path, limit: int, seed: int) -> list[Pair]:
    """`limit` of the system's turns, or all where there are fewer. Raises DataError."""
    pairs = list(load_sgd(path))
    if not pairs:
        raise DataError(f"{path}:1: no turn of a system")
    return random.Random(seed).sample(pairs, min(limit, len(pairs)))


def word_all(
    pairs: Iterable[Pair],
    generate: Callable[[Request], tuple[str, int]],
    check: Callable[[str, Request], Sequence[str]],
    report: Callable[[], None] = lambda: None,
) -> list[Wording]:
    """`generate` gives a text with placeholders and its length in tokens, `check` what is wrong with it."""
    worded = []
    for pair in pairs:
        start = time.perf_counter()
        text, tokens = generate(pair.request)
        seconds = time.perf_counter() - start
        faults = tuple(check(text, pair.request))
        worded.append(Wording(pair.request, text, tokens, seconds, faults))
        report()
    return worded


def score(worded: Sequence[Wording], references: Sequence[str]) -> WordingReport:
    """`references` are what people said, as they said it."""
    bleu = BLEU()
    unchecked = [fill(w.text, w.request.facts) for w in worded]
    asked = sum(len(w.request.facts) for w in worded) or 1
    shown = [w.request.say if w.faults else w.text for w in worded]
    return WordingReport(
        n=len(worded),
        bleu=bleu.corpus_score([w.reply for w in worded], [references]).score,
        bleu_unchecked=bleu.corpus_score(unchecked, [references]).score,
        slot_error=sum(slot_errors(w.text, w.request) for w in worded) / asked,
        slot_error_checked=sum(slot_errors(t, w.request) for t, w in zip(shown, worded, strict=True)) / asked,
        template_share=sum(bool(w.faults) for w in worded) / len(worded),
        tokens_per_second=sum(w.tokens for w in worded) / max(1e-9, sum(w.seconds for w in worded)),
    )


def slot_errors(text: str, request: Request) -> int:
    """Placeholders that are missing, said again, or of no fact."""
    said = [int(number) for number in PLACEHOLDER.findall(text)]
    wanted = range(1, len(request.facts) + 1)
    missing_or_repeated = sum(abs(said.count(number) - 1) for number in wanted)
    return missing_or_repeated + sum(number not in wanted for number in said)
