"""From the bot's actions to words and quick replies."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from domains.schema import OPTIONAL_PART, PLACEHOLDER, Pack
from nlu.values import display
from storage.actions import Action
from storage.records import Button, Draft
from storage.state import DialogueState, Result

NOTHING: Mapping[str, str] = MappingProxyType({})


class MissingFact(Exception):
    """A phrasing needs a fact that the action does not give."""


class TemplateReply:
    """Replies from the pack's phrasings: they state the facts they are given and nothing else."""

    name = "template"

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self._names = {"business": pack.domain.business, "assistant": pack.domain.assistant}

    def write(self, actions: Sequence[Action], state: DialogueState, variant: int) -> Draft:
        """One message for all actions of a turn; `variant` picks among equal phrasings.

        `state` is the state after the turn; its results belong to the executing actions in order.
        Raises MissingFact.
        """
        results = list(state.results)
        parts = []
        for action in actions:
            executed = results.pop(0) if action.kind in ("authenticate", "execute") and results else None
            key, facts = self._phrase(action, executed, state)
            if executed is not None and executed.earlier:
                parts.append(self._fill("earlier_request", {}, variant))
            parts.append(
                self.pack.topics[key].text if key in self.pack.topics else self._fill(key, facts, variant)
            )
        return Draft(" ".join(dict.fromkeys(parts)), self._buttons(actions, state), self.name)

    def fixed(
        self, key: str, variant: int, facts: Mapping[str, str] = NOTHING, buttons: tuple[Button, ...] = ()
    ) -> Draft:
        """A message of the conversation itself, such as the handover."""
        return Draft(self._fill(key, facts, variant), buttons, self.name)

    def opening(self) -> Draft:
        """The first words of a conversation."""
        return Draft(f"{self._fill('greet', {}, 0)} {self._fill('offer_help', {}, 0)}", (), self.name)

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
            case "ask":
                return f"ask.{action.argument}", {}
            case "confirm":
                return f"confirm.{action.argument}", self._values(state)
            case "clarify":
                first, second = (self.pack.intents[name].description for name in state.clarifying)
                return "clarify", {"first": first, "second": second}
            case "offer_more" if state.completed or state.turn > 1:
                return "offer_more", {}
            case "offer_more":
                return "offer_help", {}
            case "cancel":
                return "cancelled", {}
            case _:
                return action.kind, {}

    def _values(self, state: DialogueState) -> dict[str, str]:
        currency = self.pack.domain.currency
        return {n: display(self.pack.slots[n], v.value, currency) for n, v in state.slots.items()}

    def _fill(self, key: str, facts: Mapping[str, str], variant: int) -> str:
        phrasings = self.pack.replies[key]
        text = phrasings[variant % len(phrasings)]
        known = {**self._names, **facts}
        text = OPTIONAL_PART.sub(
            lambda part: part[1] if known.keys() >= {*PLACEHOLDER.findall(part[1])} else "", text
        )
        missing = [name for name in PLACEHOLDER.findall(text) if name not in known]
        if missing:
            raise MissingFact(f"reply '{key}' needs '{missing[0]}', which the action does not give")
        return PLACEHOLDER.sub(lambda match: known[match.group(1)], text)

    def _buttons(self, actions: Sequence[Action], state: DialogueState) -> tuple[Button, ...]:
        last = actions[-1]
        if last.kind == "confirm":
            return (Button("Yes, go ahead", "Yes, go ahead"), Button("No", "No"))
        if last.kind == "clarify":
            return tuple(
                Button(d[0].upper() + d[1:], d)
                for d in (self.pack.intents[n].description for n in state.clarifying)
            )
        if last.kind == "ask" and self.pack.slots[last.argument].choices:
            names = [value.replace("_", " ") for value in self.pack.slots[last.argument].choices]
            return tuple(Button(name.capitalize(), name) for name in names)
        return ()
