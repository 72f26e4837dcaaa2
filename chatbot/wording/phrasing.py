"""Phrasings of a pack as requests to a generator, and back to text with the facts put in."""

import re
from collections.abc import Mapping, Sequence

from chatbot.wording.generator import UnfitRequest
from chatbot.wording.request import Request
from chatbot.wording.tokens import PLACEHOLDER, PLACEHOLDERS
from domains.schema import PLACEHOLDER as NAME

NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


def ask(
    key: str, phrasing: str, facts: Mapping[str, str], customer: str = "", *, upset: bool = False
) -> Request:
    """The request for a phrasing with {names}. Each fact has one number, and so has a number that is said.

    Raises UnfitRequest where that cannot be.
    """
    marks: dict[str, str] = {}
    values: list[str] = []

    def mark(found: re.Match[str]) -> str:
        name = found[0]
        if name not in marks:
            values.append(facts[name[1:-1]] if name.startswith("{") else name)
            marks[name] = f"[{len(values)}]"
        return marks[name]

    say = re.sub(f"{NAME.pattern}|{NUMBER.pattern}", mark, phrasing)
    if len(values) > len(PLACEHOLDERS):
        raise UnfitRequest(f"more than {len(PLACEHOLDERS)} facts")
    empty = [name for name, number in marks.items() if not values[int(number[1:-1]) - 1].strip()]
    if empty:
        raise UnfitRequest(f"fact {empty[0]} is empty")
    return Request(key, say, tuple(values), customer, upset, finished=True)


def fill(text: str, facts: Sequence[str]) -> str:
    """The text with the facts in their places; a placeholder without a fact stays."""
    return PLACEHOLDER.sub(
        lambda found: facts[int(found[1]) - 1] if 0 < int(found[1]) <= len(facts) else found[0], text
    )
