"""The statements by which a turn is read and written, each made once."""

from typing import cast

from sqlalchemy import Table, bindparam, exists, func, insert, literal_column, select, update

from storage.columns import UtcTime
from storage.driver import Statement
from storage.findings import FINDINGS
from storage.handoff import HANDOFFS, RATE, held_at
from storage.messages import CONVERSATIONS, WRITE
from storage.tables import DecisionRow, ExecutionRow, TurnRow

TURNS, DECISIONS, EXECUTIONS = (cast(Table, row.__table__) for row in (TurnRow, DecisionRow, ExecutionRow))
LAST, EARLIER = TURNS.alias("last"), TURNS.alias("earlier")
ANSWERED = EXECUTIONS.alias("answered")
START = Statement(
    select(
        CONVERSATIONS.c.version,
        CONVERSATIONS.c.last_seq.label("seq"),
        CONVERSATIONS.c.state,
        CONVERSATIONS.c.policy_version,
        LAST.c.number.label("last"),
        LAST.c.last_seq.label("last_end"),
        EARLIER.c.number.label("earlier"),
        EARLIER.c.reply_seq.label("earlier_start"),
        EARLIER.c.last_seq.label("earlier_end"),
        held_at(bindparam("id"), bindparam("now", type_=UtcTime())).label("held"),
    )
    .outerjoin_from(
        CONVERSATIONS,
        LAST,
        (LAST.c.conversation_id == CONVERSATIONS.c.id)
        & (
            LAST.c.number
            == select(func.max(TURNS.c.number))
            .where(TURNS.c.conversation_id == bindparam("id"))
            .scalar_subquery()
        ),
    )
    .outerjoin(
        EARLIER,
        (EARLIER.c.conversation_id == CONVERSATIONS.c.id)
        & (EARLIER.c.client_message_id == bindparam("client_message_id")),
    )
    .where(CONVERSATIONS.c.id == bindparam("id"))
)
"""All that a turn starts from, in one query."""
UNCHANGED = WRITE.where(CONVERSATIONS.c.version == bindparam("seen"))
"""Writes nothing where somebody else wrote since the turn began."""
KEEP_ON = Statement(UNCHANGED)
FINISH = Statement(
    UNCHANGED.values(
        state=bindparam("state_after"),
        status=bindparam("status_after"),
        customer_id=bindparam("customer"),
        policy_version=func.coalesce(bindparam("policy"), CONVERSATIONS.c.policy_version),
    )
)
THIS_TURN = (TURNS.c.conversation_id == bindparam("conversation")) & (TURNS.c.number == bindparam("turn"))
KEEP_TURN = Statement(update(TURNS).where(THIS_TURN).values(state=bindparam("state_after")))
FINISH_TURN = Statement(
    update(TURNS)
    .where(THIS_TURN)
    .values(
        state=bindparam("state_after"),
        latency_ms=bindparam("times"),
        latency=bindparam("time"),
        reply_seq=bindparam("first"),
        last_seq=bindparam("last"),
    )
)
ANSWER = Statement(
    update(EXECUTIONS)
    .where(
        EXECUTIONS.c.conversation_id == bindparam("conversation"),
        EXECUTIONS.c.turn == bindparam("this_turn"),
        EXECUTIONS.c.position == bindparam("place"),
    )
    .values(status=bindparam("status_now"), outcome=bindparam("outcome_now"), facts=bindparam("facts_now"))
)
OPEN_CALLS = Statement(
    select(EXECUTIONS.c.conversation_id, EXECUTIONS.c.idempotency_key, EXECUTIONS.c.slots)
    .where(
        EXECUTIONS.c.conversation_id.in_(
            select(CONVERSATIONS.c.id).where(
                (CONVERSATIONS.c.id == bindparam("conversation"))
                | (CONVERSATIONS.c.customer_id == bindparam("customer"))
            )
        ),
        EXECUTIONS.c.task == bindparam("what"),
        EXECUTIONS.c.status == "unanswered",
        ~exists().where(
            ANSWERED.c.idempotency_key == EXECUTIONS.c.idempotency_key,
            ANSWERED.c.status == literal_column("'answered'"),  # as in the index
        ),
    )
    .order_by(EXECUTIONS.c.created_at)
)
"""What was asked for and never answered since."""
ADD_TURN, ADD_DECISION, ADD_EXECUTION, ADD_HANDOFF, ADD_FINDING = (
    Statement(insert(table)) for table in (TURNS, DECISIONS, EXECUTIONS, HANDOFFS, FINDINGS)
)
RATE_COLLEAGUE = Statement(RATE)
