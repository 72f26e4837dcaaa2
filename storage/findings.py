"""Which turns are worth a look by the people who teach the bot."""

from typing import Any, cast

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from storage.desk_tables import FindingRow
from storage.records import TurnRecord
from storage.tables import TurnRow

FINDINGS = cast(Table, FindingRow.__table__)
LOW_CONFIDENCE = 0.6
"""Below this probability of its best intent a message counts as understood with doubt."""


def finding_row(record: TurnRecord) -> dict[str, Any]:
    """Why the turn is one, or nothing: what was said to a colleague is none. Thumbs come later."""
    if not record.decisions:
        return {}
    kinds = {decision.action.partition("(")[0] for decision in record.decisions}
    heard = record.understanding
    reasons = {
        "low_confidence": bool(heard.wishes) and heard.top.probability < LOW_CONFIDENCE,
        "out_of_scope": not heard.wishes,
        "thumbs_down": False,
        "handoff": "handoff" in kinds,
    }
    return reasons if any(reasons.values()) else {}


def note_thumbs_down(session: Session, conversation_id: str, seq: int) -> None:
    """The turn that gave the message `seq` is one; there is none where that was the opening, say."""
    mine = (TurnRow.conversation_id == conversation_id, TurnRow.reply_seq <= seq, TurnRow.last_seq >= seq)
    turn = session.execute(select(TurnRow.number, TurnRow.created_at).where(*mine)).first()
    if turn is None:
        return
    finding = session.get(FindingRow, (conversation_id, turn.number)) or FindingRow(
        conversation_id=conversation_id, turn=turn.number, created_at=turn.created_at
    )
    finding.thumbs_down = True
    session.add(finding)
