"""Messages of a conversation as rows, numbered without gaps by a counter in the conversation's own row."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Connection, Table, bindparam, insert, select, update
from sqlalchemy.orm import Session

from storage.driver import Statement
from storage.faults import StorageError
from storage.records import Author, Draft, Message
from storage.tables import ConversationRow, MessageRow

CONVERSATIONS, MESSAGES = (cast(Table, row.__table__) for row in (ConversationRow, MessageRow))
WRITE = (
    update(CONVERSATIONS)
    .where(CONVERSATIONS.c.id == bindparam("conversation"))
    .values(
        version=CONVERSATIONS.c.version + 1,
        last_seq=CONVERSATIONS.c.last_seq + bindparam("more"),
        updated_at=bindparam("now"),
    )
)
"""Before any other write: it holds the row to the end of the transaction, and counts messages that follow."""
SAY = WRITE.returning(CONVERSATIONS.c.last_seq)
ADD_MESSAGE = Statement(insert(MESSAGES))


class UnknownConversation(StorageError):
    def __init__(self, conversation_id: str) -> None:
        super().__init__(f"There is no conversation {conversation_id!r}; make one first")


def append(opened: Connection, conversation_id: str, draft: Draft) -> Message:
    """A bot message at the end of the conversation."""
    return _add(opened, bot_message(conversation_id, _next_seq(opened, conversation_id), draft))


def append_signed(opened: Connection, conversation_id: str, text: str, name: str) -> Message:
    """A message of the colleague `name` at the end of the conversation."""
    return _add(opened, agent_message(conversation_id, _next_seq(opened, conversation_id), text, name))


def _next_seq(opened: Connection, conversation_id: str) -> int:
    mine = {"conversation": conversation_id, "more": 1, "now": datetime.now(UTC)}
    seq: int | None = opened.execute(SAY, mine).scalar()
    if seq is None:
        raise UnknownConversation(conversation_id)
    return seq


def _add(opened: Connection, row: dict[str, Any]) -> Message:
    opened.execute(insert(MESSAGES), [row])
    return as_message(row)


def read_messages(
    session: Session, conversation_id: str, first: int = 1, last: int | None = None
) -> tuple[Message, ...]:
    query = select(MessageRow).where(MessageRow.conversation_id == conversation_id, MessageRow.seq >= first)
    if last is not None:
        query = query.where(MessageRow.seq <= last)
    return tuple(as_message(vars(row)) for row in session.scalars(query.order_by(MessageRow.seq)))


def customer_message(conversation_id: str, seq: int, text: str) -> dict[str, Any]:
    return _message(conversation_id, seq, "customer", text)


def bot_message(conversation_id: str, seq: int, draft: Draft) -> dict[str, Any]:
    row = _message(conversation_id, seq, "bot", draft.text)
    return row | {"buttons": draft.buttons, "made_by": draft.made_by}


def agent_message(conversation_id: str, seq: int, text: str, name: str) -> dict[str, Any]:
    return _message(conversation_id, seq, "agent", text) | {"made_by": name}


def as_message(row: Mapping[str, Any]) -> Message:
    names = ("seq", "author", "text", "buttons", "created_at", "rating")
    signed = row["made_by"] if row["author"] == "agent" else None
    return Message(**{name: row[name] for name in names}, signed=signed)


def _message(conversation_id: str, seq: int, author: Author, text: str) -> dict[str, Any]:
    return {
        "conversation_id": conversation_id,
        "seq": seq,
        "author": author,
        "text": text,
        "buttons": (),
        "made_by": None,
        "rating": 0,
        "created_at": datetime.now(UTC),
    }
