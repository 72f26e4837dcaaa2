"""What colleagues do with conversations that were handed to them, and what the bot says of it."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from chatbot.bot import RATINGS, Chatbot, clean
from dialog_policy.rules import concrete
from domains.schema import Pack
from nlu.understanding import Understanding
from nlu.values import display
from storage.actions import Action
from storage.desk import Case, Desk
from storage.hearing import hear
from storage.masking import mask
from storage.records import Button, HandoffReason, Message
from storage.staff import Staff
from storage.state import DialogueState, act, give_back

HIDDEN = "••••"
REASONS: dict[HandoffReason, str] = {
    "asked": "Asked for a person",
    "identity": "Could not prove who they are",
    "upset": "Is upset",
    "not_understood": "Was not understood",
    "judged": "The bot judged it better",
}
NUMBER = re.compile(r"(?<![\d$·])\d{4,}")
SHORTEST_SECRET = 3
LONGEST_SUGGESTION = 6
"""Actions in one reply."""


@dataclass(frozen=True)
class Suggestion:
    """What the bot would do next. Nothing of it is done."""

    text: str
    """What it would say; empty where it would ask the business system first, or has nothing to say."""
    execution: str = ""
    """The task that it would carry out first."""


class AgentDesk:
    def __init__(self, bot: Chatbot, desk: Desk) -> None:
        self.bot, self.store = bot, desk

    def claim(self, conversation_id: str, staff: Staff) -> None:
        """Raises NotYours where somebody was first."""
        greeting = self.bot.writer.fixed("colleague_joined", 0, {"colleague": staff.name})
        self.store.claim(conversation_id, staff, greeting)

    def say(self, conversation_id: str, staff: Staff, text: str) -> Message:
        """Raises BadMessage, NotYours."""
        return self.store.say(conversation_id, staff, clean(text))

    def add_note(self, conversation_id: str, staff: Staff, text: str) -> None:
        """Raises BadMessage."""
        self.store.add_note(conversation_id, staff, clean(text))

    def give_back(self, conversation_id: str, staff: Staff) -> None:
        """Raises NotYours."""
        task = self.bot.store.state(conversation_id).task
        facts = {"task": self.bot.pack.intents[task].description} if task else {}
        self.store.give_back(conversation_id, staff, self.bot.writer.fixed("returned", 0, facts))

    def resolve(self, conversation_id: str, staff: Staff) -> None:
        """Raises NotYours."""
        stars = tuple(Button(f"{rating} ★", rating) for rating in RATINGS)
        self.store.resolve(conversation_id, staff, self.bot.writer.fixed("resolved", 0, buttons=stars))

    def suggest(self, case: Case) -> Suggestion:
        """What the bot would answer now to what was written since it handed the conversation over.

        Nothing while the last word is a colleague's.
        """
        if case.messages[-1].author == "agent":
            return Suggestion("")
        since = [heard for turn, heard in case.heard.items() if turn > case.turn]
        return suggest(self.bot, case, since)


def suggest(bot: Chatbot, case: Case, heard: Sequence[Understanding]) -> Suggestion:
    policy = bot.policies.of(case.conversation_id, None)
    state = give_back(case.state)
    for understanding in heard:
        state = hear(state, understanding, bot.pack)
    if not heard and state.task is None:
        return Suggestion("")
    actions: list[Action] = []
    while len(actions) < LONGEST_SUGGESTION and not (actions and actions[-1].waits):
        action = concrete(policy.choose(state).action, state)
        if action.kind in ("authenticate", "execute"):
            return Suggestion("", action.argument or bot.pack.domain.authentication.task)
        if action.kind == "handoff":
            return Suggestion("")
        actions.append(action)
        state = act(state, action, bot.pack)
    return Suggestion(bot.writer.write(actions, state, 0).text)


def hide(text: str, secrets: Collection[str]) -> str:
    """`text` as it is shown until somebody reveals it: without the `secrets`, and without longer numbers."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = re.sub(re.escape(secret), HIDDEN, text, flags=re.IGNORECASE)
    return NUMBER.sub(HIDDEN, mask(text))


def secrets_of(case: Case, pack: Pack) -> set[str]:
    """Sensitive values of the conversation, as they were written and as they were understood."""
    known = (*case.state.slots.items(), *case.state.tried.items())
    values = [(name, found.value) for name, found in known]
    values += [(one.slot, one.text) for heard in case.heard.values() for one in heard.entities]
    secrets = {value for name, value in values if pack.slots[name].sensitive}
    return {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}


def describe_slots(state: DialogueState, pack: Pack, *, revealed: bool) -> list[tuple[str, str]]:
    """Label and value of what is known; sensitive values hidden until they are `revealed`."""
    found = []
    for name, known in state.slots.items():
        slot = pack.slots[name]
        if slot.sensitive:
            found.append((slot.label, known.value if revealed else HIDDEN))
        else:
            found.append((slot.label, display(slot, known.value, pack.domain.currency)))
    return found
