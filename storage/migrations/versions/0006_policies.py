"""Versions of the policy; what exploration and a policy in the shadow did."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "policies",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("pack", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("feature_version", sa.Integer(), nullable=False),
        sa.Column("configuration", JSON, nullable=False),
        sa.Column("figures", JSON, nullable=False),
        sa.Column("data_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("data_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("conversations", sa.Integer(), nullable=False),
        sa.Column("weights", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("served_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "status IN ('candidate', 'shadow', 'canary', 'live', 'retired')", name=op.f("ck_policies_status")
        ),
        sa.CheckConstraint("share >= 0 AND share <= 1", name=op.f("ck_policies_share")),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_policies")),
    )
    for status in ("live", "canary", "shadow"):
        where = sa.text(f"status = '{status}'")
        op.create_index(
            f"uq_policies_{status}",
            "policies",
            ["pack"],
            unique=True,
            sqlite_where=where,
            postgresql_where=where,
        )
    op.add_column("decisions", sa.Column("explored", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("decisions", sa.Column("shadow_version", sa.Text(), nullable=True))
    op.add_column("decisions", sa.Column("shadow_action", sa.Text(), nullable=True))


def downgrade() -> None:
    for column in ("shadow_action", "shadow_version", "explored"):
        op.drop_column("decisions", column)
    op.drop_table("policies")
