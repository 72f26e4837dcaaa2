"""Training and evaluation data: public formats as one kind of example."""

import csv
import io
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from nlu.labels import LabelMap
from nlu.past import NO_PAST, Past
from nlu.text_files import DataError as DataError
from nlu.text_files import json_rows, read_lines, read_text

CONTEXT_MESSAGES = 4
"""Earlier customer messages that are kept; how many of them a model looks at is its own matter."""


@dataclass(frozen=True)
class Span:
    start: int
    end: int
    slot: str


@dataclass(frozen=True)
class Example:
    text: str
    intents: tuple[str, ...]
    spans: tuple[Span, ...] | None = ()
    """None where the data set has no slots: nothing is learnt or scored then."""
    context: tuple[str, ...] = ()
    """The customer's earlier messages, latest first."""
    words: tuple[tuple[int, int], ...] = ()
    """Word spans on which slots are scored; empty: white space decides."""
    place: str = field(default="", compare=False, repr=False)
    """File and line it was read from."""
    opens: bool = False
    """Known to be the first message of its conversation; most data sets do not tell."""
    conversation: str = field(default="", compare=False)
    """Which conversation it belongs to, where that is known; its messages stand in their order."""
    past: Past = NO_PAST
    """What was wanted and given before it."""

    @property
    def heard(self) -> tuple[str, ...]:
        """All that was said before, as the model reads it."""
        return (*self.past.told, *self.context)


@dataclass(frozen=True)
class Skipped:
    """A row that is not used: malformed, or left out by the label map."""

    place: str
    reason: str

    @property
    def left_out(self) -> bool:
        """Whether it was the label map that did not want it."""
        return self.reason == LEFT_OUT


@dataclass(frozen=True)
class Loaded:
    examples: tuple[Example, ...]
    skipped: tuple[Skipped, ...]


Rows = Iterator[Example | Skipped]
LEFT_OUT = "left out by the label map"


def load_data(source: str, data_format: str, labels: LabelMap) -> Loaded:
    """Read a file or folder in one of FORMATS; `file.json#train,oos_train` names splits. Raises DataError."""
    if data_format not in FORMATS:
        raise DataError(f"unknown data format '{data_format}'; known: {', '.join(FORMATS)}")
    name, _, splits = source.partition("#")
    path = Path(name)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if splits and data_format != "clinc150":
        raise DataError(f"{source}: only clinc150 files have splits to choose from")
    if path.is_dir() != (data_format in FOLDERS):
        expected = f"a folder with {', '.join(FOLDERS[data_format])}" if data_format in FOLDERS else "a file"
        raise DataError(f"{path}: format {data_format} is {expected}")
    rows = list(_clinc150(path, labels, splits.split(",")) if splits else FORMATS[data_format](path, labels))
    examples = tuple(row for row in rows if isinstance(row, Example))
    skipped = tuple(row for row in rows if isinstance(row, Skipped))
    if not examples:
        first = f"; {skipped[0].place}: {skipped[0].reason}" if skipped else ""
        raise DataError(f"{path}:1: no usable row in format {data_format}{first}")
    return Loaded(examples, skipped)


def thin(examples: Sequence[Example], limits: Mapping[str, int], rng: random.Random) -> tuple[Example, ...]:
    """A sample with at most `limits` rows an intent; the key "*" stands for intents not listed.

    Repeated texts stay as often as they are: how often "ok" means yes is part of what is learnt.
    """
    shuffled = list(examples)
    rng.shuffle(shuffled)
    seen: Counter[str] = Counter()
    kept = []
    for example in shuffled:
        intent = example.intents[0]
        if seen[intent] < limits.get(intent, limits.get("*", len(shuffled))):
            kept.append(example)
            seen[intent] += 1
    return tuple(kept)


def _multidogo(path: Path, labels: LabelMap) -> Rows:
    """Customer turns in order; the context is the customer's own earlier turns."""
    earlier: dict[str, tuple[str, ...]] = {}
    pasts: dict[str, Past] = {}
    lines = read_lines(path)
    if lines[0].split("\t")[3:] != ["utterance", "slot-labels", "intent"]:
        raise DataError(f"{path}:1: not a MultiDoGO table (columns … utterance, slot-labels, intent)")
    for number, line in enumerate(lines[1:], 2):
        place, cells = f"{path}:{number}", line.split("\t")
        if len(cells) != 6 or not cells[3].strip():
            yield Skipped(place, f"{len(cells)} cells for 6" if len(cells) != 6 else "no text")
            continue
        conversation, text = cells[0], cells[3]
        words, names = _words(text), cells[4].split()
        opens = conversation not in earlier
        context = earlier.get(conversation, ())
        earlier[conversation] = (text, *context)[:CONTEXT_MESSAGES]
        parts = [part for part in cells[5].split("<div>") if part.strip()]
        intents = tuple(filter(None, (labels.intent(part, text) for part in parts)))
        if len(words) != len(names):
            yield Skipped(place, f"{len(words)} words with {len(names)} slot labels")
        elif not intents or intents == ("intent",):
            yield Skipped(place, LEFT_OUT if parts and not intents else "no intent")
        else:
            spans = spans_of_words(words, [None if name == "O" else labels.slot(name) for name in names])
            past = pasts.get(conversation, NO_PAST)
            pasts[conversation] = past.after(intents, (span.slot for span in spans))
            yield Example(text, intents, spans, context, tuple(words), place, opens, conversation, past)


def _words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\S+", text)]


def spans_of_words(words: list[tuple[int, int]], slots: list[str | None]) -> tuple[Span, ...]:
    """Neighbouring words of one slot make one span."""
    spans: list[Span] = []
    previous: str | None = None
    for (start, end), slot in zip(words, slots, strict=True):
        if slot is not None and slot == previous:
            spans[-1] = replace(spans[-1], end=end)
        elif slot is not None:
            spans.append(Span(start, end, slot))
        previous = slot
    return tuple(spans)


