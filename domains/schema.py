"""What a domain pack is, and the strict loader that refuses a broken one."""

import importlib.util
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from domains.backend import CUSTOMER_ID, Backend
from domains.document import Document, PackError, read_text

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
REQUIRED_SOCIAL = ("greeting", "thanks", "goodbye", "affirm", "deny", "inform", "cancel", "human")
"""Social intents that the dialogue itself needs; a pack may have more."""

FIXED_REPLIES = (
    "greet",
    "close",
    "handoff",
    "identify",
    "offer_help",
    "offer_more",
    "rephrase",
    "decline",
    "clarify",
    "cancelled",
    "authenticate.verified",
    "authenticate.failed",
    "authenticate.locked",
    "backend_unavailable",
    "with_colleague",
)
PLACEHOLDER = re.compile(r"\{(\w+)\}")
OPTIONAL_PART = re.compile(r"\[([^\[\]]*)\]")
"""What a phrasing says only where it has all the facts for it."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Intent(Strict):
    kind: IntentKind
    description: str
    """A short phrase that completes "You would like to …" or "You are asking about …"."""


class Slot(Strict):
    type: SlotType
    label: str
    """How the slot is called to a customer, such as "card number"."""
    sensitive: bool = False
    choices: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """For type choice: value → words that mean it."""


class Task(Strict):
    slots: tuple[str, ...] = ()
    """Required, in the order in which they are best asked."""
    optional: tuple[str, ...] = ()
    """Taken when the customer gives them, never asked for."""
    authentication: Literal["none", "customer"] = "customer"
    confirm: bool = False
    outcomes: Mapping[str, tuple[str, ...]]
    """Outcome → the facts that the backend returns with it."""


class Authentication(Strict):
    task: str
    slots: tuple[str | tuple[str, ...], ...]
    """Slots that must be known; a list means that any one of them will do, the first is asked for."""
    attempts: int = Field(default=3, ge=1)


class Domain(Strict):
    """The contents of domain.yaml."""

    business: str
    assistant: str
    currency: str = "$"
    consent: tuple[str, ...]
    """Words without which nothing counts as the customer's yes before an execution."""
    refusal: tuple[str, ...]
    """Words that take a yes back."""
    retention_days: int | None = Field(default=None, ge=1)
    """After so many days without a message a conversation is deleted; without it, never."""
    authentication: Authentication
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
    def askable(self) -> tuple[str, ...]:
        """Slots that the bot may ask for: those of the authentication, then those of the tasks."""
        names = [s if isinstance(s, str) else s[0] for s in self.domain.authentication.slots]
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


def load_pack(folder: Path) -> Pack:
    """Read and check the pack in `folder`.

    Raises PackError, which names file, line and key, for unknown keys, a `{slot}` that does not
    exist, an action without a reply, an FAQ intent without an answer.
    """
    folder = folder.resolve()
    if not folder.is_dir():
        raise PackError(f"{folder}: no such folder; a pack is a folder with a domain.yaml")
    document = Document(folder / "domain.yaml")
    domain = document.parse(Domain)
    _check_domain(document, domain)
    topics = _load_topics(folder, domain)
    replies = _load_replies(folder, domain)
    return Pack(name=folder.name, folder=folder, domain=domain, replies=replies, topics=topics)


def _check_domain(document: Document, domain: Domain) -> None:
    if OUT_OF_SCOPE in domain.intents:
        raise document.error(f"'{OUT_OF_SCOPE}' is reserved and cannot be an intent", "intents", OUT_OF_SCOPE)
    if CUSTOMER_ID in domain.slots:
        raise document.error(f"'{CUSTOMER_ID}' is reserved and cannot be a slot", "slots", CUSTOMER_ID)
    for name in REQUIRED_SOCIAL:
        if name not in domain.intents or domain.intents[name].kind != "social":
            raise document.error(f"intent '{name}' of kind social is missing", "intents")
    for name, intent in domain.intents.items():
        if intent.kind == "task" and name not in domain.tasks:
            raise document.error(
                f"intent '{name}' is of kind task, but no task has that name", "intents", name
            )
    for name, slot in domain.slots.items():
        if (slot.type == "choice") != bool(slot.choices):
            raise document.error(
                f"slot '{name}': choices go with type choice, and only with it", "slots", name
            )
    proof = domain.authentication
    if proof.task not in domain.tasks:
        raise document.error(f"task '{proof.task}' does not exist", "authentication", "task")
    for entry in proof.slots:
        for slot_name in (entry,) if isinstance(entry, str) else entry:
            if slot_name not in domain.slots:
                raise document.error(f"slot '{slot_name}' does not exist", "authentication", "slots")
    for name, task in domain.tasks.items():
        if name != proof.task and (name not in domain.intents or domain.intents[name].kind != "task"):
            raise document.error(f"task '{name}' has no intent of that name and of kind task", "tasks", name)
        for slot_name in (*task.slots, *task.optional):
            if slot_name not in domain.slots:
                raise document.error(f"slot '{slot_name}' does not exist", "tasks", name, "slots")
        if not task.outcomes:
            raise document.error(f"task '{name}' has no outcomes", "tasks", name, "outcomes")


