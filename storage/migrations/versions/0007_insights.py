"""Indexes from which the insights are counted, without a look at what people wrote."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CONVERSATIONS = ["pack", "created_at", "site", "policy_version", "last_seq", "id"]


def upgrade() -> None:
    op.create_index(op.f("ix_conversations_insights"), "conversations", CONVERSATIONS)
    op.create_index(op.f("ix_turns_insights"), "turns", ["created_at", "intent", "latency"])
    rated = sa.text("rating <> 0")
    op.create_index(
        op.f("ix_messages_rated"),
        "messages",
        ["conversation_id", "rating"],
        sqlite_where=rated,
        postgresql_where=rated,
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_messages_rated"), "messages")
    op.drop_index(op.f("ix_turns_insights"), "turns")
    op.drop_index(op.f("ix_conversations_insights"), "conversations")
