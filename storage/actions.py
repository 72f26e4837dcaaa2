"""What the bot can do next."""

from dataclasses import dataclass
from typing import Literal, cast

ActionKind = Literal[
    "greet",
    "answer",
    "decline",
    "cancel",
    "authenticate",
    "execute",
    "ask",
    "identify",
    "confirm",
    "clarify",
    "rephrase",
    "offer_more",
    "handoff",
    "close",
]

GOES_ON = frozenset({"greet", "answer", "decline", "cancel", "authenticate", "execute"})
"""Kinds after which the bot goes on in the same turn; every other kind waits for the customer."""


@dataclass(frozen=True)
class Action:
    kind: ActionKind
    argument: str = ""
    """The slot of ask, the task of confirm and execute, the topic of answer; else empty."""

    def __str__(self) -> str:
        return f"{self.kind}({self.argument})" if self.argument else self.kind

    @classmethod
    def read(cls, text: str) -> "Action":
        """The action that `str` made `text` of."""
        kind, _, argument = text.removesuffix(")").partition("(")
        return cls(cast(ActionKind, kind), argument)

    @property
    def waits(self) -> bool:
        """Whether the turn goes back to the customer with this action."""
        return self.kind not in GOES_ON
