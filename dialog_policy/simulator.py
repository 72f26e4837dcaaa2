"""Simulated customers with an agenda (after Schatzmann et al. 2007), at the level of meanings."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from dialog_policy.ear import UNSAID, NoisyEar
from dialog_policy.population import Kind
from domains.backend import ActionResult
from domains.schema import OUT_OF_SCOPE, Pack, Slot
from nlu.understanding import Understanding
from storage.actions import Action
from storage.state import PERSON, DialogueState

LONGEST = 30
"""Messages after which every customer gives up."""
OTHER_OUTCOME = 0.1
"""How often a business system says something else than done, such as insufficient funds."""


@dataclass
class Item:
    """One thing the customer came for: a task with its values, or a topic."""

    name: str
    values: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    """What the customer says at first; differs from `values` in a slip."""


class Customer:
    """Remembers what it wants, answers what the bot does, and judges the end."""

    def __init__(self, pack: Pack, name: str, kind: Kind, ear: NoisyEar, rng: random.Random) -> None:
        self.pack, self.kind_name, self.kind, self.ear, self.rng = pack, name, kind, ear, rng
        self.credentials = self._draw_credentials()
        self.tasks = [self._draw_task() for _ in range(rng.randint(*kind.tasks))]
        topics = [name for name in pack.topics if name in pack.intents]
        self.questions = [Item(topic) for topic in rng.sample(topics, rng.randint(*kind.questions))]
        self.patience = rng.randint(*kind.patience)
        self.annoyance = 0
        self.messages = 0
        self.told: set[str] = set()
        self.refused = False
        self.left = False
        self.wrong_executions = 0
        self._consents: list[tuple[str, tuple[tuple[str, str], ...]]] = []

    # ── the business system, as far as this customer is concerned ──

    def execute(self, task: str, values: dict[str, str]) -> ActionResult:
        """What the business answers; counts executions that the customer did not agree to."""
        if task == self.pack.domain.authentication.task:
            good = not self.kind.wrong_credentials and all(self._knows(s, v) for s, v in values.items())
            return ActionResult("verified", {"customer_id": "1"}) if good else ActionResult("not_matched")
        agreed = (task, tuple(sorted(values.items())))
        if self.pack.tasks[task].confirm and agreed not in self._consents:
            self.wrong_executions += 1
        item = next((i for i in self.tasks if i.name == task), None)
        if item is not None and all(item.values.get(s) == v for s, v in values.items() if s in item.values):
            self.tasks.remove(item)
            self.annoyance = 0
            if self.rng.random() < OTHER_OUTCOME:
                return ActionResult(next(iter(set(self.pack.tasks[task].outcomes) - {"done"}), "done"))
        return ActionResult("done")

    # ── the conversation ──

    def open(self) -> Understanding:
        """The first message."""
        return self._speak(self._wish())

    def answer(self, actions: Sequence[Action], state: DialogueState) -> Understanding | None:
        """The answer to a turn of the bot; None when the customer is gone."""
        before = (len(self.tasks), len(self.questions), len(self.told))
        for action in actions:
            if action.kind == "answer":
                self.questions = [q for q in self.questions if q.name != action.argument]
            elif action.kind == "decline" and self.kind.out_of_scope:
                self.refused = True
        last = actions[-1]
        if last.kind in ("handoff", "close"):
            return None
        if self.messages >= LONGEST or self.annoyance >= self.patience:
            self.left = True
            return None
        heard = self._speak(self._reaction(last, state))
        progress = (len(self.tasks), len(self.questions), len(self.told)) != before
        self.annoyance = self.annoyance if progress else self.annoyance + 1
        return heard

    def satisfied(self, handed_over: bool) -> bool:
        """Whether the customer got what it came for, or rightly did not."""
        if self.kind.wants_person:
            return handed_over
        if self.kind.wrong_credentials:
            return handed_over or not self.tasks
        if self.kind.out_of_scope:
            return self.refused
        return not self.tasks and not self.questions

    # ── what to say ──

    def _speak(self, heard: Understanding) -> Understanding:
        self.messages += 1
        return heard

    def _wish(self, instead: bool = False) -> Understanding:
        """Say what is still wanted: the next task with some of its values, or the next question."""
        text = "instead" if instead else UNSAID
        if self.kind.wants_person:
            return self.ear.hear([PERSON], {})
        if self.kind.out_of_scope and not self.refused:
            return self.ear.hear([OUT_OF_SCOPE], {})
        if self.tasks and not (self.questions and self.rng.random() < 0.3):
            item = self.tasks[0]
            return self.ear.hear([item.name], self._volunteered(item), text)
        if self.questions:
            return self.ear.hear([self.questions[0].name], {}, text)
        return self.ear.hear([self.rng.choice(["goodbye", "deny", "deny", "thanks"])], {}, "no thanks")

    def _reaction(self, last: Action, state: DialogueState) -> Understanding:
        if self.rng.random() < self.kind.small_talk:
            return self.ear.hear(["remark"], {})
        wrong_credentials = self.kind.wrong_credentials and state.authentication_failures >= 2
        if wrong_credentials:
            return self.ear.hear([PERSON], {})
        match last.kind:
            case "ask":
                return self._give(last.argument, state)
            case "identify":
                return self._identify(state)
            case "confirm":
                return self._check(state)
            case "clarify":
                return self._choose(state)
            case _:
                return self._wish()

    def _give(self, slot: str, state: DialogueState) -> Understanding:
        item = self._item(state)
        if item is None:
            return self._protest()
        if self.questions and self.rng.random() < 0.4:
            return self.ear.hear([self.questions[0].name], {})
        if self.rng.random() < self.kind.change_of_mind / 3:
            self.tasks[self.tasks.index(item)] = changed = self._draw_task()
            return self.ear.hear([changed.name], self._volunteered(changed), "instead")
        values = self._answer_for(slot, item)
        if not values:
            return self.ear.hear(["deny"], {}, "no")
        self.told |= values.keys()
        alone = len(values) == 1
        return self.ear.hear(["inform"], values, next(iter(values.values())) if alone else UNSAID)

    def _identify(self, state: DialogueState) -> Understanding:
        """All credentials in one message."""
        if self._item(state) is None:
            return self._protest()
        return self.ear.hear(["inform"], self.credentials)

    def _protest(self) -> Understanding:
        """The bot wants details for what nobody asked for."""
        return self._wish(instead=True) if self._wants_more() else self.ear.hear(["cancel"], {}, "cancel")

    def _answer_for(self, slot: str, item: Item) -> dict[str, str]:
        """The asked value, and perhaps others that the customer thinks are needed."""
        known = {**self.credentials, **item.said}
        if slot not in known and slot == "card_number" and "account_number" in known:
            slot = "account_number"
        if slot not in known:
            return {}
        untold = {other: value for other, value in known.items() if other not in self.told and other != slot}
        extra = {other: v for other, v in untold.items() if self.rng.random() < self.kind.volunteers / 2}
        return {slot: known[slot], **extra}

    def _check(self, state: DialogueState) -> Understanding:
        """Answer "shall I go ahead?": yes, or what is wrong."""
        item = self._item(state)
        if item is None:
            return self._wish(instead=True) if self._wants_more() else self.ear.hear(["deny"], {}, "no")
        item.said = dict(item.values)
        shown = {s: state.slots[s].value for s in self.pack.tasks[item.name].slots if s in state.slots}
        wrong = {s: item.values[s] for s, v in shown.items() if item.values[s] != v}
        if wrong:
            return self.ear.hear(["inform"], wrong, "no")
        task = self.pack.tasks[item.name]
        values = {s: v.value for s, v in state.slots.items() if s in (*task.slots, *task.optional)}
        self._consents.append((item.name, tuple(sorted(values.items()))))
        if self.rng.random() < 0.5:
            return self.ear.clearly("affirm", "Yes, go ahead")
        return self.ear.hear(["affirm"], {}, "yes")

    def _choose(self, state: DialogueState) -> Understanding:
        wanted = [i.name for i in (*self.tasks, *self.questions)]
        if self.kind.wants_person:
            wanted = [PERSON]
        for option in state.clarifying:
            if option in wanted:
                return self.ear.clearly(option, self.pack.intents[option].description)
        return self._wish(instead=True)

    def _item(self, state: DialogueState) -> Item | None:
        return next((item for item in self.tasks if item.name == state.task), None)

    def _wants_more(self) -> bool:
        return bool(self.tasks or self.questions)

    def _volunteered(self, item: Item) -> dict[str, str]:
        values = {
            s: v
            for s, v in {**self.credentials, **item.said}.items()
            if self.rng.random() < self.kind.volunteers / 2
        }
        self.told |= values.keys()
        return values

    # ── goals ──

    def _draw_credentials(self) -> dict[str, str]:
        values = {}
        for entry in self.pack.domain.authentication.slots:
            slot = entry if isinstance(entry, str) else self.rng.choice(entry)
            values[slot] = random_value(self.pack.slots[slot], self.rng)
        return values

    def _knows(self, slot: str, value: str) -> bool:
        return self.credentials.get(slot) == value or any(i.values.get(slot) == value for i in self.tasks)

    def _draw_task(self) -> Item:
        names = [name for name in self.pack.tasks if name in self.pack.intents]
        name = self.rng.choice(names)
        slots = self.pack.tasks[name].slots
        values = {s: self.credentials.get(s) or random_value(self.pack.slots[s], self.rng) for s in slots}
        said = dict(values)
        own = [s for s in slots if s not in self.credentials]
        if own and self.rng.random() < self.kind.correction:
            slip = self.rng.choice(own)
            said[slip] = random_value(self.pack.slots[slip], self.rng)
        return Item(name, values, said)


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
