"""A text with its slots marked, as people read and write it: send [$50](transfer_amount) to Ann."""

import re
from collections.abc import Sequence

from domains.schema import Pack
from storage.records import Label
from storage.review import ReviewError

MARK = re.compile(r"\[([^\[\]]+)\]\((\w+)\)")
LONGEST = 4000


def mark(text: str, labels: Sequence[Label]) -> str:
    for label in sorted(labels, key=lambda label: -label.start):
        text = f"{text[: label.start]}[{text[label.start : label.end]}]({label.slot}){text[label.end :]}"
    return text


def read_marks(marked: str, pack: Pack) -> tuple[str, tuple[Label, ...]]:
    """The inverse of `mark`. Raises ReviewError for slots that the pack does not have."""
    marked = marked.strip()
    if not marked or len(marked) > LONGEST or "\x00" in marked:
        raise ReviewError(f"The message has 1 to {LONGEST} characters")
    text, labels, at = "", [], 0
    for found in MARK.finditer(marked):
        text += marked[at : found.start()]
        if found[2] not in pack.slots:
            raise ReviewError(f"There is no slot {found[2]!r}; there are: {', '.join(pack.slots)}")
        labels.append(Label(len(text), len(text) + len(found[1]), found[2]))
        text, at = text + found[1], found.end()
    return text + marked[at:], tuple(labels)
