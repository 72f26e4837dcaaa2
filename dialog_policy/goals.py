"""What a simulated customer comes for, and what it knows of itself."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from dialog_policy.population import Kind
from domains.schema import Pack, Slot

DrawValue = Callable[[str, random.Random], str]
"""A slot's name → a normalised value of it."""


@dataclass
class Item:
    """One thing the customer came for: a task with its values, or a topic."""

    name: str
    values: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    """What the customer says at first; differs from `values` in a slip."""


class Goals:
    """Draws the goals of one kind of customer."""

    def __init__(self, pack: Pack, kind: Kind, rng: random.Random, draw: DrawValue | None = None) -> None:
        self.pack, self.kind, self.rng = pack, kind, rng
        self.draw = draw or (lambda slot, rng: random_value(pack.slots[slot], rng))
        self._tasks = goals_among(kind, [name for name in pack.tasks if name in pack.intents])
        self._topics = goals_among(kind, [name for name in pack.topics if name in pack.intents])

    def credentials(self) -> dict[str, str]:
        values = {}
        for slots in self.pack.domain.authentication.parts:
            slot = self.rng.choice(slots) if len(slots) > 1 else slots[0]
            values[slot] = self.draw(slot, self.rng)
        return values

    def task(self, credentials: dict[str, str]) -> Item:
        name = self._one_of(self._tasks)
        slots = self.pack.tasks[name].slots
        values = {s: credentials.get(s) or self.draw(s, self.rng) for s in slots}
        said = dict(values)
        own = [s for s in slots if s not in credentials]
        if own and self.rng.random() < self.kind.correction:
            slip = self.rng.choice(own)
            said[slip] = self.draw(slip, self.rng)
        return Item(name, values, said)

    def questions(self) -> list[Item]:
        """Different ones; fewer than wanted where there are fewer topics."""
        count = min(self.rng.randint(*self.kind.questions), len(self._topics))
        if not self.kind.goals:
            return [Item(topic) for topic in self.rng.sample(self._topics, count)]
        left, drawn = list(self._topics), list[Item]()
        while left and len(drawn) < count:
            drawn.append(Item(self._one_of(left)))
            left.remove(drawn[-1].name)
        return drawn

    def _one_of(self, names: Sequence[str]) -> str:
        if not self.kind.goals:
            return self.rng.choice(names)
        return self.rng.choices(names, weights=[self.kind.goals[name] for name in names])[0]


def goals_among(kind: Kind, names: Sequence[str]) -> list[str]:
    return [name for name in names if not kind.goals or name in kind.goals]


def random_value(slot: Slot, rng: random.Random) -> str:
    """A normalised value of the slot's type."""
    match slot.type:
        case "choice":
            return rng.choice(list(slot.choices))
        case "amount":
            return f"{rng.randint(1, 3000)}.{rng.choice(['00', '50', '99'])}"
        case "date":
            return (date.today() - timedelta(days=rng.randint(0, 60))).isoformat()
        case "time":
            return f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
        case "count":
            return str(rng.randint(1, 9))
        case "person_name":
            return f"{_word(rng)} {_word(rng)}"
        case "address":
            return f"{rng.randint(1, 999)} {_word(rng)} Street, {_word(rng)} {rng.randint(10000, 99999)}"
        case "account_number":
            return str(rng.randint(10**9, 10**10 - 1))
        case "card_number" | "ssn_last4":
            return str(rng.randint(1000, 9999))
        case "text":
            return _word(rng)


def _word(rng: random.Random) -> str:
    letters = (rng.choice("bdfglmnprst") + rng.choice("aeiou") for _ in range(rng.randint(2, 3)))
    return "".join(letters).capitalize()
