"""Faults in the rows of a migrated database, each in words."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import and_, func, or_, select, text
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from storage.desk_tables import Base, NoteRow
from storage.encryption import EncryptionError, is_sealed, open_sealed
from storage.tables import ConversationRow, DecisionRow, ExecutionRow, MessageRow, TurnRow
from storage.vault import sealed_columns

NUMBERED: tuple[tuple[InstrumentedAttribute[int], tuple[InstrumentedAttribute[Any], ...]], ...] = (
    (MessageRow.seq, (MessageRow.conversation_id,)),
    (TurnRow.number, (TurnRow.conversation_id,)),
    (DecisionRow.step, (DecisionRow.conversation_id, DecisionRow.turn)),
    (ExecutionRow.position, (ExecutionRow.conversation_id, ExecutionRow.turn)),
    (NoteRow.number, (NoteRow.conversation_id,)),
)
"""Columns that count from 1 without gaps, and within what."""


def find_faults(session: Session) -> list[str]:
    """What is wrong with the rows of a database whose tables are in order."""
    searches = (_gaps, _miscounted, _dangling, _half_turns, _unreadable, _unguarded)
    return [fault for search in searches for fault in search(session)]


def _gaps(session: Session) -> Iterator[str]:
    for column, within in NUMBERED:
        rows, last = func.count(), func.max(column)
        query = select(*within, rows, last).group_by(*within).having(or_(func.min(column) != 1, last != rows))
        for *place, count, end in session.execute(query.order_by(*within)):
            where = ", turn ".join(str(part) for part in place)
            yield f"Conversation {where}: {column} has a gap ({count} rows, the last is {end})"


def _miscounted(session: Session) -> Iterator[str]:
    count = select(func.count()).where(MessageRow.conversation_id == ConversationRow.id).scalar_subquery()
    rows = select(ConversationRow.id, ConversationRow.last_seq, count).where(
        ConversationRow.last_seq != count
    )
    for conversation, counted, there in session.execute(rows.order_by(ConversationRow.id)):
        yield f"Conversation {conversation} counts {counted} messages and has {there}"


def find_unfinished(session: Session) -> Iterator[str]:
    """Turns that a server is at, or was when it died."""
    rows = select(TurnRow.conversation_id, TurnRow.number).where(TurnRow.last_seq.is_(None))
    for conversation, turn in session.execute(rows.order_by(TurnRow.conversation_id)):
        yield (
            f"Conversation {conversation}, turn {turn} is unfinished: a server is at it, or finishes it "
            "when it starts"
        )


def _dangling(session: Session) -> Iterator[str]:
    """Rows that refer to a row which is not there: possible where foreign keys were switched off."""
    for table in Base.metadata.sorted_tables:
        for key in table.foreign_key_constraints:
            parent = key.referred_table
            same = and_(*(element.parent == element.column for element in key.elements))
            lost = select(func.count()).select_from(table.outerjoin(parent, same))
            refers = (element.parent.is_not(None) for element in key.elements)
            count = session.scalar(lost.where(key.elements[0].column.is_(None), *refers))
            if count:
                yield f"{count} rows of {table.name} refer to {parent.name} that do not exist"


def _half_turns(session: Session) -> Iterator[str]:
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


def _unreadable(session: Session) -> Iterator[str]:
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


def _unguarded(session: Session) -> Iterator[str]:
    """Whether the triggers are there that let the audit only grow."""
    if session.get_bind().dialect.name == "sqlite":
        query = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"
        wanted = 3
    else:
        query = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'audit'::regclass AND tgenabled = 'O'"
        query, wanted = query + " AND NOT tgisinternal", 1
    if session.scalar(text(query)) != wanted:
        yield "The audit can be changed: its triggers are missing; restore a backup into a new database"
