"""The audit that only grows, the program's own secrets, and conversations found by customer.

Texts and records that are encrypted keep their columns: an encrypted record is a JSON string.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

SQLITE_GUARD = """
CREATE TRIGGER audit_no_{event} BEFORE {event} ON audit {condition}
BEGIN SELECT RAISE(ABORT, 'the audit only grows'); END
"""
POSTGRESQL_GUARD = """
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'the audit only grows'; END $$;
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
"""


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("details", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
    op.create_index(op.f("ix_conversations_customer_id"), "conversations", ["customer_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(POSTGRESQL_GUARD)
    else:
        # INSERT OR REPLACE deletes without a trigger for it.
        taken = "WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)"
        for event, condition in (("UPDATE", ""), ("DELETE", ""), ("INSERT", taken)):
            op.execute(SQLITE_GUARD.format(event=event, condition=condition))


def downgrade() -> None:
    op.drop_index(op.f("ix_conversations_customer_id"), "conversations")
    op.drop_table("secrets")
    op.drop_table("audit")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_audit_change()")
