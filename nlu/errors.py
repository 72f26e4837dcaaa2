"""What the NLU gets wrong, measured on labelled messages: the noise in which a policy learns."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from domains.schema import OUT_OF_SCOPE
from nlu.data import Example
from nlu.parser import ModelError
from nlu.understanding import Understanding

QUANTILES = 20
PRIOR = 4
"""Messages for which the error of all intents stands in that of one."""
FILE = "errors.json"


@dataclass(frozen=True)
class NluErrors:
    intents: Mapping[str, Mapping[str, float]]
    """True intent → intent taken → share; out_of_scope among them."""
    right_confidence: tuple[float, ...]
    """Quantiles of the probability given to a right intent."""
    wrong_confidence: tuple[float, ...]
    slot_missed: float
    """Share of values that were given but not found."""
    slot_wrong: float
    """Share of values found under another slot or with another extent."""
    slot_confidence: tuple[float, ...]
    slot_wrong_confidence: tuple[float, ...]

    @classmethod
    def uniform(cls, rate: float, intents: Sequence[str]) -> "NluErrors":
        """The same rate for every intent and slot; wrong readings are less confident, but not always."""
        share = rate / max(len(intents) - 1, 1)
        return cls(
            intents={i: {o: 1 - rate if o == i else share for o in intents} for i in intents},
            right_confidence=tuple(0.5 + 0.5 * q / (QUANTILES - 1) for q in range(QUANTILES)),
            wrong_confidence=tuple(0.2 + 0.7 * q / (QUANTILES - 1) for q in range(QUANTILES)),
            slot_missed=rate / 2,
            slot_wrong=rate / 2,
            slot_confidence=tuple(0.6 + 0.4 * q / (QUANTILES - 1) for q in range(QUANTILES)),
            slot_wrong_confidence=tuple(0.3 + 0.6 * q / (QUANTILES - 1) for q in range(QUANTILES)),
        )


def measure(examples: Sequence[Example], heard: Sequence[Understanding]) -> NluErrors:
    """Count the errors of understandings of labelled, single-intent examples."""
    confusions: dict[str, Counter[str]] = defaultdict(Counter)
    right: list[float] = []
    wrong: list[float] = []
    slot_right: list[float] = []
    slot_wrong: list[float] = []
    values = missed = 0
    for example, found in zip(examples, heard, strict=True):
        if len(example.intents) != 1:
            continue
        taken = found.wishes[0] if found.wishes else OUT_OF_SCOPE
        confusions[example.intents[0]][taken] += 1
        (right if taken == example.intents[0] else wrong).append(found.certainty)
        for span in example.spans or ():
            values += 1
            hit = next((e for e in found.entities if e.start < span.end and e.end > span.start), None)
            if hit is None:
                missed += 1
            elif (hit.slot, hit.start, hit.end) == (span.slot, span.start, span.end):
                slot_right.append(hit.confidence)
            else:
                slot_wrong.append(hit.confidence)
    overall = len(right) / max(len(right) + len(wrong), 1)
    return NluErrors(
        intents={intent: _shares(intent, row, overall) for intent, row in sorted(confusions.items())},
        right_confidence=_quantiles(right),
        wrong_confidence=_quantiles(wrong),
        slot_missed=missed / max(values, 1),
        slot_wrong=len(slot_wrong) / max(values, 1),
        slot_confidence=_quantiles(slot_right),
        slot_wrong_confidence=_quantiles(slot_wrong),
    )


def _shares(intent: str, taken: Counter[str], overall: float) -> dict[str, float]:
    """How often `intent` is taken for what, as if PRIOR more messages had come out like those of all intents.

    Without them an intent with a single message, misheard, would never be understood.
    """
    wrong = {other: count for other, count in taken.items() if other != intent}
    if not wrong and intent != OUT_OF_SCOPE:
        wrong = {OUT_OF_SCOPE: 1}
    right = (taken[intent] + PRIOR * overall) / (taken.total() + PRIOR) if wrong else 1.0
    return {intent: right, **{other: (1 - right) * n / sum(wrong.values()) for other, n in wrong.items()}}


def _quantiles(values: list[float]) -> tuple[float, ...]:
    ranked = sorted(values) or [0.5]
    return tuple(round(ranked[int(q * (len(ranked) - 1) / (QUANTILES - 1))], 4) for q in range(QUANTILES))


def save_errors(errors: NluErrors, folder: Path) -> None:
    """Write errors.json beside the model they belong to."""
    (folder / FILE).write_text(json.dumps(asdict(errors), indent=1) + "\n", encoding="utf-8")


def load_errors(folder: Path) -> NluErrors:
    """Read what save_errors wrote. Raises ModelError."""
    path = folder / FILE
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        lists = {key: tuple(value) for key, value in data.items() if isinstance(value, list)}
        return NluErrors(**{**data, **lists})
    except FileNotFoundError:
        raise ModelError(
            f"{path}: file is missing; write it with: chatbot evaluate nlu --errors-to"
        ) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: not a table of NLU errors ({error!r})") from error
