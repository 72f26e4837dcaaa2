"""Run by Alembic for each command of storage.migration, which hands in the connection."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from storage.columns import Record, SealedText, UtcTime
from storage.desk_tables import Base
from storage.migration import is_ours


def _render(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """A migration outlives this program's types, so it names SQLAlchemy's."""
    if kind == "type" and isinstance(item, SealedText):
        return "sa.Text()"
    if kind == "type" and isinstance(item, UtcTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, Record):
        autogen.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    render_item=_render,
    include_name=is_ours,
)
with context.begin_transaction():
    context.run_migrations()
