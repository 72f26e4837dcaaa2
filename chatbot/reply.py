"""From the bot's actions to words and quick replies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from domains.schema import OPTIONAL_PART, PLACEHOLDER, Pack
from nlu.values import display
from storage.actions import Action
from storage.records import Button, Draft
from storage.state import DialogueState, Result

NOTHING: Mapping[str, str] = MappingProxyType({})


class MissingFact(Exception):
    """A phrasing needs a fact that the action does not give."""


class Writer(Protocol):
    """Makes the bot's messages."""

    def write(self, actions: Sequence[Action], state: DialogueState, variant: int) -> Draft:
        """One message for all actions of a turn; `variant` picks among equal phrasings.

        `state` is the state after the turn; its results belong to the executing actions in order.
        Raises MissingFact.
        """
        ...

    def fixed(
        self, key: str, variant: int, facts: Mapping[str, str] = NOTHING, buttons: tuple[Button, ...] = ()
    ) -> Draft:
        """A message of the conversation itself, such as the handover."""
        ...

    def opening(self) -> Draft:
        """The first words of a conversation."""
        ...


@dataclass(frozen=True)
class Part:
    """What one action has to say: the key of its phrasings, or the name of a topic, and its facts."""

    key: str
    facts: Mapping[str, str]


class TemplateReply:
    """Replies from the pack's phrasings: they state the facts they are given and nothing else."""

    name = "template"

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self._names = {"business": pack.domain.business, "assistant": pack.domain.assistant}

    def write(self, actions: Sequence[Action], state: DialogueState, variant: int) -> Draft:
        texts = [self.word(part, variant) for part in self.parts(actions, state)]
        return Draft(" ".join(dict.fromkeys(texts)), self.buttons(actions, state), self.name)

    def fixed(
        self, key: str, variant: int, facts: Mapping[str, str] = NOTHING, buttons: tuple[Button, ...] = ()
    ) -> Draft:
        return Draft(self.word(Part(key, facts), variant), buttons, self.name)

    def opening(self) -> Draft:
        parts = Part("greet", {}), Part("offer_help", {})
        return Draft(" ".join(self.word(part, 0) for part in parts), (), self.name)

    def parts(self, actions: Sequence[Action], state: DialogueState) -> list[Part]:
        """What there is to say, in order."""
        results = list(state.results)
        parts = []
        for before, action in zip((None, *actions), actions, strict=False):
            if action.kind == "offer_more" and self._asks(before):
                continue
            executed = results.pop(0) if action.kind in ("authenticate", "execute") and results else None
            if executed is not None and executed.earlier:
                parts.append(Part("earlier_request", {}))
            if action.kind == "offer_more" and before is None and state.has_news:
                parts.append(Part("noted", {}))  # details, and nobody knows yet what for
            else:
                parts.append(Part(*self._phrase(action, executed, state)))
        return parts

    def _asks(self, action: Action | None) -> bool:
        """Whether an action is an answer that is a question itself."""
        return action is not None and action.kind == "answer" and self.pack.intents[action.argument].asks

    def word(self, part: Part, variant: int) -> str:
        """Raises MissingFact."""
        if part.key in self.pack.topics:
            return self.pack.topics[part.key].text
        phrasing, facts = self.phrasing(part, variant)
        return PLACEHOLDER.sub(lambda match: facts[match[1]], phrasing)

    def phrasing(self, part: Part, variant: int) -> tuple[str, Mapping[str, str]]:
        """One of the pack's phrasings with what is said in this case, and all facts. Raises MissingFact."""
        phrasings = self.pack.replies[part.key]
        facts = {**self._names, **part.facts}
        text = OPTIONAL_PART.sub(
            lambda found: found[1] if facts.keys() >= {*PLACEHOLDER.findall(found[1])} else "",
            phrasings[variant % len(phrasings)],
        )
        missing = [name for name in PLACEHOLDER.findall(text) if name not in facts]
        if missing:
            raise MissingFact(f"reply '{part.key}' needs '{missing[0]}', which the action does not give")
        return text, facts

    def _phrase(
        self, action: Action, executed: Result | None, state: DialogueState
    ) -> tuple[str, Mapping[str, str]]:
        """The key of the phrasing (or the name of a topic) and the facts that go into it."""
        match action.kind:
            case "authenticate" | "execute" if executed is None:
                return "backend_unavailable", {}
            case "authenticate" if executed and state.customer_id is not None:
                return "authenticate.verified", executed.facts
            case "authenticate":
                return ("authenticate.locked" if state.locked else "authenticate.failed"), {}
            case "execute" if executed:
                return f"{executed.task}.{executed.outcome}", executed.facts
            case "answer":
                in_topics = action.argument in self.pack.topics
                return (action.argument if in_topics else f"answer.{action.argument}"), {}
            case "ask" if action.argument in state.invalid:
                return f"invalid.{action.argument}", {"reason": state.invalid[action.argument]}
            case "ask" if len(held := state.held.get(action.argument, {})) > 1:
                return f"choose.{action.argument}", {"held": _listed(list(held.values()))}
            case "ask":
                return f"ask.{action.argument}", {}
            case "confirm":
                return f"confirm.{action.argument}", self._values(state)
            case "identify":
                return "identify", self._missing_proof(state)
            case "clarify":
                first, second = (self.pack.intents[name].description for name in state.clarifying)
                return "clarify", {"first": first, "second": second}
            case "greet" if state.turn > 1:
                return "greet_again", {}
            case "offer_more" if state.completed or state.turn > 1:
                return "offer_more", {}
            case "offer_more":
                return "offer_help", {}
            case "cancel" if state.completed and state.dropped is None and self.pack.domain.undo:
                return "cannot_undo", {}
            case "cancel":
                return "cancelled", {}
            case _:
                return action.kind, {}

    def _missing_proof(self, state: DialogueState) -> dict[str, str]:
        """The names of what is still to be known, with what would do in its place."""
        labels = {name: slot.label for name, slot in self.pack.slots.items()}
        return {slots[0]: " or ".join(labels[s] for s in slots) for slots in state.open_proof(self.pack)}

    def _values(self, state: DialogueState) -> dict[str, str]:
        currency = self.pack.domain.currency
        return {n: display(self.pack.slots[n], v.value, currency) for n, v in state.slots.items()}

    def buttons(self, actions: Sequence[Action], state: DialogueState) -> tuple[Button, ...]:
        """Quick replies to the last action."""
        last = actions[-1]
        if last.kind == "confirm":
            return (Button("Yes, go ahead", "Yes, go ahead"), Button("No", "No"))
        wishes = state.clarifying if last.kind == "clarify" else ()
        if last.kind == "offer_more" and state.offered:
            wishes = (state.offered,)
        if wishes:
            told = [self.pack.intents[name].description for name in wishes]
            return tuple(Button(text[0].upper() + text[1:], text) for text in told)
        if last.kind == "ask" and len(held := state.held.get(last.argument, {})) > 1:
            return tuple(Button(label, label) for label in held.values())
        if last.kind == "ask" and self.pack.slots[last.argument].choices:
            names = [value.replace("_", " ") for value in self.pack.slots[last.argument].choices]
            return tuple(Button(name.capitalize(), name) for name in names)
        return ()


def _listed(labels: Sequence[str]) -> str:
    """As in "card ending in 6467, or card ending in 0183"."""
    return ", or ".join(label[0].lower() + label[1:] for label in labels)
