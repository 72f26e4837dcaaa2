"""Intentions of business actions, written before they are carried out, and turns that wait for them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TURN_CHECKS = {
    "ck_turns_reply_seq": "reply_seq > message_seq",
    "ck_turns_last_seq": "last_seq >= reply_seq - 1",
    "ck_turns_finished": "(reply_seq IS NULL) = (last_seq IS NULL)",
}
EXECUTION_CHECKS = {
    "ck_executions_status": "status IN ('intended', 'answered', 'unanswered')",
    "ck_executions_outcome": "(outcome IS NOT NULL) = (status = 'answered')",
}
UNIQUE_POSITION = "uq_executions_conversation_id_turn_position"


def upgrade() -> None:
    op.add_column("conversations", sa.Column("version", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("conversations", sa.Column("last_seq", sa.Integer(), nullable=False, server_default="0"))
    op.execute(
        "UPDATE conversations SET last_seq = "
        "(SELECT COALESCE(MAX(seq), 0) FROM messages WHERE conversation_id = conversations.id)"
    )
    op.add_column("turns", sa.Column("reply_seq", sa.Integer()))
    op.execute("UPDATE turns SET reply_seq = message_seq + 1")
    with op.batch_alter_table("turns") as turns:
        turns.drop_constraint(op.f("ck_turns_last_seq"), type_="check")
        turns.alter_column("last_seq", existing_type=sa.Integer(), nullable=True)
        for name, condition in TURN_CHECKS.items():
            turns.create_check_constraint(op.f(name), condition)
    unfinished = sa.text("last_seq IS NULL")
    op.create_index(
        op.f("uq_turns_unfinished"),
        "turns",
        ["conversation_id"],
        unique=True,
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
    op.add_column("executions", sa.Column("status", sa.Text(), nullable=False, server_default="answered"))
    with op.batch_alter_table("executions") as executions:
        executions.alter_column("status", existing_type=sa.Text(), server_default=None)
        executions.alter_column("outcome", existing_type=sa.Text(), nullable=True)
        executions.drop_constraint(op.f("pk_executions"), type_="primary")
        executions.drop_constraint(op.f(UNIQUE_POSITION), type_="unique")
        executions.create_primary_key(op.f("pk_executions"), ["conversation_id", "turn", "position"])
        executions.create_check_constraint(op.f("ck_executions_position"), "position >= 1")
        for name, condition in EXECUTION_CHECKS.items():
            executions.create_check_constraint(op.f(name), condition)
    answered = sa.text("status = 'answered'")
    op.create_index(
        op.f("uq_executions_answered"),
        "executions",
        ["idempotency_key"],
        unique=True,
        sqlite_where=answered,
        postgresql_where=answered,
    )


def downgrade() -> None:
    """Executions without an answer are forgotten; a turn that waits for one ends without a reply."""
    op.drop_index("uq_executions_answered", "executions")
    op.execute("DELETE FROM executions WHERE status <> 'answered'")
    with op.batch_alter_table("executions") as executions:
        for name in (*EXECUTION_CHECKS, "ck_executions_position"):
            executions.drop_constraint(op.f(name), type_="check")
        executions.drop_constraint(op.f("pk_executions"), type_="primary")
        executions.create_primary_key(op.f("pk_executions"), ["idempotency_key"])
        executions.create_unique_constraint(op.f(UNIQUE_POSITION), ["conversation_id", "turn", "position"])
        executions.alter_column("outcome", existing_type=sa.Text(), nullable=False)
        executions.drop_column("status")
    op.drop_index("uq_turns_unfinished", "turns")
    op.execute("UPDATE turns SET reply_seq = message_seq + 1, last_seq = message_seq WHERE last_seq IS NULL")
    with op.batch_alter_table("turns") as turns:
        for name in TURN_CHECKS:
            turns.drop_constraint(op.f(name), type_="check")
        turns.alter_column("last_seq", existing_type=sa.Integer(), nullable=False)
        turns.drop_column("reply_seq")
        turns.create_check_constraint(op.f("ck_turns_last_seq"), "last_seq >= message_seq")
    with op.batch_alter_table("conversations") as conversations:
        conversations.drop_column("version")
        conversations.drop_column("last_seq")
