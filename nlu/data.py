"""Training and evaluation data: public formats and the pack's own sentences, as one kind of example."""

import csv
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from domains.document import Document
from domains.schema import Pack
from nlu.labels import LabelMap

CONTEXT_MESSAGES = 4
"""Earlier customer messages that the model may look at."""


class DataError(ValueError):
    """Data that cannot be used; the message names file and line."""


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
    opens: bool = False
    """Known to be the first message of its conversation; most data sets do not tell."""
    words: tuple[tuple[int, int], ...] = ()
    """Word spans on which slots are scored; empty: white space decides."""


@dataclass(frozen=True)
class Loaded:
    examples: tuple[Example, ...]
    skipped: int
    """Malformed rows, and rows that the label map leaves out."""


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
    try:
        rows = (
            list(_clinc150(path, labels, splits.split(",")))
            if splits
            else list(FORMATS[data_format](path, labels))
        )
    except (UnicodeDecodeError, OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    examples = tuple(row for row in rows if row is not None)
    if not examples:
        raise DataError(f"{path}: no usable row in format {data_format}")
    return Loaded(examples, len(rows) - len(examples))


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


def _multidogo(path: Path, labels: LabelMap) -> Iterator[Example | None]:
    """Customer turns in order; the context is the customer's own earlier turns."""
    earlier: dict[str, tuple[str, ...]] = {}
    lines = _lines(path)
    if not lines or lines[0].split("\t")[3:] != ["utterance", "slot-labels", "intent"]:
        raise DataError(f"{path}:1: not a MultiDoGO table (columns … utterance, slot-labels, intent)")
    for line in lines[1:]:
        cells = line.split("\t")
        if len(cells) != 6 or not cells[3].strip():
            yield None
            continue
        conversation, text = cells[0], cells[3]
        words = [(m.start(), m.end()) for m in re.finditer(r"\S+", text)]
        names = cells[4].split()
        opens = conversation not in earlier
        context = earlier.get(conversation, ())
        earlier[conversation] = (text, *context)[:CONTEXT_MESSAGES]
        intents = tuple(filter(None, (labels.intent(label, text) for label in cells[5].split("<div>"))))
        if len(words) != len(names) or not intents or intents == ("intent",):
            yield None
            continue
        spans = spans_of_words(words, [None if name == "O" else labels.slot(name) for name in names])
        yield Example(text, intents, spans, context, opens, tuple(words))


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


def _banking77(path: Path, labels: LabelMap) -> Iterator[Example | None]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames is None or not {"text", "category"} <= set(reader.fieldnames):
            raise DataError(f"{path}:1: columns 'text' and 'category' are needed")
        for row in reader:
            text, label = (row["text"] or "").strip(), row["category"] or ""
            intent = labels.intent(label, text) if text and label else None
            yield Example(text, (intent,), None) if intent else None


def _clinc150(path: Path, labels: LabelMap, splits: Sequence[str] = ()) -> Iterator[Example | None]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from error
    if not isinstance(data, dict):
        raise DataError(f"{path}:1: not an object of splits")
    for split in splits or tuple(data):
        if split not in data:
            raise DataError(f"{path}: no split '{split}'; there are {', '.join(data)}")
        for row in data[split]:
            if not (isinstance(row, list) and len(row) == 2 and all(isinstance(cell, str) for cell in row)):
                yield None
                continue
            intent = labels.intent(row[1], row[0])
            yield Example(row[0], (intent,), None) if intent and row[0].strip() else None


def _lines(path: Path) -> list[str]:
    """Not splitlines, which also splits at characters that may stand inside of a message, such as U+2028."""
    with path.open(encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file]


def _parallel_lines(folder: Path, *names: str) -> Iterator[tuple[str, ...]]:
    try:
        columns = [_lines(folder / name) for name in names]
    except FileNotFoundError as error:
        raise DataError(f"{error.filename}: file is missing") from None
    if len({len(column) for column in columns}) != 1:
        raise DataError(f"{folder}: {', '.join(names)} have different numbers of lines")
    return zip(*columns, strict=True)


def _slu(path: Path, labels: LabelMap) -> Iterator[Example | None]:
    for text, tags, label in _parallel_lines(path, "seq.in", "seq.out", "label"):
        words = [(m.start(), m.end()) for m in re.finditer(r"\S+", text)]
        names = tags.split()
        intents = tuple(filter(None, (labels.intent(part, text) for part in label.split("#"))))
        if len(words) != len(names) or not intents:
            yield None
            continue
        spans: list[Span] = []
        for (start, end), tag in zip(words, names, strict=True):
            if tag.startswith("I-") and spans and spans[-1].slot == labels.slot(tag[2:]):
                spans[-1] = replace(spans[-1], end=end)
            elif tag != "O":
                spans.append(Span(start, end, labels.slot(tag[2:])))
        yield Example(text, intents, tuple(spans), words=tuple(words))


def _fewshot(path: Path, labels: LabelMap) -> Iterator[Example | None]:
    for text, label in _parallel_lines(path, "seq.in", "label"):
        intent = labels.intent(label, text)
        yield Example(text, (intent,), None) if intent and text.strip() else None


def _jsonl(path: Path, labels: LabelMap) -> Iterator[Example | None]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            spans = tuple(Span(e["start"], e["end"], labels.slot(e["slot"])) for e in row.get("entities", ()))
            text, intent = row["text"], labels.intent(row["intent"], row["text"])
            outside = next((s for s in spans if not 0 <= s.start < s.end <= len(text)), None)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}:{number}: not a row with text, intent, entities ({error!r})") from error
        if outside is not None:
            raise DataError(f"{path}:{number}: span {outside.start}–{outside.end} lies outside of the text")
        yield Example(text, (intent,), spans, tuple(row.get("context", ()))) if intent else None


