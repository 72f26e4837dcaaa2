"""Simulated customers with an agenda (after Schatzmann et al. 2007), at the level of meanings."""

import random
from collections.abc import Sequence

from dialog_policy.goals import DrawValue, Goals, Item
from dialog_policy.meaning import INSTEAD, UNSAID, Meaning
from dialog_policy.population import Kind
from domains.backend import ActionResult
from domains.schema import OUT_OF_SCOPE, Pack
from storage.actions import Action
from storage.state import PERSON, DialogueState

LONGEST = 30
"""Messages after which every customer gives up."""
ONE_BY_ONE = 0.2
"""How often one who is asked for several things answers the first alone."""
OTHER_OUTCOME = 0.1
"""How often a business system says something else than done, such as insufficient funds."""


class Customer:
    """Remembers what it wants, answers what the bot does, and judges the end."""

    def __init__(
        self, pack: Pack, name: str, kind: Kind, rng: random.Random, draw: DrawValue | None = None
    ) -> None:
        self.pack, self.kind_name, self.kind, self.rng = pack, name, kind, rng
        self.goals = Goals(pack, kind, rng, draw)
        self.credentials = self.goals.credentials()
        self.tasks = [self.goals.task(self.credentials) for _ in range(rng.randint(*kind.tasks))]
        self.questions = self.goals.questions()
        self.patience = rng.randint(*kind.patience)
        self.upset = kind.mood.upset
        self.annoyance = 0
        self.messages = 0
        self.told: set[str] = set()
        self.wants_person = kind.wants_person
        self.declined = False
        self.left = False
        self.wrong_executions = 0
        self._refusals = 0
        self._consents: list[tuple[str, tuple[tuple[str, str], ...]]] = []
        self._victim: dict[str, str] = {}
        if kind.is_fraud:
            self._tries = rng.randint(*kind.fraud)
            self._victim = self.credentials
            self._unknown = rng.sample(list(self._victim), rng.randint(1, max(len(self._victim) - 1, 1)))
            self._guess()

    # ── the business system, as far as this customer is concerned ──

    def execute(self, task: str, values: dict[str, str]) -> ActionResult:
        """What the business answers; counts executions without the customer's yes, or gained by fraud."""
        result = self._execute(task, values)
        if result.outcome not in ("done", "verified"):
            self._refusals += 1
        return result

    def _execute(self, task: str, values: dict[str, str]) -> ActionResult:
        if task == self.pack.domain.authentication.task:
            return self._authenticate(values)
        agreed = (task, tuple(sorted(values.items())))
        unagreed = self.pack.tasks[task].confirm and agreed not in self._consents
        gained = self.kind.is_fraud and self.pack.tasks[task].authentication == "customer"
        if unagreed or gained:
            self.wrong_executions += 1
        item = next((i for i in self.tasks if i.name == task), None)
        if item is not None and all(item.values.get(s) == v for s, v in values.items() if s in item.values):
            self.tasks.remove(item)
            self.annoyance = 0
            if self.rng.random() < OTHER_OUTCOME:
                return ActionResult(next(iter(set(self.pack.tasks[task].outcomes) - {"done"}), "done"))
        return ActionResult("done")

    def _authenticate(self, values: dict[str, str]) -> ActionResult:
        if self.kind.is_fraud:
            good = all(self._victim.get(slot) == value for slot, value in values.items())
            self._tries -= not good
            self._guess()
        else:
            good = not self.kind.wrong_credentials and all(self._knows(s, v) for s, v in values.items())
        return ActionResult("verified", {"customer_id": "1"}) if good else ActionResult("not_matched")

    # ── the conversation ──

    def open(self) -> Meaning:
        """The first message."""
        return self._speak(self._wish())

    def answer(self, actions: Sequence[Action], state: DialogueState) -> Meaning | None:
        """The answer to a turn of the bot; None when the customer is gone."""
        before = (len(self.tasks), len(self.questions), len(self.told))
        for action in actions:
            if action.kind == "answer":
                self.questions = [q for q in self.questions if q.name != action.argument]
            elif action.kind == "decline" and self.kind.out_of_scope:
                self.declined = True
        last = actions[-1]
        if last.kind in ("handoff", "close"):
            return None
        if self.kind.is_fraud and self._tries <= 0:
            return None
        self._feel(actions, state)
        if self.messages >= LONGEST or self.annoyance >= self._bears():
            self.left = not self.kind.is_fraud
            return None
        meant = self._speak(self._reaction(last, state))
        progress = (len(self.tasks), len(self.questions), len(self.told)) != before
        self.annoyance = self.annoyance if progress else self.annoyance + 1
        return meant

    def satisfied(self, handed_over: bool) -> bool:
        """Whether the customer got what it came for, or rightly did not."""
        if self.kind.is_fraud:
            return self.wrong_executions == 0
        if self.kind.wants_person:
            return handed_over
        if self.wants_person and handed_over:
            return True
        if self.kind.wrong_credentials:
            return handed_over or not self.tasks
        if self.kind.out_of_scope:
            return self.declined
        return not self.tasks and not self.questions

    @property
    def needs_person(self) -> bool:
        """Whether handing over is right, whatever has been done."""
        return self.wants_person or self.kind.wrong_credentials or self.kind.is_fraud

    # ── mood ──

    def _feel(self, actions: Sequence[Action], state: DialogueState) -> None:
        """What the bot's turn adds to how upset the customer is."""
        mood, last = self.kind.mood, actions[-1]
        foreign = last.kind in ("ask", "confirm", "identify") and self._item(state) is None
        if last.kind in ("clarify", "rephrase") or foreign:
            self.upset += mood.misunderstood
        elif last.kind == "ask" and last.argument in self.told:
            self.upset += mood.asked_again
        if self._refusals or any(action.kind == "decline" for action in actions):
            self.upset += mood.refused
        self._refusals = 0
        self.upset = min(self.upset, 1.0)

    def _bears(self) -> float:
        return self.patience * (1 - self.upset / 2)

    def _asks_person(self) -> bool:
        chance = self.kind.asks_person * (1.0 if self.annoyance else self.upset)
        if chance and self.rng.random() < chance:
            self.wants_person = True
        return self.wants_person and not self.kind.wants_person

    # ── what to say ──

    def _speak(self, meant: Meaning) -> Meaning:
        self.messages += 1
        return meant

    def _wish(self, instead: bool = False) -> Meaning:
        """Say what is still wanted: the next task with some of its values, or the next question."""
        words = INSTEAD if instead else UNSAID
        if self.wants_person:
            return Meaning(PERSON)
        if self.kind.out_of_scope and not self.declined:
            return Meaning(OUT_OF_SCOPE)
        if self.tasks and not (self.questions and self.rng.random() < 0.3):
            item = self.tasks[0]
            return Meaning(item.name, self._volunteered(item), words)
        if self.questions:
            return Meaning(self.questions[0].name, words=words)
        return Meaning(self.rng.choice(["goodbye", "deny", "deny", "thanks"]), words="no thanks")

    def _reaction(self, last: Action, state: DialogueState) -> Meaning:
        if self._asks_person():
            return Meaning(PERSON)
        if self.rng.random() < self.kind.small_talk:
            angry = self.upset > 0 and self.rng.random() < self.upset
            return Meaning("insult" if angry else "remark")
        if self.kind.wrong_credentials and state.authentication_failures >= 2:
            return Meaning(PERSON)
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

    def _give(self, slot: str, state: DialogueState) -> Meaning:
        item = self._item(state)
        if item is None:
            return self._protest()
        if self.questions and self.rng.random() < 0.4:
            return Meaning(self.questions[0].name)
        if self.rng.random() < self.kind.change_of_mind / 3:
            self.tasks[self.tasks.index(item)] = changed = self.goals.task(self.credentials)
            return Meaning(changed.name, self._volunteered(changed), INSTEAD)
        values = self._answer_for(slot, item)
        if not values:
            return Meaning("deny", words="no")
        self.told |= values.keys()
        return Meaning("inform", values, next(iter(values.values())) if len(values) == 1 else UNSAID)

    def _identify(self, state: DialogueState) -> Meaning:
        """All that is missing of the credentials in one message, or only the first of it."""
        if self._item(state) is None:
            return self._protest()
        missing = state.wanted(self.pack)
        values = {slot: value for slot, value in self.credentials.items() if slot in missing}
        if self.rng.random() < ONE_BY_ONE:
            return self._give(next(iter(values)), state)
        self.told |= values.keys()
        return Meaning("inform", values)

    def _protest(self) -> Meaning:
        """The bot wants details for what nobody asked for."""
        return self._wish(instead=True) if self._wants_more() else Meaning("cancel", words="cancel")

    def _answer_for(self, slot: str, item: Item) -> dict[str, str]:
        """The asked value, and perhaps others that the customer thinks are needed."""
        known = self._in_order(item)
        if slot not in known and slot == "card_number" and "account_number" in known:
            slot = "account_number"
        if slot not in known:
            return {}
        untold = {other: value for other, value in known.items() if other not in self.told and other != slot}
        return {slot: known[slot], **self._some_of(untold)}

    def _check(self, state: DialogueState) -> Meaning:
        """Answer "shall I go ahead?": yes, or what is wrong."""
        item = self._item(state)
        if item is None:
            return self._wish(instead=True) if self._wants_more() else Meaning("deny", words="no")
        item.said = dict(item.values)
        shown = {s: state.slots[s].value for s in self.pack.tasks[item.name].slots if s in state.slots}
        wrong = {s: item.values[s] for s, v in shown.items() if item.values[s] != v}
        if wrong:
            return Meaning("inform", wrong, "no")
        task = self.pack.tasks[item.name]
        values = {s: v.value for s, v in state.slots.items() if s in (*task.slots, *task.optional)}
        self._consents.append((item.name, tuple(sorted(values.items()))))
        if self.rng.random() < 0.5:
            return Meaning("affirm", words="Yes, go ahead", pressed=True)
        return Meaning("affirm", words="yes")

    def _choose(self, state: DialogueState) -> Meaning:
        wanted = [i.name for i in (*self.tasks, *self.questions)]
        if self.wants_person:
            wanted = [PERSON]
        for option in state.clarifying:
            if option in wanted:
                return Meaning(option, words=self.pack.intents[option].description, pressed=True)
        return self._wish(instead=True)

    def _item(self, state: DialogueState) -> Item | None:
        return next((item for item in self.tasks if item.name == state.task), None)

    def _wants_more(self) -> bool:
        return bool(self.tasks or self.questions)

    def _volunteered(self, item: Item) -> dict[str, str]:
        values = self._some_of(self._in_order(item))
        self.told |= values.keys()
        return values

    def _in_order(self, item: Item) -> dict[str, str]:
        """All that the customer could say, in the order of its kind."""
        known = {**self.credentials, **item.said}
        if self.kind.order == "task_first":
            known = {**item.said, **{s: v for s, v in known.items() if s not in item.said}}
        elif self.kind.order == "shuffled":
            known = dict(self.rng.sample(list(known.items()), len(known)))
        return known

    def _some_of(self, values: dict[str, str]) -> dict[str, str]:
        said = [(s, v) for s, v in values.items() if self.rng.random() < self.kind.volunteers / 2]
        return dict(said[: self.kind.at_once])

    # ── credentials ──

    def _knows(self, slot: str, value: str) -> bool:
        return self.credentials.get(slot) == value or any(i.values.get(slot) == value for i in self.tasks)

    def _guess(self) -> None:
        """Of another's identity what is known, and a new guess at the rest, never the right one."""
        self.credentials = dict(self._victim)
        for slot in self._unknown:
            while self.credentials[slot] == self._victim[slot]:
                self.credentials[slot] = self.goals.draw(slot, self.rng)