def _row(place: str, text: str, label: str, labels: LabelMap) -> Example | Skipped:
    """A row of one text and one label."""
    if not text.strip() or not label.strip():
        return Skipped(place, "no text" if label.strip() else "no intent")
    intent = labels.intent(label, text)
    return Example(text, (intent,), None, place=place) if intent else Skipped(place, LEFT_OUT)


def _banking77(path: Path, labels: LabelMap) -> Rows:
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    if not {"text", "category"} <= set(reader.fieldnames or ()):
        raise DataError(f"{path}:1: columns 'text' and 'category' are needed")
    line = reader.line_num + 1
    try:
        for row in reader:
            yield _row(f"{path}:{line}", (row["text"] or "").strip(), row["category"] or "", labels)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{line}: not valid CSV ({error}); a quote may be open") from error


def _clinc150(path: Path, labels: LabelMap, splits: Sequence[str] = ()) -> Rows:
    text = read_text(path)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from error
    if not isinstance(data, dict) or not all(isinstance(rows, list) for rows in data.values()):
        raise DataError(f"{path}:1: not an object of splits, each a list of [text, intent]")
    for split in splits or tuple(data):
        if split not in data:
            raise DataError(f"{path}:1: no split '{split}'; there are {', '.join(data)}")
        for line, row in json_rows(text, split):
            if isinstance(row, list) and len(row) == 2 and all(isinstance(cell, str) for cell in row):
                yield _row(f"{path}:{line}", row[0], row[1], labels)
            else:
                yield Skipped(f"{path}:{line}", "not [text, intent]")


def _parallel_lines(folder: Path, *names: str) -> Iterator[tuple[str, ...]]:
    """The place and the cells of each row."""
    columns = [read_lines(folder / name) for name in names]
    longest = max(map(len, columns))
    for name, column in zip(names, columns, strict=True):
        if len(column) != longest:
            sizes = ", ".join(f"{n} {len(c)}" for n, c in zip(names, columns, strict=True))
            raise DataError(
                f"{folder / name}:{len(column)}: the files have different numbers of lines ({sizes})"
            )
    for number, cells in enumerate(zip(*columns, strict=True), 1):
        yield f"{folder / names[0]}:{number}", *cells


def _slu(path: Path, labels: LabelMap) -> Rows:
    for place, text, tags, label in _parallel_lines(path, *FOLDERS["slu"]):
        words, names = _words(text), tags.split()
        parts = [part for part in label.split("#") if part.strip()]
        intents = tuple(dict.fromkeys(filter(None, (labels.intent(part, text) for part in parts))))
        odd = next((name for name in names if name != "O" and not re.match(r"[BI]-.", name)), None)
        if len(words) != len(names) or odd:
            yield Skipped(place, f"tag '{odd}'" if odd else f"{len(words)} words with {len(names)} tags")
        elif not intents or not words:
            yield Skipped(place, "no text" if not words else LEFT_OUT if parts else "no intent")
        else:
            spans: list[Span] = []
            previous = "O"
            for (start, end), tag in zip(words, names, strict=True):
                if tag.startswith("I-") and previous[2:] == tag[2:]:
                    spans[-1] = replace(spans[-1], end=end)
                elif tag != "O":
                    spans.append(Span(start, end, labels.slot(tag[2:])))
                previous = tag
            yield Example(text, intents, tuple(spans), (), tuple(words), place)


def _fewshot(path: Path, labels: LabelMap) -> Rows:
    for place, text, label in _parallel_lines(path, *FOLDERS["fewshot"]):
        yield _row(place, text, label, labels)


class JsonEntity(BaseModel):
    model_config = ConfigDict(strict=True)

    start: int
    end: int
    slot: str


class JsonRow(BaseModel):
    """A line of a `jsonl` file."""

    model_config = ConfigDict(strict=True)

    text: str
    intent: str
    entities: list[JsonEntity] = []
    context: list[str] = []


def _jsonl(path: Path, labels: LabelMap) -> Rows:
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            row = JsonRow.model_validate_json(line)
        except ValidationError as failure:
            first = failure.errors()[0]
            key = ".".join(map(str, first["loc"]))
            reason = f"{key}: {first['msg']}" if key else first["msg"]
            raise DataError(f"{place}: not a row with text, intent, entities ({reason})") from None
        if not row.text.strip() or not row.intent.strip():
            raise DataError(f"{place}: {'text' if row.intent.strip() else 'intent'} is empty")
        spans = tuple(sorted((Span(e.start, e.end, labels.slot(e.slot)) for e in row.entities), key=_start))
        for span in spans:
            if not 0 <= span.start < span.end <= len(row.text):
                raise DataError(f"{place}: span {span.start}–{span.end} lies outside of the text")
        for one, other in pairwise(spans):
            if other.start < one.end:
                raise DataError(
                    f"{place}: spans {one.start}–{one.end} ({one.slot}) and {other.start}–{other.end} "
                    f"({other.slot}) overlap"
                )
        intent = labels.intent(row.intent, row.text)
        found = Example(row.text, (intent,), spans, tuple(row.context), (), place) if intent else None
        yield found or Skipped(place, LEFT_OUT)


def _start(span: Span) -> int:
    return span.start


FOLDERS = {"slu": ("seq.in", "seq.out", "label"), "fewshot": ("seq.in", "label")}
FORMATS: Mapping[str, Callable[[Path, LabelMap], Rows]] = {
    "multidogo": _multidogo,
    "banking77": _banking77,
    "clinc150": _clinc150,
    "slu": _slu,
    "fewshot": _fewshot,
    "jsonl": _jsonl,
}
