"""What is written down of a conversation: the frozen records that go in and out of the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from nlu.understanding import Understanding
from storage.masking import mask
from storage.state import DialogueState

Author = Literal["customer", "bot", "agent"]
EventKind = Literal[
    "started", "message", "handoff", "claimed", "returned", "resolved", "closed", "rated", "identified"
]
ExecutionStatus = Literal["intended", "answered", "unanswered"]
"""Written down and perhaps asked for; done or refused; asked for without an answer: it may have been done."""
Role = Literal["agent", "supervisor", "administrator"]
HandoffReason = Literal["asked", "identity", "upset", "not_understood", "judged"]
"""The customer asked for a person, could not prove who they are, was angry, was not understood; or the policy
judged so."""
Ended = Literal["returned", "resolved"]
Review = Literal["corrected", "approved", "dismissed"]

PolicyStatus = Literal["candidate", "shadow", "canary", "live", "retired"]


WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Button:
    """A quick reply: pressing it sends `text` as the customer's message."""

    label: str
    text: str


@dataclass(frozen=True)
class Message:
    """One message as it stands in the history; `seq` counts from 1 without gaps."""

    seq: int
    author: Author
    text: str
    buttons: tuple[Button, ...]
    created_at: datetime
    rating: int = 0
    """Thumbs: 1 up, -1 down, 0 none."""
    signed: str | None = None
    """The name of the colleague who wrote it."""

    @property
    def shown(self) -> str:
        """The text for a page, where the numbers that a customer typed are masked."""
        return mask(self.text) if self.author == "customer" else self.text


@dataclass(frozen=True)
class Owner:
    """Who may go on with a conversation, and where it began."""

    visitor: str | None = None
    """Digest of the visitor's token."""
    site: str | None = None
    api_key: str | None = None


@dataclass(frozen=True)
class Decision:
    """One action of the policy, with all that off-policy evaluation needs."""

    observation: tuple[float, ...]
    feature_version: int
    mask: tuple[bool, ...]
    action: str
    probability: float
    """With which the policy in service chose this action; exact, never made up."""
    policy_version: str
    explored: bool = False
    """Whether the policy was exploring; where not, the probability says nothing about other actions."""
    shadow_version: str | None = None
    shadow_action: str | None = None
    """What the policy in the shadow would have done."""


@dataclass(frozen=True)
class Execution:
    """One call of the business system."""

    idempotency_key: str
    task: str
    slots: Mapping[str, str]
    outcome: str | None = None
    """None where no answer came; WITHDRAWN where it was settled that it never happens."""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class OpenCall:
    """A call of the business system that had no answer, in this conversation or another of the customer."""

    idempotency_key: str
    slots: Mapping[str, str]
    here: bool
    """Whether it was made in this conversation."""


@dataclass(frozen=True)
class Draft:
    """One bot message that a turn produces."""

    text: str
    buttons: tuple[Button, ...] = ()
    made_by: str = "template"
    """How the text was made: template, or the generator's name; "checked" facts only."""


@dataclass(frozen=True)
class TurnRecord:
    """Everything about one turn, or about its beginning where it still waits for the business system."""

    text: str
    understanding: Understanding
    decisions: tuple[Decision, ...]
    executions: tuple[Execution, ...]
    replies: tuple[Draft, ...]
    state: DialogueState
    """After the turn, or so far."""
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    """Stage → milliseconds."""
    rating: int | None = None
    """Given in this turn to the colleague who resolved the conversation, from 1 to 5."""


@dataclass(frozen=True)
class Label:
    """A slot's place in a corrected text."""

    start: int
    end: int
    slot: str


@dataclass(frozen=True)
class Event:
    """Something that happened in a conversation and is committed."""

    kind: EventKind
    conversation_id: str
    details: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON values, such as the seq, author and text of a message; a customer's text is masked."""
    id: str = field(default_factory=lambda: uuid4().hex)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
