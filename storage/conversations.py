"""Conversations in SQL: what was said, and everything about each turn."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal, cast
from uuid import uuid4

from sqlalchemy import Engine, func, insert, select
from sqlalchemy.orm import Session

from domains.schema import Pack
from storage.database import connection, retry, transaction
from storage.driver import Statement, driving
from storage.faults import StorageError
from storage.findings import note_thumbs_down
from storage.handoff import HANDOFFS, is_free
from storage.messages import (
    ADD_MESSAGE,
    CONVERSATIONS,
    UnknownConversation,
    append,
    as_message,
    bot_message,
    read_messages,
)
from storage.outbox import Outbox, said
from storage.records import Draft, Event, Message, Owner
from storage.state import DialogueState, recognise
from storage.tables import ConversationRow, MessageRow, Status, TurnRow
from storage.turns import Turn
from storage.vault import pseudonyms

TURN_SECONDS = 15
"""How long a message waits for the one before it in the same conversation."""
QUEUES = 1024
ADD_CONVERSATION = Statement(insert(CONVERSATIONS))


class UnknownMessage(StorageError):
    def __init__(self, conversation_id: str, seq: int) -> None:
        super().__init__(f"Conversation {conversation_id!r} has no bot message {seq} to rate")


class OtherCustomer(StorageError):
    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"Conversation {conversation_id!r} is another customer's; begin a new one")


class ConversationStore:
    """Safe to use from several threads, processes and machines, after storage.migration.upgrade."""

    def __init__(self, engine: Engine, outbox: Outbox | None = None) -> None:
        self.engine = engine
        self.outbox = outbox or Outbox()
        self._queues = tuple(threading.RLock() for _ in range(QUEUES))

    def create(self, pack: str, owner: Owner | None = None, opening: Draft | None = None) -> str:
        """The id of a new conversation of `owner`, which the bot opens with `opening`."""
        now = datetime.now(UTC)
        row = {
            "pack": pack,
            "status": "open",
            "customer_id": None,
            "state": DialogueState(),
            "policy_version": None,
            **vars(owner or Owner()),
            "version": 0,
            "last_seq": int(opening is not None),
            "created_at": now,
            "updated_at": now,
        }

        def write() -> tuple[str, list[Event]]:
            conversation_id = uuid4().hex
            events = [Event("started", conversation_id)]
            with driving(self.engine, write=True) as driver:
                driver.run(ADD_CONVERSATION, {"id": conversation_id, **row})
                if opening is not None:
                    message = bot_message(conversation_id, 1, opening)
                    driver.run(ADD_MESSAGE, message)
                    events.append(said(conversation_id, as_message(message)))
                self.outbox.put(driver, events)
            return conversation_id, events

        conversation_id, events = retry(write)
        self.outbox.tell(events)
        return conversation_id

    def token_of(self, address: str) -> str:
        """What a program at `address` goes on with, where it shows no token of its own."""
        return pseudonyms(self.engine)("caller", address)

    def history(self, conversation_id: str, after: int = 0, limit: int | None = None) -> tuple[Message, ...]:
        """The messages behind number `after`, the first `limit` of them."""
        last = None if limit is None else after + limit

        def read() -> tuple[Message, ...]:
            with transaction(self.engine) as session:
                _find(session, conversation_id)
                return read_messages(session, conversation_id, after + 1, last)

        return retry(read)

    def owner(self, conversation_id: str) -> Owner:
        row = retry(lambda: self._read(conversation_id))
        return Owner(row.visitor, row.site, row.api_key)

    def status(self, conversation_id: str) -> Status:
        return cast(Status, retry(lambda: self._read(conversation_id)).status)

    def progress(self, conversation_id: str) -> tuple[Status, int]:
        """The status, and how many messages there are."""
        row = retry(lambda: self._read(conversation_id))
        return cast(Status, row.status), row.last_seq

    def state(self, conversation_id: str) -> DialogueState:
        return retry(lambda: self._read(conversation_id)).state

    @contextmanager
    def alone(self, conversation_id: str) -> Iterator[None]:
        """Keep the other threads of this process out of the conversation, also while a turn is begun anew."""
        queue = self._queues[hash(conversation_id) % QUEUES]
        if not queue.acquire(timeout=TURN_SECONDS):
            raise StorageError(
                f"Conversation {conversation_id!r} is busy: the messages before took more than "
                f"{TURN_SECONDS} s; try again"
            )
        try:
            yield
        finally:
            queue.release()

    @contextmanager
    def turn(self, conversation_id: str, client_message_id: str | None) -> Iterator[Turn]:
        """The next turn. What it writes is committed by its `keep` and `finish`, and by nothing else.

        Threads of this process wait for each other here, so that they need not think in vain. Whether
        another process was first shows when the turn is written: see Overtaken.
        """
        with self.alone(conversation_id):
            yield Turn(self.engine, conversation_id, client_message_id, self.outbox)

    def interrupted(self) -> tuple[str, ...]:
        """Conversations whose last turn waits for the business system, or did so when its server died."""
        unfinished = select(TurnRow.conversation_id).where(TurnRow.last_seq.is_(None))

        def read() -> tuple[str, ...]:
            with transaction(self.engine) as session:
                return tuple(session.scalars(unfinished.order_by(TurnRow.conversation_id)))

        return retry(read)

    def say(self, conversation_id: str, draft: Draft) -> Message:
        """A bot message outside of a turn. Not begun anew by itself: it might then stand there twice."""
        with connection(self.engine, write=True) as opened:
            message = append(opened, conversation_id, draft)
            event = said(conversation_id, message)
            self.outbox.put(opened, [event])
        self.outbox.tell([event])
        return message

    def identify(self, conversation_id: str, customer_id: str, pack: Pack) -> None:
        """Let the customer be known whom the business's own site has vouched for.

        Raises OtherCustomer where the conversation is somebody else's already.
        """
        event = Event("identified", conversation_id)

        def write() -> bool:
            with transaction(self.engine, write=True) as session:
                row = session.get(ConversationRow, conversation_id, with_for_update=True)
                if row is None:
                    raise UnknownConversation(conversation_id)
                if row.state.customer_id == customer_id:
                    return False
                if row.state.customer_id is not None:
                    raise OtherCustomer(conversation_id)
                row.state = recognise(row.state, customer_id, pack)
                row.customer_id = customer_id
                row.version += 1
                self.outbox.put(session, [event])
            return True

        if retry(write):
            self.outbox.tell([event])

    def rate(self, conversation_id: str, seq: int, rating: Literal[-1, 0, 1]) -> None:
        """The customer's thumbs on a bot message; the last one counts."""

        event = Event("rated", conversation_id, {"seq": seq, "rating": rating})

        def write() -> None:
            with transaction(self.engine, write=True) as session:
                _find(session, conversation_id)
                row = session.get(MessageRow, (conversation_id, seq), with_for_update=True)
                if row is None or row.author != "bot":
                    raise UnknownMessage(conversation_id, seq)
                row.rating = rating
                if rating == -1:
                    note_thumbs_down(session, conversation_id, seq)
                self.outbox.put(session, [event])

        retry(write)
        self.outbox.tell([event])

    def count_waiting(self) -> int:
        """Conversations that wait for a colleague."""
        query = select(func.count()).where(HANDOFFS.c.ended.is_(None), is_free(datetime.now(UTC)))
        with transaction(self.engine) as session:
            return session.scalar(query) or 0

    def ping(self) -> None:
        """Raises StorageError where the database is out of reach or not migrated."""

        def read() -> None:
            with transaction(self.engine) as session:
                session.execute(select(ConversationRow.id).limit(1))

        retry(read)

    def _read(self, conversation_id: str) -> ConversationRow:
        with transaction(self.engine) as session:
            return _find(session, conversation_id)


def _find(session: Session, conversation_id: str) -> ConversationRow:
    row = session.get(ConversationRow, conversation_id)
    if row is None:
        raise UnknownConversation(conversation_id)
    return row


__all__ = ["ConversationStore", "OtherCustomer", "Turn", "UnknownConversation", "UnknownMessage"]
