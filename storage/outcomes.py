"""How the conversations of a policy ended, counted in SQL."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, exists, func, select

from storage.database import transaction
from storage.logs import SILENCE
from storage.tables import ConversationRow, MessageRow


@dataclass(frozen=True)
class Outcomes:
    conversations: int
    handed_over: int
    left: int
    """Open, and silent for so long that the customer is gone."""
    thumbs_down: int


def count_outcomes(
    engine: Engine, pack: str, version: str, since: datetime, now: datetime | None = None
) -> Outcomes:
    """Of settled conversations that began at or after `since`, and in which `version` decided last."""
    silent = ConversationRow.updated_at < (now or datetime.now(UTC)) - SILENCE
    rated_down = exists().where(MessageRow.conversation_id == ConversationRow.id, MessageRow.rating < 0)
    query = select(
        func.count(),
        func.count().filter(ConversationRow.status == "handed_over"),
        func.count().filter(ConversationRow.status == "open"),
        func.count().filter(rated_down),
    ).where(
        ConversationRow.pack == pack,
        ConversationRow.policy_version == version,
        ConversationRow.created_at >= since,
        (ConversationRow.status != "open") | silent,
    )
    with transaction(engine) as session:
        return Outcomes(*session.execute(query).one())
