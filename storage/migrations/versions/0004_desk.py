"""People at the desk: accounts, sessions, handed-over conversations, notes, and what they correct.

What was handed over before waits from then on. Turns get in columns what is counted; in those whose
understanding is encrypted it stays empty.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)
CONVERSATION = ("conversation_id", sa.Text())
SUM_OF_STAGES = {
    "sqlite": "(SELECT SUM(value) FROM json_each(latency_ms))",
    "postgresql": "(SELECT SUM(value::float8) FROM jsonb_each_text(latency_ms))",
}
UNDERSTOOD = {
    "sqlite": """
        UPDATE turns SET intent = json_extract(understanding, '$.wishes[0]'),
            confidence = json_extract(understanding, '$.intents[0].probability')
        WHERE json_type(understanding) = 'object'
    """,
    "postgresql": """
        UPDATE turns SET intent = understanding->'wishes'->>0,
            confidence = (understanding->'intents'->0->>'probability')::float8
        WHERE jsonb_typeof(understanding) = 'object'
    """,
}
HANDOFFS = """
INSERT INTO handoffs (conversation_id, turn, reason, waiting_since)
SELECT conversations.id, MAX(turns.number), 'judged', conversations.updated_at
FROM conversations JOIN turns ON turns.conversation_id = conversations.id
WHERE conversations.status = 'handed_over'
GROUP BY conversations.id, conversations.updated_at
"""
FINDINGS = """
INSERT INTO findings (conversation_id, turn, low_confidence, out_of_scope, thumbs_down, handoff, created_at)
SELECT conversation_id, number, low_confidence, out_of_scope, thumbs_down, handoff, created_at FROM (
    SELECT turns.conversation_id, turns.number, turns.created_at,
        COALESCE(intent IS NOT NULL AND confidence < 0.6, FALSE) AS low_confidence,
        COALESCE(intent IS NULL AND confidence IS NOT NULL, FALSE) AS out_of_scope,
        EXISTS (SELECT 1 FROM messages WHERE messages.conversation_id = turns.conversation_id
            AND seq BETWEEN reply_seq AND turns.last_seq AND rating = -1) AS thumbs_down,
        EXISTS (SELECT 1 FROM decisions WHERE decisions.conversation_id = turns.conversation_id
            AND decisions.turn = turns.number AND action = 'handoff') AS handoff
    FROM turns WHERE EXISTS (SELECT 1 FROM decisions WHERE decisions.conversation_id = turns.conversation_id
        AND decisions.turn = turns.number)
) AS found
WHERE low_confidence OR out_of_scope OR thumbs_down OR handoff
"""


def upgrade() -> None:
    _make_staff()
    _make_handoffs()
    _make_review()
    dialect = op.get_bind().dialect.name
    for name, kind in (("latency", sa.Double()), ("intent", sa.Text()), ("confidence", sa.Double())):
        op.add_column("turns", sa.Column(name, kind))
    op.execute(f"UPDATE turns SET latency = {SUM_OF_STAGES[dialect]}")
    op.execute(UNDERSTOOD[dialect])
    op.execute(HANDOFFS)
    op.execute(FINDINGS)


def downgrade() -> None:
    for table in ("corrections", "findings", "notes", "handoffs", "throttles", "staff_sessions", "staff"):
        op.drop_table(table)
    with op.batch_alter_table("turns") as turns:
        for name in ("latency", "intent", "confidence"):
            turns.drop_column(name)


def _make_staff() -> None:
    op.create_table(
        "staff",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("role IN ('agent', 'supervisor', 'administrator')", name=op.f("ck_staff_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
        sa.UniqueConstraint("account", name=op.f("uq_staff_account")),
    )
    op.create_table(
        "staff_sessions",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("staff_id", sa.Text(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        _refers("staff_sessions", "staff", ["staff_id"], ["id"]),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_staff_sessions")),
    )
    op.create_index(op.f("ix_staff_sessions_staff_id"), "staff_sessions", ["staff_id"])
    op.create_table(
        "throttles",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.CheckConstraint("failures >= 1", name=op.f("ck_throttles_failures")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_throttles")),
    )
    op.create_index(op.f("ix_throttles_since"), "throttles", ["since"])


def _make_handoffs() -> None:
    op.create_table(
        "handoffs",
        sa.Column(*CONVERSATION, nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("waiting_since", TIME, nullable=False),
        sa.Column("claimed_by", sa.Text()),
        sa.Column("lease_until", TIME),
        sa.Column("ended", sa.Text()),
        sa.Column("ended_at", TIME),
        sa.Column("rating", sa.Integer()),
        _refers("handoffs", "turns", ["conversation_id", "turn"], ["conversation_id", "number"]),
        _refers("handoffs", "conversations", ["conversation_id"], ["id"]),
        _refers("handoffs", "staff", ["claimed_by"], ["id"]),
        sa.CheckConstraint(
            "reason IN ('asked', 'identity', 'upset', 'not_understood', 'judged')",
            name=op.f("ck_handoffs_reason"),
        ),
        sa.CheckConstraint("ended IN ('returned', 'resolved')", name=op.f("ck_handoffs_ended")),
        sa.CheckConstraint("(claimed_by IS NULL) = (lease_until IS NULL)", name=op.f("ck_handoffs_claimed")),
        sa.CheckConstraint("(ended IS NULL) = (ended_at IS NULL)", name=op.f("ck_handoffs_ended_at")),
        sa.CheckConstraint(
            "rating IS NULL OR (rating BETWEEN 1 AND 5 AND ended IS NOT NULL AND ended = 'resolved')",
            name=op.f("ck_handoffs_rating"),
        ),
        sa.PrimaryKeyConstraint("conversation_id", "turn", name=op.f("pk_handoffs")),
    )
    still_open = sa.text("ended IS NULL")
    op.create_index(
        op.f("uq_handoffs_open"),
        "handoffs",
        ["conversation_id"],
        unique=True,
        sqlite_where=still_open,
        postgresql_where=still_open,
    )
    op.create_index(op.f("ix_handoffs_waiting"), "handoffs", ["ended", "waiting_since"])
    op.create_index(op.f("ix_handoffs_claimed_by"), "handoffs", ["claimed_by"])
    op.create_table(
        "notes",
        sa.Column(*CONVERSATION, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("staff_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        _refers("notes", "conversations", ["conversation_id"], ["id"]),
        _refers("notes", "staff", ["staff_id"], ["id"]),
        sa.CheckConstraint("number >= 1", name=op.f("ck_notes_number")),
        sa.PrimaryKeyConstraint("conversation_id", "number", name=op.f("pk_notes")),
    )


def _make_review() -> None:
    op.create_table(
        "findings",
        sa.Column(*CONVERSATION, nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("low_confidence", sa.Boolean(), nullable=False),
        sa.Column("out_of_scope", sa.Boolean(), nullable=False),
        sa.Column("thumbs_down", sa.Boolean(), nullable=False),
        sa.Column("handoff", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        _refers("findings", "turns", ["conversation_id", "turn"], ["conversation_id", "number"]),
        _refers("findings", "conversations", ["conversation_id"], ["id"]),
        sa.CheckConstraint(
            "low_confidence OR out_of_scope OR thumbs_down OR handoff", name=op.f("ck_findings_reason")
        ),
        sa.PrimaryKeyConstraint("conversation_id", "turn", name=op.f("pk_findings")),
    )
    op.create_index(op.f("ix_findings_created_at"), "findings", ["created_at", "conversation_id", "turn"])
    op.create_table(
        "corrections",
        sa.Column(*CONVERSATION, nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("intent", sa.Text()),
        sa.Column("entities", JSON, nullable=False),
        sa.Column("action", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("staff_id", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text()),
        sa.Column("updated_at", TIME, nullable=False),
        _refers("corrections", "turns", ["conversation_id", "turn"], ["conversation_id", "number"]),
        _refers("corrections", "conversations", ["conversation_id"], ["id"]),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name="fk_corrections_staff"),
        sa.ForeignKeyConstraint(["decided_by"], ["staff.id"], name="fk_corrections_staff_decided"),
        sa.CheckConstraint(
            "status IN ('corrected', 'approved', 'dismissed')", name=op.f("ck_corrections_status")
        ),
        sa.PrimaryKeyConstraint("conversation_id", "turn", name=op.f("pk_corrections")),
    )
    op.create_index(op.f("ix_corrections_status"), "corrections", ["status", "updated_at"])


def _refers(table: str, other: str, columns: list[str], others: list[str]) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        columns, [f"{other}.{name}" for name in others], name=op.f(f"fk_{table}_{other}")
    )
