"""Understandings written by hand, and a parser that knows them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from nlu.past import NO_PAST, Past
from nlu.understanding import Entity, IntentScore, Understanding


def understood(
    text: str,
    wishes: Iterable[str] = (),
    values: Mapping[str, str] | None = None,
    sure: float = 0.95,
    outside: float = 0.0,
) -> Understanding:
    """`values` are slot → the part of the text that gives it."""
    wishes = tuple(wishes)
    scores = tuple(IntentScore(wish, sure) for wish in wishes) or (IntentScore("remark", 1 - outside),)
    entities = tuple(
        Entity(slot, text.index(part), text.index(part) + len(part), part, None, 0.9)
        for slot, part in (values or {}).items()
    )
    return Understanding(text, scores, wishes, entities, outside)


class ScriptedParser:
    """Text → understanding; anything else is a remark."""

    def __init__(self, *heard: Understanding) -> None:
        self.heard = {one.text: one for one in heard}
        self.asked: list[str | None] = []
        """The slot that the bot had asked for, message by message."""
        self.folder: Path | None = None
        self.before: Callable[[], None] = lambda: None
        """Called before each answer."""

    def parse(
        self, text: str, context: Sequence[str] = (), asked: str | None = None, past: Past = NO_PAST
    ) -> Understanding:
        self.before()
        self.asked.append(asked)
        return self.heard.get(text) or understood(text, ["remark"])
