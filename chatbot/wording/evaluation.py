"""How well a generator words what it is asked to: against what people said, and by its facts."""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sacrebleu.metrics.bleu import BLEU

from chatbot.wording.check import SUPERFLUOUS
from chatbot.wording.phrasing import fill
from chatbot.wording.request import Request
from chatbot.wording.sgd import Pair, load_sgd
from chatbot.wording.tokens import PLACEHOLDER
from nlu.text_files import DataError


@dataclass(frozen=True)
class Wording:
    request: Request
    first: str
    """As it was generated at once, with placeholders."""
    text: str
    """The same, or what was generated after a refusal."""
    tokens: int
    seconds: float
    faults: tuple[str, ...]
    """What the check found in `text`; where there is any, the request's own sentences are the reply."""

    @property
    def shown(self) -> str:
        return self.request.say if self.faults else self.text

    @property
    def reply(self) -> str:
        """With the facts put in."""
        return fill(self.shown, self.request.facts)


@dataclass(frozen=True)
class WordingReport:
    n: int
    bleu: float
    """Corpus BLEU of the replies as the customer sees them (sacrebleu's defaults)."""
    bleu_unchecked: float
    """The same of what was generated at once."""
    slot_error: float
    """Facts missing, repeated or invented in what was generated at once, for each fact that was asked for."""
    slot_error_checked: float
    """The same of the replies."""
    again_share: float
    """Refused, worded once more, and then good."""
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
    """`generate` gives a text with placeholders and its length in tokens, `check` what is wrong with it.

    As in service, what is refused is worded once more, where that may help.
    """
    worded = []
    for pair in pairs:
        start = time.perf_counter()
        first, tokens = generate(pair.request)
        seconds = time.perf_counter() - start
        text, faults = first, tuple(check(first, pair.request))
        if faults and SUPERFLUOUS.issuperset(faults):
            text, _ = generate(replace(pair.request, careful=True))
            faults = tuple(check(text, pair.request))
        worded.append(Wording(pair.request, first, text, tokens, seconds, faults))
        report()
    return worded


def score(worded: Sequence[Wording], references: Sequence[str]) -> WordingReport:
    """`references` are what people said, as they said it."""
    bleu = BLEU()
    unchecked = [fill(w.first, w.request.facts) for w in worded]
    asked = sum(len(w.request.facts) for w in worded) or 1
    return WordingReport(
        n=len(worded),
        bleu=bleu.corpus_score([w.reply for w in worded], [references]).score,
        bleu_unchecked=bleu.corpus_score(unchecked, [references]).score,
        slot_error=sum(slot_errors(w.first, w.request) for w in worded) / asked,
        slot_error_checked=sum(slot_errors(w.shown, w.request) for w in worded) / asked,
        again_share=sum(w.text != w.first and not w.faults for w in worded) / len(worded),
        template_share=sum(bool(w.faults) for w in worded) / len(worded),
        tokens_per_second=sum(w.tokens for w in worded) / max(1e-9, sum(w.seconds for w in worded)),
    )


def slot_errors(text: str, request: Request) -> int:
    """Placeholders that are missing, said again, or of no fact."""
    said = [int(number) for number in PLACEHOLDER.findall(text)]
    wanted = range(1, len(request.facts) + 1)
    missing_or_repeated = sum(abs(said.count(number) - 1) for number in wanted)
    return missing_or_repeated + sum(number not in wanted for number in said)
