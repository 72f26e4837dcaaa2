"""What a simulated customer means, and who hears it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nlu.understanding import Understanding
from storage.state import DialogueState

UNSAID = "…"
"""Text of messages whose words do not matter; it is no value of any slot."""
INSTEAD = "instead"
"""In the words of who wants something else than what the bot is at."""


@dataclass(frozen=True)
class Meaning:
    intent: str
    values: Mapping[str, str] = field(default_factory=dict)
    """Slot → normalised value, in the order in which they are given."""
    words: str = UNSAID
    """Where words decide: a yes, a no, an "instead", a bare value; of a pressed button all of the text."""
    pressed: bool = False
    """Whether it is a button that was pressed."""


class Ear(Protocol):
    def hear(self, meaning: Meaning, state: DialogueState) -> Understanding:
        """What the bot, in `state` after its own turn, understands of the message."""
        ...
