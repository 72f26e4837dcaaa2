"""What a customer has wanted and given earlier in the conversation, as the encoder reads it.

A bare number is told from another by what was given before: after the Social Security number comes the
account number. The messages themselves are soon too many, so this stands before the last of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from domains.schema import Pack

LONGEST = 8
"""Intents and slots that are named, the latest."""


@dataclass(frozen=True)
class Past:
    intents: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    """Each once, in the order in which they came first."""

    def after(self, intents: Iterable[str], slots: Iterable[str]) -> "Past":
        """With what one more message held."""
        return Past(_joined(self.intents, intents), _joined(self.slots, slots))

    def of_tasks(self, pack: Pack | None) -> "Past":
        """With a pack only its tasks count as wanted: that is what a conversation's state holds."""
        if pack is None:
            return self
        return replace(self, intents=tuple(name for name in self.intents if name in pack.tasks))

    @property
    def told(self) -> tuple[str, ...]:
        """As one line for the context; none where there is nothing to tell."""
        if not self.intents and not self.slots:
            return ()
        intents, slots = (", ".join(names[-LONGEST:]) for names in (self.intents, self.slots))
        return (f"{intents}: {slots}".replace("_", " ").strip(": "),)


NO_PAST = Past()


def _joined(names: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*names, *more)))
