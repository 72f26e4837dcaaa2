"""Conversations, their messages, and what was decided and done in each turn."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("pack", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text()),
        sa.Column("state", JSON, nullable=False),
        sa.Column("policy_version", sa.Text()),
        sa.Column("visitor", sa.Text()),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
        sa.CheckConstraint(
            "status IN ('open', 'handed_over', 'closed')", name=op.f("ck_conversations_status")
        ),
    )
    op.create_table(
        "messages",
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("buttons", JSON, nullable=False),
        sa.Column("made_by", sa.Text()),
        sa.Column("rating", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "seq", name=op.f("pk_messages")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_messages_conversations")
        ),
        sa.CheckConstraint("seq >= 1", name=op.f("ck_messages_seq")),
        sa.CheckConstraint("author IN ('customer', 'bot', 'agent')", name=op.f("ck_messages_author")),
        sa.CheckConstraint(
            "rating IN (-1, 0, 1) AND (rating = 0 OR author = 'bot')", name=op.f("ck_messages_rating")
        ),
    )
    op.create_table(
        "turns",
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("client_message_id", sa.Text()),
        sa.Column("message_seq", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("understanding", JSON, nullable=False),
        sa.Column("state", JSON, nullable=False),
        sa.Column("latency_ms", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "number", name=op.f("pk_turns")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversations.id"], name=op.f("fk_turns_conversations")
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id", "message_seq"],
            ["messages.conversation_id", "messages.seq"],
            name=op.f("fk_turns_messages"),
        ),
        sa.UniqueConstraint(
            "conversation_id", "client_message_id", name=op.f("uq_turns_conversation_id_client_message_id")
        ),
        sa.CheckConstraint("number >= 1", name=op.f("ck_turns_number")),
        sa.CheckConstraint("last_seq >= message_seq", name=op.f("ck_turns_last_seq")),
    )
    op.create_index(op.f("ix_turns_created_at"), "turns", ["created_at"])
    op.create_table(
        "decisions",
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("observation", JSON, nullable=False),
        sa.Column("feature_version", sa.Integer(), nullable=False),
        sa.Column("mask", JSON, nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("policy_version", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "turn", "step", name=op.f("pk_decisions")),
        sa.ForeignKeyConstraint(
            ["conversation_id", "turn"],
            ["turns.conversation_id", "turns.number"],
            name=op.f("fk_decisions_turns"),
        ),
        sa.CheckConstraint("step >= 1", name=op.f("ck_decisions_step")),
        sa.CheckConstraint("probability > 0 AND probability <= 1", name=op.f("ck_decisions_probability")),
    )
    op.create_table(
        "executions",
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("slots", JSON, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("facts", JSON, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("idempotency_key", name=op.f("pk_executions")),
        sa.ForeignKeyConstraint(
            ["conversation_id", "turn"],
            ["turns.conversation_id", "turns.number"],
            name=op.f("fk_executions_turns"),
        ),
        sa.UniqueConstraint(
            "conversation_id", "turn", "position", name=op.f("uq_executions_conversation_id_turn_position")
        ),
    )


def downgrade() -> None:
    for table in ("executions", "decisions", "turns", "messages", "conversations"):
        op.drop_table(table)