def _load_topics(folder: Path, domain: Domain) -> dict[str, Topic]:
    """Answers are written as `## intent: title` sections; `{fact}` takes its value from facts.yaml."""
    facts_document = Document(folder / "facts.yaml")
    facts = {str(key): str(value) for key, value in facts_document.mapping().items()}
    topics: dict[str, Topic] = {}
    for path in sorted((folder / "knowledge").glob("*.md")):
        text = read_text(path)
        for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
            heading, _, body = part.partition("\n")
            name, _, title = (piece.strip() for piece in heading.partition(":"))
            line = text.split(f"## {heading}")[0].count("\n") + 1
            if name not in domain.intents or domain.intents[name].kind != "faq":
                raise PackError(f"{path}:{line}: '{name}' is no intent of kind faq in domain.yaml")
            if name in topics:
                raise PackError(
                    f"{path}:{line}: topic '{name}' is answered twice (also in {topics[name].source})"
                )
            for fact in PLACEHOLDER.findall(body):
                if fact not in facts:
                    raise PackError(f"{path}:{line}: fact '{{{fact}}}' does not stand in facts.yaml")
            answer = PLACEHOLDER.sub(lambda match: facts[match.group(1)], body).strip()
            if not answer or not title:
                raise PackError(f"{path}:{line}: topic '{name}' needs a title and a text")
            topics[name] = Topic(name=name, title=title, text=answer, source=f"{path.name}:{line}")
    for name, intent in domain.intents.items():
        if intent.kind == "faq" and name not in topics:
            raise PackError(f"{folder / 'knowledge'}: intent '{name}' of kind faq has no answer")
    return topics


def required_replies(domain: Domain) -> dict[str, frozenset[str]]:
    """Reply key → placeholders it may use, for every action that the domain gives rise to."""
    common = frozenset({"business", "assistant"})
    keys = dict.fromkeys(FIXED_REPLIES, common)
    keys["clarify"] = common | {"first", "second"}
    keys["decline"] = keys["offer_help"] = common
    proof = domain.authentication.task
    verified = domain.tasks[proof].outcomes
    keys["authenticate.verified"] = common | {fact for facts in verified.values() for fact in facts}
    for name, slot in domain.slots.items():
        keys[f"ask.{name}"] = common | {"task"}
        keys[f"invalid.{name}"] = common | {"reason"}
        del slot
    for name, task in domain.tasks.items():
        if name == proof:
            continue
        if task.confirm:
            keys[f"confirm.{name}"] = common | {*task.slots, *task.optional}
        for outcome, facts in task.outcomes.items():
            keys[f"{name}.{outcome}"] = common | {*facts}
    for name, intent in domain.intents.items():
        if intent.kind == "social" and name not in REQUIRED_SOCIAL:
            keys[f"answer.{name}"] = common
    keys["answer.thanks"] = common
    return keys


def _load_replies(folder: Path, domain: Domain) -> dict[str, tuple[str, ...]]:
    document = Document(folder / "replies.yaml")
    allowed = required_replies(domain)
    optional = {f"{kind}.{name}" for kind in ("ask", "invalid") for name in domain.slots}
    asked = {slot for task in domain.tasks.values() for slot in task.slots}
    for entry in domain.authentication.slots:
        asked |= {entry} if isinstance(entry, str) else set(entry)
    replies: dict[str, tuple[str, ...]] = {}
    for key, phrasings in document.mapping().items():
        if key not in allowed:
            raise document.error(f"'{key}' is no action of this domain", key)
        phrasings = [phrasings] if isinstance(phrasings, str) else phrasings
        if not (isinstance(phrasings, list) and phrasings) or not all(
            isinstance(text, str) and text.strip() for text in phrasings
        ):
            raise document.error(f"'{key}' needs at least one phrasing, each a text", key)
        for text in phrasings:
            for placeholder in PLACEHOLDER.findall(text):
                if placeholder not in allowed[key]:
                    known = ", ".join(sorted(allowed[key]))
                    raise document.error(f"'{key}' uses {{{placeholder}}}; it may use: {known}", key)
        replies[key] = tuple(phrasings)
    for key in allowed:
        if key not in replies and not (key in optional and key.partition(".")[2] not in asked):
            raise document.error(f"reply '{key}' is missing")
    return replies
