"""What the NLU says about one message."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IntentScore:
    intent: str
    probability: float
    """Calibrated: of messages given 0.8, about 80 % have this intent."""


@dataclass(frozen=True)
class Entity:
    slot: str
    start: int
    end: int
    """Half-open character span in the customer's own text."""
    text: str
    value: str | None
    """Normalised, or None where the text is no valid value of the slot."""
    confidence: float
    problem: str = ""
    """Why the value is not valid, in words for the customer."""


@dataclass(frozen=True)
class Understanding:
    text: str
    intents: tuple[IntentScore, ...]
    """Most probable first; several probabilities may be high where a message has several wishes."""
    wishes: tuple[str, ...]
    """The intents that the message is taken to carry: one, or two in the order in which they stand."""
    entities: tuple[Entity, ...]
    out_of_scope: float
    """Probability that the message is nothing this pack deals with."""
    read_as: str = ""
    """What the intents were read from, where that is not `text`: misspelt words as they may be meant."""

    @property
    def top(self) -> IntentScore:
        return self.intents[0]

    @property
    def certainty(self) -> float:
        """Probability of what the message is taken for: its first wish, or out of scope."""
        return self.top.probability if self.wishes else self.out_of_scope
