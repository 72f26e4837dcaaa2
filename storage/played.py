"""One turn as it was played, with all that was written down of it. Who looks at one is in the audit."""

from dataclasses import dataclass, replace

from sqlalchemy import Engine, func, select

from storage.audit import Deed, note
from storage.database import transaction
from storage.faults import StorageError
from storage.records import Draft, TurnRecord
from storage.staff import Staff
from storage.state import DialogueState
from storage.tables import ConversationRow, MessageRow, TurnRow
from storage.turn_records import read_record


class UnknownTurn(StorageError):
    def __init__(self, conversation_id: str, number: int) -> None:
        super().__init__(f"There is no turn {number} in a conversation {conversation_id!r} of this pack")


@dataclass(frozen=True)
class PlayedTurn:
    conversation_id: str
    number: int
    turns: int
    """How many the conversation has."""
    before: DialogueState
    """After the turn before; what a colleague changed since is not in it."""
    record: TurnRecord
    """Its replies are those of the bot."""


def look_at(engine: Engine, pack: str, conversation_id: str, number: int, staff: Staff) -> PlayedTurn:
    """Raises UnknownTurn."""
    with transaction(engine, write=True) as session:
        turn = session.get(TurnRow, (conversation_id, number))
        conversation = session.get(ConversationRow, conversation_id)
        if turn is None or turn.last_seq is None or conversation is None or conversation.pack != pack:
            raise UnknownTurn(conversation_id, number)
        earlier = session.get(TurnRow, (conversation_id, number - 1))
        turns = session.scalar(
            select(func.max(TurnRow.number)).where(TurnRow.conversation_id == conversation_id)
        )
        replies = session.scalars(
            select(MessageRow)
            .where(
                MessageRow.conversation_id == conversation_id,
                MessageRow.seq >= turn.reply_seq,
                MessageRow.seq <= turn.last_seq,
                MessageRow.author == "bot",
            )
            .order_by(MessageRow.seq)
        )
        drafts = tuple(Draft(row.text, row.buttons, row.made_by or "") for row in replies)
        note(session, Deed("review.explain", f"conversation {conversation_id}, turn {number}", staff.actor))
        return PlayedTurn(
            conversation_id,
            number,
            turns or number,
            earlier.state if earlier else DialogueState(),
            replace(read_record(session, turn), replies=drafts),
        )
