"""Faults in the rows of a migrated database, each in words."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, func, or_, select, text
from sqlalchemy.orm import Session, aliased

from storage.encryption import EncryptionError, is_sealed, open_sealed
from storage.tables import MessageRow, TurnRow
from storage.vault import sealed_columns


def half_turns(session: Session) -> Iterator[str]:
    """Turns without their messages, and messages without their turn."""
    question = aliased(MessageRow)
    same = TurnRow.conversation_id == question.conversation_id
    last = (
        select(func.max(MessageRow.seq))
        .where(MessageRow.conversation_id == TurnRow.conversation_id)
        .scalar_subquery()
    )
    torn = (
        select(TurnRow.conversation_id, TurnRow.number)
        .outerjoin(question, and_(same, question.seq == TurnRow.message_seq))
        .where(or_(question.seq.is_(None), question.author != "customer", TurnRow.last_seq > last))
    )
    for conversation, number in session.execute(torn):
        yield f"Conversation {conversation}, turn {number}: the customer's message or the reply is missing"
    unanswered = (
        select(question.conversation_id, question.seq)
        .outerjoin(TurnRow, and_(same, question.seq == TurnRow.message_seq))
        .where(question.author == "customer", TurnRow.number.is_(None))
    )
    for conversation, seq in session.execute(unanswered):
        yield f"Conversation {conversation}: message {seq} of the customer belongs to no turn"


def unreadable(session: Session) -> Iterator[str]:
    """Values that the keys do not open, and, where there are encrypted ones, values left in clear."""
    dialect: Any = session.get_bind().dialect
    for column in sealed_columns():
        closed, reason, clear, sealed = 0, "", 0, 0
        for value in column.values(session):
            if not is_sealed(value):
                clear += 1
                continue
            sealed += 1
            try:
                open_sealed(value, dialect)
            except EncryptionError as error:
                closed, reason = closed + 1, str(error)
        if closed:
            yield f"{closed} values of {column} cannot be decrypted: {reason}"
        if sealed and clear:
            yield f"{clear} values of {column} stand in clear beside encrypted ones; run: chatbot keys rotate"


def unguarded(session: Session) -> Iterator[str]:
    """Whether the triggers are there that let the audit only grow."""
    if session.get_bind().dialect.name == "sqlite":
        query = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"
        wanted = 3
    else:
        query = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'audit'::regclass AND tgenabled = 'O'"
        query, wanted = query + " AND NOT tgisinternal", 1
    if session.scalar(text(query)) != wanted:
        yield "The audit can be changed: its triggers are missing; restore a backup into a new database"
