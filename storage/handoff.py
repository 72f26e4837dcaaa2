"""How a conversation comes to wait for a colleague, inside of the turn that hands it over."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, bindparam, exists, func, or_, select, update

from storage.desk_tables import HandoffRow
from storage.records import HandoffReason
from storage.state import DialogueState

HANDOFFS = cast(Table, HandoffRow.__table__)
RESOLVED = HANDOFFS.alias("resolved")
RATE = (
    update(HANDOFFS)
    .where(
        HANDOFFS.c.conversation_id == bindparam("conversation"),
        HANDOFFS.c.turn
        == select(func.max(RESOLVED.c.turn))
        .where(RESOLVED.c.conversation_id == bindparam("conversation"), RESOLVED.c.ended == "resolved")
        .scalar_subquery(),
    )
    .values(rating=bindparam("stars"))
)
"""Of the last time that a colleague resolved the conversation."""


def held_at(conversation: Any, time: Any) -> ColumnElement[bool]:
    """The condition that a colleague, of whom there is a sign of life, has the conversation."""
    return exists().where(
        HANDOFFS.c.conversation_id == conversation, HANDOFFS.c.ended.is_(None), HANDOFFS.c.lease_until > time
    )


def is_free(now: datetime) -> ColumnElement[bool]:
    """Nobody has it, or somebody of whom there is no sign of life any more."""
    return or_(HANDOFFS.c.lease_until.is_(None), HANDOFFS.c.lease_until <= now)


def reason_of(state: DialogueState) -> HandoffReason:
    """Why the conversation is handed over, given the state after that turn; see dialog_policy/rules.py."""
    if state.wants_person or state.may_want_person:
        return "asked"
    if state.locked:
        return "identity"
    if state.upset:
        return "upset"
    return "not_understood" if state.failures else "judged"
