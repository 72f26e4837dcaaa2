"""Figures of a parser on labelled data."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median, quantiles
from typing import Any

import torch
from seqeval.metrics import f1_score

from domains.schema import OUT_OF_SCOPE
from nlu.calibration import expected_calibration_error
from nlu.data import Example
from nlu.parser import Parser
from nlu.past import NO_PAST, Past
from nlu.understanding import Understanding

TIMED = 300
"""Messages that are parsed one by one for the latency figures."""


@dataclass(frozen=True)
class NluReport:
    n: int
    intent_accuracy: float
    intent_f1_macro: float
    slot_f1: float | None
    exact_match: float
    ece: float
    p50_ms: float | None = None
    p95_ms: float | None = None
    oos_recall: float | None = None
    oos_precision: float | None = None
    in_scope_accuracy: float | None = None
    in_scope_false_reject_rate: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value is not None}


def parse_all(parser: Parser, examples: Sequence[Example], batch_size: int = 64) -> list[Understanding]:
    """Understandings in the order of the examples; similar lengths share a batch.

    A conversation is heard from its beginning: its past is what the parser has understood of it.
    """
    found: dict[int, Understanding] = {}
    pasts: dict[str, Past] = {}
    for turn in _turns(examples):
        turn.sort(key=lambda i: len(examples[i].text))
        for start in range(0, len(turn), batch_size):
            rows = turn[start : start + batch_size]
            known = [pasts.get(examples[i].conversation, NO_PAST) for i in rows]
            heard = parser.parse_many(
                [examples[i].text for i in rows],
                [(*parser.told(past), *examples[i].context) for i, past in zip(rows, known, strict=True)],
            )
            found.update(zip(rows, heard, strict=True))
        for i in turn:
            name, held = examples[i].conversation, found[i]
            if name:
                past = pasts.get(name, NO_PAST).after(held.wishes, (e.slot for e in held.entities))
                pasts[name] = past.of_tasks(parser.pack)
    return [found[i] for i in range(len(examples))]


def _turns(examples: Sequence[Example]) -> list[list[int]]:
    """Places of the first messages of all conversations, then of the second ones, and so on."""
    seen: Counter[str] = Counter()
    turns: list[list[int]] = []
    for place, example in enumerate(examples):
        number = seen[example.conversation]
        if example.conversation:
            seen[example.conversation] += 1
        if number == len(turns):
            turns.append([])
        turns[number].append(place)
    return turns


def predicted(heard: Understanding) -> frozenset[str]:
    """The intents the parser commits itself to; out_of_scope where it takes none."""
    return frozenset(heard.wishes) or frozenset({OUT_OF_SCOPE})


def evaluate(parser: Parser, examples: Sequence[Example]) -> NluReport:
    """How well and how fast `parser` understands the examples."""
    report = score(parse_all(parser, examples), examples)
    p50, p95 = latencies(parser, examples[:TIMED])
    return replace(report, p50_ms=p50, p95_ms=p95)


def score(heard: Sequence[Understanding], examples: Sequence[Example]) -> NluReport:
    """Intent figures on all examples, slot figures on those with slots; exact is both right."""
    gold = [frozenset(e.intents) for e in examples]
    right = [predicted(h) == g for h, g in zip(heard, gold, strict=True)]
    slotted = [i for i, e in enumerate(examples) if e.spans is not None]
    gold_tags = [
        word_tags(examples[i], [(s.start, s.end, s.slot) for s in examples[i].spans or ()]) for i in slotted
    ]
    found_tags = [
        word_tags(examples[i], [(e.start, e.end, e.slot) for e in heard[i].entities]) for i in slotted
    ]
    same = dict(zip(slotted, (g == f for g, f in zip(gold_tags, found_tags, strict=True)), strict=True))
    confidences = torch.tensor([h.certainty for h in heard])
    return NluReport(
        n=len(examples),
        intent_accuracy=sum(right) / len(right),
        intent_f1_macro=_macro_f1([predicted(h) for h in heard], gold),
        slot_f1=float(f1_score(gold_tags, found_tags)) if slotted else None,
        exact_match=sum(ok and same.get(i, True) for i, ok in enumerate(right)) / len(right),
        ece=expected_calibration_error(confidences, torch.tensor(right)),
        **_out_of_scope(heard, gold, right),
    )


def _out_of_scope(
    heard: Sequence[Understanding], gold: Sequence[frozenset[str]], right: Sequence[bool]
) -> dict[str, float]:
    outside = [OUT_OF_SCOPE in g for g in gold]
    if not any(outside):
        return {}
    refused = [not h.wishes for h in heard]
    hits = sum(o and r for o, r in zip(outside, refused, strict=True))
    inside = len(outside) - sum(outside)
    figures = {"oos_recall": hits / sum(outside), "oos_precision": hits / max(sum(refused), 1)}
    if inside:
        figures["in_scope_accuracy"] = sum(ok for ok, o in zip(right, outside, strict=True) if not o) / inside
        figures["in_scope_false_reject_rate"] = (sum(refused) - hits) / inside
    return figures


def word_tags(example: Example, spans: Sequence[tuple[int, int, str]]) -> list[str]:
    """BIO tags of the example's words; neighbours of one slot are one entity, as the data sets have it."""
    words = example.words or _white_space_words(example.text)
    tags: list[str] = []
    previous: str | None = None
    for start, end in words:
        slot = next((name for s, e, name in spans if s < end and e > start), None)
        tags.append("O" if slot is None else f"{'I' if slot == previous else 'B'}-{slot}")
        previous = slot
    return tags


def _white_space_words(text: str) -> list[tuple[int, int]]:
    words, place = [], 0
    for word in text.split():
        start = text.index(word, place)
        place = start + len(word)
        words.append((start, place))
    return words


def _macro_f1(found: Sequence[frozenset[str]], gold: Sequence[frozenset[str]]) -> float:
    scores = []
    for intent in set().union(*gold):
        both = sum(intent in f and intent in g for f, g in zip(found, gold, strict=True))
        total = sum(intent in f for f in found) + sum(intent in g for g in gold)
        scores.append(2 * both / total)
    return sum(scores) / len(scores)


def latencies(parser: Parser, examples: Sequence[Example]) -> tuple[float, float]:
    """Median and 95th percentile, in milliseconds, of parsing one message at a time."""
    times = []
    for example in examples:
        start = time.perf_counter()
        parser.parse_many([example.text], [example.heard])
        times.append(1000 * (time.perf_counter() - start))
    return median(times), (quantiles(times, n=20)[-1] if len(times) > 1 else times[0])
