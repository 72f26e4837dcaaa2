"""How good a logged conversation was, on the scale of the environment's reward: all in one place.

What a log holds may be missing: most customers rate nothing, some leave without a word. How a conversation
ended is always known, and what ratings there are tell how content customers were who ended so.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dialog_policy.env import Reward
from storage.logs import LoggedConversation

Ending = Literal["served", "closed with nothing done", "asked for a person", "given to a person", "left"]

CONTENT: Mapping[Ending, float] = {
    "served": 0.95,
    "closed with nothing done": 0.2,
    "asked for a person": 0.8,
    "given to a person": 0.05,
    "left": 0.0,
}
"""Share of content customers to be expected where nobody rated."""
DOUBT = 10.0
"""How many ratings of an ending the expectation weighs as much as."""
SERVES = frozenset({"execute", "answer", "decline"})
"""Actions that give customers what they came for, or tell them that they cannot have it."""
DISCONTENT = {
    "given to a person": "needless_handoff",
    "asked for a person": "needless_handoff",
    "left": "left",
}
"""Which part of the reward tells what a discontent customer costs; else it is `unfinished`."""


@dataclass(frozen=True)
class LogReward:
    """Rewards by what became of conversations."""

    reward: Reward
    content: Mapping[Ending, float]
    """Share of content customers by ending."""

    def rewards(self, conversation: LoggedConversation) -> list[float]:
        """One for each decision: what the next message costs the customer, and at the end what came of it."""
        found: list[float] = []
        for turn in conversation.turns:
            if turn.decisions:
                found += [0.0] * (len(turn.decisions) - 1) + [self.reward.message]
        found[-1] = self.final(conversation)
        return found

    def final(self, conversation: LoggedConversation) -> float:
        rated = conversation.rating and not contradicts(conversation)
        return self.ended(ending_of(conversation), float(conversation.rating > 0) if rated else None)

    def ended(self, ending: Ending, content: float | None = None) -> float:
        """What an ending is worth, to customers as `content` as others who ended so."""
        worst: float = getattr(self.reward, DISCONTENT.get(ending, "unfinished"))
        share = self.content[ending] if content is None else content
        return share * self.reward.satisfied + (1 - share) * worst


def learn_reward(
    conversations: Sequence[LoggedConversation], weights: Sequence[float], reward: Reward
) -> LogReward:
    """Take from the ratings there are how content customers were, by how the conversation ended."""
    rated: dict[Ending, float] = defaultdict(float)
    content: dict[Ending, float] = defaultdict(float)
    for conversation, weight in zip(conversations, weights, strict=True):
        if conversation.rating and not contradicts(conversation):
            ending = ending_of(conversation)
            rated[ending] += weight
            content[ending] += weight * (conversation.rating > 0)
    return LogReward(
        reward,
        {
            ending: (content[ending] + DOUBT * prior) / (rated[ending] + DOUBT)
            for ending, prior in CONTENT.items()
        },
    )


def ending_of(conversation: LoggedConversation) -> Ending:
    """How a settled conversation ended."""
    state = conversation.turns[-1].state
    if state.handed_over:
        asked = state.wants_person or state.locked or state.authentication_failures > 1
        return "asked for a person" if asked else "given to a person"
    if not state.closed:
        return "left"
    served = any(action.partition("(")[0] in SERVES for action in (d.action for d in conversation.decisions))
    return "served" if served else "closed with nothing done"


def contradicts(conversation: LoggedConversation) -> bool:
    """Whether the thumbs say the contrary of what everybody can see: such a rating is not believed."""
    ending = ending_of(conversation)
    if conversation.rating > 0:
        return ending == "left"
    return conversation.rating < 0 and _went_well(conversation, ending)


def _went_well(conversation: LoggedConversation, ending: Ending) -> bool:
    """The customer said goodbye after something was done, and at no time was misunderstood."""
    last = conversation.turns[-1].state
    return (
        ending == "served"
        and last.goodbye
        and bool(last.completed)
        and not last.waiting
        and all(turn.state.failures == 0 for turn in conversation.turns)
    )


def count_endings(conversations: Sequence[LoggedConversation]) -> Counter[Ending]:
    return Counter(map(ending_of, conversations))
