"""A scripted bot over a dict, with the interface of chatbot.bot.Chatbot."""

import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from sqlalchemy import Engine

from chatbot.bot import BadMessage, UnknownCustomer
from chatbot.events import Events
from domains.loader import load_pack
from domains.schema import Pack
from storage.conversations import OtherCustomer, UnknownConversation, UnknownMessage
from storage.database import open_database
from storage.faults import StorageError
from storage.outbox import Outbox, said
from storage.records import Author, Button, Event, Message, Owner


@cache
def banking() -> Pack:
    return load_pack(Path(__file__).parents[1] / "domains" / "banking")


CONFIRM = "Shall I send $50 to account 4421?"


@dataclass
class StandInStore:
    conversations: dict[str, list[Message]] = field(default_factory=dict)
    down: bool = False
    events: Events = field(default_factory=Events)
    outbox: Outbox = field(default_factory=Outbox)
    owners: dict[str, Owner] = field(default_factory=dict)
    handed_over: set[str] = field(default_factory=set)
    customers: dict[str, str] = field(default_factory=dict)
    engine: Engine = field(default_factory=lambda: open_database("sqlite://"))

    def history(self, conversation_id: str, after: int = 0, limit: int | None = None) -> tuple[Message, ...]:
        self.ping()
        if conversation_id not in self.conversations:
            raise UnknownConversation(conversation_id)
        return tuple(self.conversations[conversation_id][after:][:limit])

    def status(self, conversation_id: str) -> str:
        self.history(conversation_id)
        return "handed_over" if conversation_id in self.handed_over else "open"

    def owner(self, conversation_id: str) -> Owner:
        self.history(conversation_id)
        return self.owners[conversation_id]

    def count_waiting(self) -> int:
        self.ping()
        return len(self.handed_over)

    def progress(self, conversation_id: str) -> tuple[str, int]:
        return self.status(conversation_id), len(self.history(conversation_id))

    def rate(self, conversation_id: str, seq: int, rating: int) -> None:
        history = self.history(conversation_id)
        if seq > len(history) or history[seq - 1].author != "bot":
            raise UnknownMessage(conversation_id, seq)
        message = history[seq - 1]
        self.conversations[conversation_id][seq - 1] = replace(message, rating=rating)

    def interrupted(self) -> tuple[str, ...]:
        return ()

    def token_of(self, address: str) -> str:
        return f"token of {address}"

    def ping(self) -> None:
        if self.down:
            raise StorageError("the database file is locked")

    def add(self, conversation_id: str, author: Author, text: str, *buttons: Button) -> Message:
        messages = self.conversations[conversation_id]
        message = Message(len(messages) + 1, author, text, buttons, datetime.now(UTC))
        messages.append(message)
        self.events.publish(said(conversation_id, message))
        return message


class StandInBot:
    """Answers "transfer" with buttons, "explode" with a failure, and repeats anything else."""

    def __init__(self) -> None:
        self.pack = banking()
        self.store = StandInStore()
        self.events = self.store.events
        self.thinking = 0.0
        """Seconds that a reply takes."""
        self.calls: list[tuple[str, str, str | None]] = []
        self._answered: dict[tuple[str, str], tuple[Message, ...]] = {}
        self._lock = threading.Lock()

    def start(self, owner: Owner | None = None) -> str:
        self.store.ping()
        conversation_id = uuid.uuid4().hex
        self.store.owners[conversation_id] = owner or Owner()
        self.store.conversations[conversation_id] = []
        self.store.add(conversation_id, "bot", "Hello, I am Marlow. How can I help you today?")
        return conversation_id

    def close(self) -> None:
        pass

    def recognise(self, conversation_id: str, portal_id: str) -> None:
        if portal_id == "nobody":
            raise UnknownCustomer("The business does not know this customer of the site.")
        if self.store.customers.setdefault(conversation_id, portal_id) != portal_id:
            raise OtherCustomer(conversation_id)

    def reply(
        self, conversation_id: str, text: str, client_message_id: str | None = None
    ) -> tuple[Message, ...]:
        self.calls.append((conversation_id, text, client_message_id))
        time.sleep(self.thinking)
        self.store.history(conversation_id)
        if len(text) > 4000:
            raise BadMessage("Your message is too long; please keep it under 4000 characters.")
        if not any(character.isprintable() and not character.isspace() for character in text):
            raise BadMessage("Please type a message.")
        if text == "explode":
            raise RuntimeError("a secret of the server")
        with self._lock:
            key = (conversation_id, client_message_id or str(uuid.uuid4()))
            if key not in self._answered:
                self.store.add(conversation_id, "customer", text)
                self._answered[key] = self._answer(conversation_id, text)
            return self._answered[key]

    def _answer(self, conversation_id: str, text: str) -> tuple[Message, ...]:
        if text == "transfer":
            buttons = (Button("Yes", "Yes, please do"), Button("No", "No, do not"))
            return (self.store.add(conversation_id, "bot", CONFIRM, *buttons),)
        if text == "I would like to talk to a person":
            self.store.handed_over.add(conversation_id)
            self.events.publish(Event("handoff", conversation_id))
            return (self.store.add(conversation_id, "bot", "I have passed you on to a colleague."),)
        return (
            self.store.add(conversation_id, "bot", f"You said: {text}"),
            self.store.add(conversation_id, "bot", "Is there anything else?"),
        )