FORMATS: Mapping[str, Callable[[Path, LabelMap], Iterator[Example | None]]] = {
    "multidogo": _multidogo,
    "banking77": _banking77,
    "clinc150": _clinc150,
    "slu": _slu,
    "fewshot": _fewshot,
    "jsonl": _jsonl,
}


def load_pack_examples(pack: Pack, rng: random.Random, fillings: int = 3) -> tuple[Example, ...]:
    """The pack's own sentences; those with `{slot}` are filled `fillings` times with sampled values."""
    folder = pack.folder / "examples"
    values = {str(k): [str(v) for v in vs] for k, vs in Document(folder / "values.yaml").mapping().items()}
    examples: list[Example] = []

    def add(document: Document, sentence: object, intents: tuple[str, ...], *key: str | int) -> None:
        if not isinstance(sentence, str):
            raise document.error(f"'{sentence}' is no text; put it in quotes", *key)
        for _ in range(fillings if "{" in sentence or len(intents) > 1 else 1):
            try:
                text, spans = fill_sentence(sentence, values, rng)
            except KeyError as missing:
                raise document.error(f"slot {missing} has no values in values.yaml", *key) from None
            examples.append(Example(text, intents, spans))

    for name in ("task", "social", "faq", "out_of_scope"):
        document = Document(folder / f"{name}.yaml")
        for intent, sentences in document.mapping().items():
            for index, sentence in enumerate(sentences):
                add(document, sentence, (intent,), intent, index)
    document = Document(folder / "two_wishes.yaml")
    for index, row in enumerate(document.data):
        add(document, row["text"], tuple(row["intents"]), index, "text")
    return tuple(examples)


def fill_sentence(
    sentence: str, values: Mapping[str, list[str]], rng: random.Random
) -> tuple[str, tuple[Span, ...]]:
    """Put a sampled value into each `{slot}`; `#` in a value becomes a digit. Raises KeyError."""
    text, spans, last = "", [], 0
    for match in re.finditer(r"\{(\w+)\}", sentence):
        text += sentence[last : match.start()]
        value = rng.choice(values[match.group(1)])
        value = re.sub("#", lambda _: rng.choice("0123456789"), value)
        spans.append(Span(len(text), len(text) + len(value), match.group(1)))
        text, last = text + value, match.end()
    return text + sentence[last:], tuple(spans)
