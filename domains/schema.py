"""What a domain pack is."""

import importlib.util
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from domains.backend import Backend
from domains.document import PackError

IntentKind = Literal["task", "faq", "social"]
SlotType = Literal[
    "person_name",
    "ssn_last4",
    "card_number",
    "account_number",
    "amount",
    "date",
    "time",
    "address",
    "count",
    "choice",
    "text",
]

OUT_OF_SCOPE = "out_of_scope"
PLACEHOLDER = re.compile(r"\{(\w+)\}")
OPTIONAL_PART = re.compile(r"\[([^\[\]]*)\]")
"""What a phrasing says only where it has all the facts for it."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Intent(Strict):
    kind: IntentKind
    description: str
    """A short phrase that completes "You would like to …" or "You are asking about …"."""
    offers: str | None = None
    """For kind faq: the task that the answer offers, or human for a person."""
    asks: bool = False
    """For kind faq: whether the answer is a question itself, after which nothing more is asked."""


class Slot(Strict):
    type: SlotType
    label: str
    """How the slot is called to a customer, such as "card number"."""
    sensitive: bool = False
    choices: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """For type choice: value → words that mean it."""
    names: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """For type account_number: what a customer may call an own account instead → words for it. The business
    system knows which one is meant; such a name proves nothing."""
    held: bool = False
    """Whether the business system knows what of this an identified customer has (`KnowsHoldings`)."""
    cues: tuple[str, ...] = ()
    """Words before such a name by which it is known without being asked for, as in "from savings"."""

    @cached_property
    def cued(self) -> re.Pattern[str] | None:
        """What finds such a name behind a cue, in lower case; None where there are no names or no cues."""
        if not self.names or not self.cues:
            return None
        words = sorted(
            (word.lower() for named in self.names.values() for word in named), key=len, reverse=True
        )
        cues, listed = ("|".join(map(re.escape, texts)) for texts in (self.cues, words))
        return re.compile(rf"\b(?:{cues})\s+(?:(?:my|the|our)\s+)?({listed})\b")


class Task(Strict):
    slots: tuple[str, ...] = ()
    """Required, in the order in which they are best asked."""
    may_skip: tuple[str, ...] = ()
    """Of the required ones those that stay open where the customer does not know them."""
    optional: tuple[str, ...] = ()
    """Taken when the customer gives them, never asked for."""
    authentication: Literal["none", "customer"] = "customer"
    confirm: bool = False
    undo: str | None = None
    """The topic for who wants back what was done."""
    outcomes: Mapping[str, tuple[str, ...]]
    """Outcome → the facts that the backend returns with it."""


class Authentication(Strict):
    task: str
    slots: tuple[str | tuple[str, ...], ...]
    """Slots that must be known; a list means that any one of them will do, the first is asked for."""
    attempts: int = Field(default=3, ge=1)
    help: str | None = None
    """The topic for who does not know what would prove it."""
    portal: bool = False
    """Whether a customer whom an embedding site has signed in needs no other proof."""

    @cached_property
    def parts(self) -> tuple[tuple[str, ...], ...]:
        """Of each thing to be known the slots of which any one will do."""
        return tuple((slots,) if isinstance(slots, str) else slots for slots in self.slots)


class Wording(Strict):
    """How replies are worded where a generator words them."""

    tone: Literal["warm", "plain"] = "plain"
    """Warm takes up the customer's words, and says sorry once to a customer who is upset."""
    apology: str = "I'm sorry about this."
    generated: tuple[str, ...] = ()
    """Replies that the generator words; all others are the phrasings of replies.yaml as they stand."""
    banned: Mapping[str, str] = Field(default_factory=dict)
    """What no generated reply says of itself → what is wrong with it."""


class Domain(Strict):
    """The contents of domain.yaml."""

    business: str
    assistant: str
    currency: str = "$"
    consent: tuple[str, ...]
    """Words without which nothing counts as the customer's yes before an execution."""
    refusal: tuple[str, ...]
    """Words that take a yes back."""
    farewell: tuple[str, ...] = ()
    """Words of a goodbye that drops a task in its middle."""
    undo: tuple[str, ...] = ()
    """Words of who wants back what was done just now."""
    unknown: tuple[str, ...] = ()
    """Words of who does not know what was asked for."""
    more: tuple[str, ...] = ()
    """Answers to "anything else?" that want something, not saying what; any other yes there is a thanks."""
    retention_days: int | None = Field(default=None, ge=1)
    """After so many days without a message a conversation is deleted; without it, never."""
    authentication: Authentication
    wording: Wording = Wording()
    intents: Mapping[str, Intent]
    slots: Mapping[str, Slot]
    tasks: Mapping[str, Task]


class Topic(Strict):
    """One answered question of the knowledge folder."""

    name: str
    title: str
    text: str
    source: str


class Pack(Strict):
    """A whole domain pack, checked."""

    name: str
    folder: Path
    domain: Domain
    replies: Mapping[str, tuple[str, ...]]
    topics: Mapping[str, Topic]

    @cached_property
    def intents(self) -> Mapping[str, Intent]:
        return self.domain.intents

    @cached_property
    def slots(self) -> Mapping[str, Slot]:
        return self.domain.slots

    @cached_property
    def tasks(self) -> Mapping[str, Task]:
        return self.domain.tasks

    @cached_property
    def requests(self) -> tuple[str, ...]:
        """Intents that ask for something: tasks and questions."""
        return tuple(name for name, intent in self.intents.items() if intent.kind != "social")

    @cached_property
    def alike(self) -> Mapping[str, tuple[str, ...]]:
        """Slot → the other slots of its type."""
        return {
            slot: tuple(o for o in self.slots if o != slot and self.slots[o].type == self.slots[slot].type)
            for slot in self.slots
        }

    @cached_property
    def askable(self) -> tuple[str, ...]:
        """Slots that the bot may ask for: those of the authentication, then those of the tasks."""
        names = [slots[0] for slots in self.domain.authentication.parts]
        for task in self.tasks.values():
            names += [slot for slot in task.slots if slot not in names]
        return tuple(names)

    def backend(self, database_url: str) -> Backend:
        """The pack's business system, opened on a database of its own.

        Raises PackError where backend.py is missing or has no `open_backend(database_url)`.
        """
        path = self.folder / "backend.py"
        if not path.exists():
            raise PackError(f"{path}: file is missing")
        qualified = f"domains.{self.name}.backend"
        if importlib.util.find_spec("domains").submodule_search_locations[0] == str(self.folder.parent):  # type: ignore[union-attr,index]
            module = importlib.import_module(qualified)
        else:
            spec = importlib.util.spec_from_file_location(f"pack_{self.name}_backend", path)
            assert spec
            assert spec.loader
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        if not hasattr(module, "open_backend"):
            raise PackError(f"{path}: function open_backend(database_url) is missing")
        backend: Backend = module.open_backend(database_url)
        return backend
