"""What is wrong with training data, found before anything is trained on it."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from statistics import median
from typing import Any, Literal

from domains.document import Document
from domains.schema import OUT_OF_SCOPE, Pack
from nlu.data import Example, Skipped
from nlu.text_files import DataError

FEW = 5
"""Examples below which an intent or a slot is hardly learnt."""
IMBALANCE = 50
"""Times that the largest intent may be as frequent as the smallest."""
SHOWN = 3
"""Places that a finding names."""
MISREAD = re.compile("\ufffd|[ÃÂ][\x80-\xbf]|â€")
"""What text looks like that was once read in a wrong encoding."""


@dataclass(frozen=True)
class Finding:
    level: Literal["error", "warning"]
    kind: str
    message: str
    count: int
    places: tuple[str, ...]
    """The first ones: file, line and, where it helps, what stands there."""


@dataclass(frozen=True)
class DataReport:
    examples: int
    skipped: int
    intents: Mapping[str, int]
    """Examples of each, most frequent first."""
    slots: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level == "error")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def raise_errors(self) -> None:
        """Raises DataError for the first error, which names file and line."""
        for finding in self.errors:
            more = f" (and {finding.count - 1} more)" if finding.count > 1 else ""
            raise DataError(f"{finding.places[0]}: {finding.message}{more}")


def check(
    examples: Sequence[Example],
    skipped: Sequence[Skipped] = (),
    pack: Pack | None = None,
    validation: Sequence[Example] = (),
) -> DataReport:
    """Look for what makes training impossible (errors) or the model worse (warnings)."""
    intents = Counter(intent for e in examples for intent in e.intents)
    slots = Counter(span.slot for e in examples for span in e.spans or ())
    findings = chain(
        _malformed(skipped, len(examples)),
        _labels(examples, intents, slots, pack),
        _repeated(examples),
        _contradictory(examples),
        _balance(examples, intents, slots),
        _spans(examples),
        _encoding(examples),
        _validation(examples, validation, intents, slots),
    )
    ordered = sorted(findings, key=lambda finding: finding.level)  # errors first
    return DataReport(
        len(examples), len(skipped), dict(intents.most_common()), dict(slots.most_common()), tuple(ordered)
    )


def _labels(
    examples: Sequence[Example], intents: Counter[str], slots: Counter[str], pack: Pack | None
) -> Iterator[Finding]:
    if len(intents) < 2:
        message = f"all examples have the intent '{next(iter(intents))}'; at least two are needed"
        yield Finding("error", "one class only", message, 1, (examples[0].place,))
    if pack is None:
        return
    remedy = f"map it in {pack.folder / 'labels.yaml'}"
    for kind, used, known in (
        ("intent", intents, {*pack.intents, OUT_OF_SCOPE}),
        ("slot", slots, {*pack.slots}),
    ):
        for name in sorted(set(used) - known):
            places = [e.place for e in examples if name in e.intents or name in _slots(e)]
            message = f"{kind} '{name}' of the data is not in the pack; {remedy}"
            yield Finding("error", f"unknown {kind}", message, len(places), tuple(places[:SHOWN]))
    domain = Document(pack.folder / "domain.yaml")
    for name in pack.intents:
        if name not in intents:
            place = f"{domain.path}:{domain.line('intents', name)}"
            yield Finding("error", "intent without examples", f"intent '{name}' has no example", 1, (place,))
    bare = [f"{domain.path}:{domain.line('slots', name)} {name}" for name in pack.slots if name not in slots]
    yield from _warn("slot without examples", "slots of the pack that no example fills", bare)


def _malformed(skipped: Sequence[Skipped], used: int) -> Iterator[Finding]:
    for left_out in (False, True):
        rows = [row for row in skipped if row.left_out == left_out]
        places = [row.place if left_out else f"{row.place} {row.reason}" for row in rows]
        if not left_out and len(rows) > used:
            message = f"{rows[0].reason}; more rows are malformed than usable: is this the right format?"
            yield Finding("error", "malformed", message, len(rows), (rows[0].place,))
        elif left_out:
            yield from _warn("left out", "rows that the label map leaves out", places)
        else:
            yield from _warn("malformed", "rows that cannot be used", places)


def _repeated(examples: Sequence[Example]) -> Iterator[Finding]:
    groups = _groups(examples, lambda e: (plain(e.text), e.context, e.intents, _values(e)))
    again = [e for rows in groups for e in rows[1:]]
    yield from _warn("duplicates", "rows that repeat an earlier one", _quoted(again))


def _contradictory(examples: Sequence[Example]) -> Iterator[Finding]:
    """The same text, after the same messages, with labels that cannot both be right."""
    intents, slots = [], []
    for rows in _groups(examples, lambda e: (plain(e.text), e.context)):
        first = rows[0]
        other = next((e for e in rows if set(e.intents) != set(first.intents)), None)
        if other is not None:
            intents.append(_against(first, other, *("+".join(e.intents) for e in (first, other))))
        known = [e for e in rows if e.spans is not None]
        other = next((e for e in known if _values(e) != _values(known[0])), None)
        if other is not None:
            slots.append(_against(known[0], other, *(_spelled(e) for e in (known[0], other))))
    yield from _warn("contradictory intents", "texts that stand with different intents", intents)
    yield from _warn("contradictory slots", "texts that stand with different slots", slots)


def _against(one: Example, other: Example, label: str, other_label: str) -> str:
    return f"{one.place} '{_short(one.text)}' is {label}, {other.place} says {other_label}"


def _balance(examples: Sequence[Example], intents: Counter[str], slots: Counter[str]) -> Iterator[Finding]:
    for kind, counts in (("intent", intents), ("slot", slots)):
        few = [f"{name} ({counts[name]})" for name in counts if counts[name] < FEW]
        yield from _warn(f"few examples: {kind}", f"{kind}s with fewer than {FEW} examples", few)
    most, least = max(intents, key=lambda i: intents[i]), min(intents, key=lambda i: intents[i])
    if intents[most] > IMBALANCE * intents[least]:
        shares = f"{most} ({intents[most]}), {least} ({intents[least]}), median {median(intents.values()):g}"
        message = f"the largest intent has more than {IMBALANCE} times the examples of the smallest"
        yield Finding("warning", "class balance", message, 1, (shares,))


def _spans(examples: Sequence[Example]) -> Iterator[Finding]:
    cut = [
        f"{e.place} '{_short(e.text[s.start : s.end])}' ({s.slot})"
        for e in examples
        for s in e.spans or ()
        if _inside_of_word(e.text, s.start) or _inside_of_word(e.text, s.end)
    ]
    yield from _warn("span cuts a word", "spans that do not begin and end where words do", cut)
    padded = [
        f"{e.place} '{_short(e.text[s.start : s.end])}' ({s.slot})"
        for e in examples
        for s in e.spans or ()
        if e.text[s.start : s.end] != e.text[s.start : s.end].strip()
    ]
    yield from _warn("span with white space", "spans that begin or end with white space", padded)


def _inside_of_word(text: str, place: int) -> bool:
    return 0 < place < len(text) and text[place - 1].isalnum() and text[place].isalnum()


def _encoding(examples: Sequence[Example]) -> Iterator[Finding]:
    odd = _quoted([e for e in examples if MISREAD.search(e.text)])
    yield from _warn("wrong encoding", "texts that were once read in a wrong encoding", odd)


def _validation(
    examples: Sequence[Example],
    validation: Sequence[Example],
    intents: Collection[str],
    slots: Collection[str],
) -> Iterator[Finding]:
    seen = {plain(e.text) for e in examples}
    known = [e for e in validation if plain(e.text) in seen]
    yield from _warn(
        "validation is trained on", "validation texts that stand in the training data", _quoted(known)
    )
    for kind, found, trained in (
        ("intent", (i for e in validation for i in e.intents), intents),
        ("slot", (s for e in validation for s in _slots(e)), slots),
    ):
        names = sorted(set(found) - set(trained) - {OUT_OF_SCOPE})
        yield from _warn(f"{kind} only in validation", f"{kind}s that are validated but not trained", names)


def _warn(kind: str, message: str, places: Sequence[str]) -> Iterator[Finding]:
    if places:
        yield Finding("warning", kind, message, len(places), tuple(places[:SHOWN]))


def _groups(examples: Sequence[Example], key: Callable[[Example], Hashable]) -> list[list[Example]]:
    """Examples of one key from different places: a sentence of the pack that is filled twice counts once."""
    groups: dict[Hashable, dict[str, Example]] = defaultdict(dict)
    for number, example in enumerate(examples):
        groups[key(example)].setdefault(example.place or str(number), example)
    return [[*rows.values()] for rows in groups.values() if len(rows) > 1]


def plain(text: str) -> str:
    """Texts that differ in case and white space only are the same text."""
    return " ".join(text.lower().split())


def _spelled(example: Example) -> str:
    return ", ".join(f"{slot} '{value}'" for value, slot in _values(example) or ()) or "no slot"


def _slots(example: Example) -> list[str]:
    return [span.slot for span in example.spans or ()]


def _values(example: Example) -> tuple[tuple[str, str], ...] | None:
    if example.spans is None:
        return None
    return tuple((plain(example.text[s.start : s.end]), s.slot) for s in example.spans)


def _quoted(examples: Sequence[Example]) -> list[str]:
    return [f"{e.place} '{_short(e.text)}'" for e in examples]


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
