"""The strict loader, which refuses a broken pack."""

import re
from itertools import chain
from pathlib import Path

from domains.backend import CUSTOMER_ID
from domains.document import Document, PackError, read_text
from domains.schema import OPTIONAL_PART, OUT_OF_SCOPE, PLACEHOLDER, Domain, Pack, Topic

REQUIRED_SOCIAL = ("greeting", "thanks", "goodbye", "affirm", "deny", "inform", "cancel", "human")
"""Social intents that the dialogue itself needs; a pack may have more."""

FIXED_REPLIES = (
    "greet",
    "greet_again",
    "close",
    "handoff",
    "identify",
    "offer_help",
    "offer_more",
    "noted",
    "rephrase",
    "decline",
    "clarify",
    "cancelled",
    "authenticate.verified",
    "authenticate.failed",
    "authenticate.locked",
    "backend_unavailable",
    "earlier_request",
    "with_colleague",
    "colleague_joined",
    "returned",
    "resolved",
    "rated",
)


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
    for place, key in enumerate(domain.wording.generated):
        if key not in replies:
            raise document.error(f"'{key}' is no reply of replies.yaml", "wording", "generated", place)
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
        if slot.names and slot.type != "account_number":
            raise document.error(
                f"slot '{name}': names go with type account_number alone", "slots", name, "names"
            )
    proof = domain.authentication
    if proof.task not in domain.tasks:
        raise document.error(f"task '{proof.task}' does not exist", "authentication", "task")
    if proof.help is not None and not _is_topic(proof.help, domain):
        raise document.error(f"'{proof.help}' is no intent of kind faq", "authentication", "help")
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
        for slot_name in task.may_skip:
            if slot_name not in task.slots:
                raise document.error(f"the task does not need '{slot_name}'", "tasks", name, "may_skip")
        if task.may_skip and not domain.unknown:
            raise document.error(
                "may_skip needs words of who does not know (unknown)", "tasks", name, "may_skip"
            )
        if task.undo is not None and not _is_topic(task.undo, domain):
            raise document.error(f"'{task.undo}' is no intent of kind faq", "tasks", name, "undo")
        if not task.outcomes:
            raise document.error(f"task '{name}' has no outcomes", "tasks", name, "outcomes")
    wishes = [name for name, intent in domain.intents.items() if intent.kind == "task"]
    for name, intent in domain.intents.items():
        if intent.asks and intent.kind != "faq":
            raise document.error("asks goes with kind faq alone", "intents", name, "asks")
        if intent.offers is not None and (intent.kind != "faq" or intent.offers not in (*wishes, "human")):
            raise document.error(
                "offers names a task or human, and goes with kind faq alone", "intents", name, "offers"
            )


def _is_topic(name: str, domain: Domain) -> bool:
    return name in domain.intents and domain.intents[name].kind == "faq"


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
    keys["identify"] = common | {slots[0] for slots in domain.authentication.parts}
    keys["colleague_joined"] = common | {"colleague"}
    keys["returned"] = common | {"task"}
    keys["decline"] = keys["offer_help"] = common
    proof = domain.authentication.task
    verified = domain.tasks[proof].outcomes
    keys["authenticate.verified"] = common | {fact for facts in verified.values() for fact in facts}
    for name in domain.slots:
        keys[f"ask.{name}"] = common | {"task"}
        keys[f"invalid.{name}"] = common | {"reason"}
        if domain.slots[name].held:
            keys[f"choose.{name}"] = common | {"held"}
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
    if domain.undo:
        keys["cannot_undo"] = common
    return keys


def _load_replies(folder: Path, domain: Domain) -> dict[str, tuple[str, ...]]:
    document = Document(folder / "replies.yaml")
    allowed = required_replies(domain)
    optional = {f"{kind}.{name}" for kind in ("ask", "invalid") for name in domain.slots}
    asked = {slot for task in domain.tasks.values() for slot in task.slots}
    asked |= set(chain.from_iterable(domain.authentication.parts))
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
            kind, _, name = key.partition(".")
            open_ones = domain.tasks[name].may_skip if kind == "confirm" else ()
            for placeholder in PLACEHOLDER.findall(OPTIONAL_PART.sub("", text)):
                if placeholder in open_ones:
                    raise document.error(
                        f"'{key}' needs {{{placeholder}}} in [brackets]: the customer may not know it", key
                    )
        replies[key] = tuple(phrasings)
    for key in allowed:
        if key not in replies and not (key in optional and key.partition(".")[2] not in asked):
            raise document.error(f"reply '{key}' is missing")
    return replies
