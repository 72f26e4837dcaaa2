"""Pairs of a request and a reply from schema-guided dialogues (Rastogi et al. 2020, arXiv:1909.05855).

The system's acts become plain sentences, as in template-guided generation (Kale and Rastogi 2020,
arXiv:2004.15006), and the values of their slots become placeholders. So a model learns to
word any business's plain sentences.
"""

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chatbot.wording.request import Request
from chatbot.wording.tokens import PLACEHOLDER, PLACEHOLDERS
from nlu.text_files import DataError

WORDS = {"True": "yes", "False": "no", "dontcare": "any"}
"""Values that are said in words of all kinds, never as they stand."""
SENTENCES = {
    "INFORM": "{} is {}",
    "CONFIRM": "please confirm that {} is {}",
    "OFFER": "I suggest {} {}",
    "REQUEST": "which {} {}",
}
WITHOUT_SLOT = {
    "NOTIFY_SUCCESS": "it is done.",
    "NOTIFY_FAILURE": "it did not work.",
    "REQ_MORE": "anything else?",
    "GOODBYE": "goodbye.",
}


@dataclass(frozen=True)
class Pair:
    request: Request
    reply: str | None
    """With placeholders; None where the values do not stand in the text as the acts have them."""
    text: str
    """As it was said."""


def load_sgd(path: Path) -> Iterator[Pair]:
    """One pair for each turn of the system, in order. Raises DataError."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield from _pairs(json.loads(line)["turns"])
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise DataError(f"{path}:{number}: not a dialogue with acts ({error!r})") from error
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as gzip ({error})") from error


def _pairs(turns: Sequence[Mapping[str, Any]]) -> Iterator[Pair]:
    customer = ""
    for turn in turns:
        if turn["speaker"] == "USER":
            customer = turn["utterance"]
            continue
        acts = [
            (action["act"], action["slot"], tuple(action["values"]), _name(frame["service"]))
            for frame in turn["frames"]
            for action in frame["actions"]
        ]
        facts = dict.fromkeys(
            (slot, v) for act, slot, own, _ in acts for v in own if v not in WORDS and act != "OFFER_INTENT"
        )
        if len(facts) > len(PLACEHOLDERS):
            continue
        marks = dict(zip(facts, PLACEHOLDERS, strict=False))
        request = Request(
            "+".join(dict.fromkeys(act for act, *_ in acts)),
            say(acts, marks),
            tuple(value for _, value in facts),
            customer,
        )
        yield Pair(request, delexicalise(turn["utterance"], marks), turn["utterance"])


Act = tuple[str, str, tuple[str, ...], str]
"""Act, slot, values, service."""


def say(acts: Sequence[Act], marks: Mapping[tuple[str, str], str]) -> str:
    """Plain sentences that name the service first; `marks` are the placeholders of slots with values."""
    services = list(dict.fromkeys(service for *_, service in acts))
    parts = [f"{' and '.join(services)}:"]
    previous = ""
    for act, slot, values, _ in acts:
        name = _split(slot)
        shown = " or ".join(_shown(slot, value, marks) for value in values)
        if act in SENTENCES:
            start, _, end = SENTENCES[act].partition("{}")
            sentence = f"{name}{end.format(shown)}".strip()
            if act == previous:
                parts[-1] = f"{parts[-1].rstrip('.?')}, {sentence}"
            else:
                parts.append(start + sentence)
            parts[-1] += "?" if act in ("CONFIRM", "REQUEST") else "."
        elif act == "OFFER_INTENT":
            parts.append(f"shall I {' or '.join(_split(value).lower() for value in values)}?")
        elif act == "INFORM_COUNT":
            parts.append(f"I found {shown}.")
        else:
            parts.append(WITHOUT_SLOT.get(act, f"{_split(act).lower()} {name} {shown}.".replace("  ", " ")))
        previous = act
    return " ".join(parts)


def _shown(slot: str, value: str, marks: Mapping[tuple[str, str], str]) -> str:
    """A placeholder; one that stands for a single thing says so, as the words beside it depend on that."""
    mark = marks.get((slot, value), WORDS.get(value, value))
    return f"{mark} (one)" if value == "1" else mark


def delexicalise(text: str, marks: Mapping[tuple[str, str], str]) -> str | None:
    """The text with each value's placeholder for it; None where one is missing, repeated or unclear."""
    by_value = {value: mark for (_, value), mark in marks.items()}
    if len(by_value) < len(marks):
        return None
    for value in sorted(by_value, key=len, reverse=True):
        found = re.compile(rf"(?<![\w\[]){re.escape(value)}(?![\w\]])", re.IGNORECASE).findall(text)
        if len(found) != 1:
            return None
        text = text.replace(found[0], by_value[value], 1)
    left = PLACEHOLDER.sub("", text)
    return None if re.search(r"\d", left) else text


def _name(service: str) -> str:
    return _split(re.sub(r"_\d+$", "", service)).lower()


def _split(name: str) -> str:
    """account_type → account type, GetRide → get ride"""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ")
