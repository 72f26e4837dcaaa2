"""Bringing a database to this program's tables, and finding what is wrong with one.

To change a table: change storage/tables.py, `draft` the migration, and read it over.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.schema import SchemaItem

from storage.database import transaction
from storage.desk_tables import Base
from storage.faults import DAMAGED, StorageError
from storage.integrity import find_faults, find_unfinished

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = 0x63686174
"""The advisory lock under which one server at a time migrates a PostgreSQL database."""


def is_ours(name: str | None, kind: str, _: Any) -> bool:
    """Whether a name found in the database concerns us: others may keep tables there too."""
    return kind != "table" or name in Base.metadata.tables


def upgrade(engine: Engine, revision: str = "head") -> None:
    with migrating(engine) as config:
        command.upgrade(config, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Back to `revision`; what only the later tables held is lost."""
    with migrating(engine) as config:
        command.downgrade(config, revision)


def draft(engine: Engine, message: str) -> None:
    """Write a migration file with what differs between storage/tables.py and the database."""
    with migrating(engine) as config:
        command.revision(config, message, autogenerate=True, rev_id=f"{int(max(revisions())) + 1:04}")


def current(engine: Engine) -> str | None:
    """The database's revision; None where it was never migrated."""
    with transaction(engine) as session:
        return revision_of(session.connection())


def head() -> str:
    """The revision of this program."""
    revision = _scripts().get_current_head()
    assert revision is not None
    return revision


def revisions() -> set[str]:
    """All revisions that this program knows."""
    return {script.revision for script in _scripts().walk_revisions()}


def check(engine: Engine) -> list[str]:
    """What is wrong with the database, in words; empty when nothing is."""
    with transaction(engine) as session:
        connection = session.connection()
        return (
            _revision_problems(connection)
            or _differences(connection)
            or _damage(connection)
            or [*find_faults(session), *find_unfinished(session)]
        )


@contextmanager
def migrating(engine: Engine) -> Iterator[Config]:
    """All migrations in one transaction, and by one process at a time.

    The configuration's attribute "connection" is the connection.
    """
    with (
        engine.connect().execution_options(write=True) as connection,
        _foreign_keys_off(connection),
        connection.begin(),
    ):
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
        try:
            yield _config(connection)
        except CommandError as error:
            raise StorageError(
                f"The database cannot be migrated: {error} (this program: {head()})"
            ) from error


@contextmanager
def _foreign_keys_off(connection: Connection) -> Iterator[None]:
    """SQLite alters a table by making it anew, and drops no table that rows of another one refer to.

    The switch has no effect inside a transaction.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.dbapi_connection
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        driver.execute("PRAGMA foreign_keys = ON")


def _config(connection: Connection | None = None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _revision_problems(connection: Connection) -> list[str]:
    revision = revision_of(connection)
    if revision == head():
        return []
    upgrade_it = "run: chatbot database upgrade"
    if revision is None:
        return [f"The database is not migrated; {upgrade_it}"]
    if revision in revisions():
        return [f"The database is at {revision}, behind this program's {head()}; {upgrade_it}"]
    return [f"The database is at {revision}, ahead of this program's {head()}; install a newer program"]


def _damage(connection: Connection) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []
    found = [str(line) for line in connection.execute(text("PRAGMA integrity_check(3)")).scalars()]
    return [] if found == ["ok"] else [f"The database {DAMAGED} ({'; '.join(found)})"]


def _differences(connection: Connection) -> list[str]:
    context = MigrationContext.configure(connection, opts={"include_name": is_ours})
    found = compare_metadata(context, Base.metadata)
    steps = [step for entry in found for step in (entry if isinstance(entry, list) else [entry])]
    return [f"The tables are not as migrated: {_describe(*step)}" for step in steps]


def _describe(operation: str, *parts: Any) -> str:
    names = [str(getattr(part, "name", part)) for part in parts if isinstance(part, str | SchemaItem)]
    verb, _, kind = operation.partition("_")
    fault = {"add": "is missing", "remove": "is unknown to this program"}.get(verb, "differs")
    return f"{kind} {'.'.join(names)} {fault}"
