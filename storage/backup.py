"""Backups: one compressed file with every row, the same for SQLite and PostgreSQL, so one restores the other.

Lines of JSON: a head with the revision; for each table a line with its columns, then its rows; a tail with
the number of rows. Values are as they stand in the database: what is encrypted there is so here.
"""

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from sqlalchemy import Connection, DateTime, Engine, MetaData, Table, func, insert, inspect, select, text
from sqlalchemy.orm import Session

from storage.audit import Deed, note
from storage.database import snapshot, transaction
from storage.desk_tables import Base
from storage.erasure import ERASE, delete_conversations, scrub
from storage.faults import StorageError
from storage.integrity import find_faults
from storage.migration import head, migrating, revision_of, revisions
from storage.tables import AuditRow, ConversationRow

FORMAT = 1
BATCH = 500
"""Rows that are in memory at once."""

Line = Any
"""An object of the head, a table or the tail, or an array with the values of a row."""


def write_backup(engine: Engine, path: Path, actor: str) -> dict[str, int]:
    """Every row as it stands at this moment, while conversations go on. Returns the rows by table."""
    if path.exists():
        raise StorageError(f"{path} exists already; give the backup a name of its own")
    part = path.with_name(f"{path.name}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            with (
                gzip.open(file, "wt", compresslevel=3, encoding="utf-8") as lines,
                snapshot(engine) as session,
            ):
                counts: dict[str, int] = {}
                for line in _dump(session.connection(), counts):
                    lines.write(json.dumps(line, ensure_ascii=False, default=datetime.isoformat) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    if AuditRow.__tablename__ in counts:  # a database of an early revision has none
        with transaction(engine, write=True) as session:
            note(session, Deed("database.backup", str(path), actor, details={"rows": counts}))
    return counts


def restore_backup(engine: Engine, path: Path, actor: str, *, force: bool = False) -> dict[str, int]:
    """Put the rows of a backup in place of what the database holds, all or nothing; returns them by table.

    The audit keeps its entries, and what was erased since the backup stays erased. Raises StorageError
    where the file is not whole, its rows are not in order, or the database is not empty without `force`.
    """
    revision, counts = inspect_backup(path)
    with migrating(engine) as config, Session(config.attributes["connection"]) as session:
        connection = session.connection()
        held = _held(connection)
        if held and not force:
            raise StorageError(
                f"The database holds {held} conversations; to replace them by the backup give --force"
            )
        audit = _audit(connection)
        if revision_of(connection) is not None:
            command.downgrade(config, "base")
        command.upgrade(config, revision)
        _load(connection, path)
        command.upgrade(config, "head")
        known = _audit(connection)
        session.add_all(AuditRow(**entry) for entry in audit if entry not in known)
        note(session, Deed("database.restore", str(path), actor, details={"rows": counts, "replaced": held}))
        session.flush()
        _erase_again(session)
        faults = find_faults(session)
        if faults:
            raise StorageError(f"{path} was not restored, its rows are not in order: {faults[0]}")
        session.commit()
    scrub(engine)
    return counts


def inspect_backup(path: Path) -> tuple[str, dict[str, int]]:
    """The revision of a backup and its rows by table. Raises StorageError where it is not whole."""
    try:
        lines = _lines(path)
        first = next(lines, None)
        if not isinstance(first, dict) or first.get("backup") != FORMAT:
            raise StorageError(f"{path} is no backup; give a file that chatbot database backup wrote")
        counts: dict[str, int] = {}
        table, last = "", first
        for last in lines:
            if isinstance(last, list):
                counts[table] += 1
            elif "table" in last:
                table = last["table"]
                counts[table] = 0
        if last.get("rows") != counts:
            raise EOFError("the tail is missing")
    except FileNotFoundError:
        raise StorageError(f"{path}: there is no such file") from None
    except (OSError, EOFError, zlib.error, ValueError, KeyError, AttributeError) as error:
        raise StorageError(f"{path} is no whole backup ({error}); take another one") from error
    if first["revision"] not in revisions():
        raise StorageError(
            f"{path} is of revision {first['revision']}, this program's is {head()}; install a newer program"
        )
    return first["revision"], counts


def _lines(path: Path) -> Iterator[Line]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _dump(connection: Connection, counts: dict[str, int]) -> Iterator[Line]:
    """Fills `counts` on the way."""
    revision = revision_of(connection)
    if revision is None:
        raise StorageError("The database holds nothing to back up; run: chatbot database upgrade")
    yield {"backup": FORMAT, "revision": revision, "at": datetime.now(UTC)}
    for table in _tables(connection):
        yield {"table": table.name, "columns": [column.name for column in table.columns]}
        counts[table.name] = 0
        query = select(table).order_by(*table.primary_key).execution_options(yield_per=BATCH)
        for row in connection.execute(query):
            counts[table.name] += 1
            yield list(row)
    yield {"rows": counts}


def _tables(connection: Connection) -> list[Table]:
    """The program's tables as they are in this database, whatever its revision."""
    there = [name for name in inspect(connection).get_table_names() if name in Base.metadata.tables]
    metadata = MetaData()
    metadata.reflect(connection, only=there)
    return metadata.sorted_tables


def _load(connection: Connection, path: Path) -> None:
    tables = {table.name: table for table in _tables(connection)}
    lines = _lines(path)
    next(lines)
    rows: list[dict[str, Any]] = []
    table, columns = None, []

    def write() -> None:
        if table is not None and rows:
            connection.execute(insert(table), rows)
            rows.clear()

    for line in lines:
        if isinstance(line, dict):
            write()
            table, columns = tables.get(line.get("table", "")), line.get("columns", [])
        elif table is not None:
            rows.append({name: _value(table, name, value) for name, value in zip(columns, line, strict=True)})
            if len(rows) == BATCH:
                write()
    if connection.dialect.name == "postgresql":
        _count_on(connection, tables.values())


def _value(table: Table, column: str, value: Any) -> Any:
    if value is None or not isinstance(table.c[column].type, DateTime):
        return value
    time = datetime.fromisoformat(value)  # SQLite writes no zone: all is UTC
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _count_on(connection: Connection, tables: Iterable[Table]) -> None:
    """Let PostgreSQL number the next rows after those that were put in with their numbers."""
    for table in tables:
        for column in table.primary_key:
            query = text("SELECT pg_get_serial_sequence(:table, :column)")
            counter = connection.scalar(query, {"table": table.name, "column": column.name})
            if counter is not None:
                last = connection.scalar(select(func.max(column)))
                if last is not None:
                    connection.execute(select(func.setval(counter, last)))


def _held(connection: Connection) -> int:
    if not inspect(connection).has_table(ConversationRow.__tablename__):
        return 0
    return connection.scalar(select(func.count()).select_from(ConversationRow)) or 0


def _audit(connection: Connection) -> list[dict[str, Any]]:
    """Its entries but for their numbers."""
    if not inspect(connection).has_table(AuditRow.__tablename__):
        return []
    table = Base.metadata.tables[AuditRow.__tablename__]
    parts = [column for column in table.columns if column.name != "id"]
    return [dict(row) for row in connection.execute(select(*parts).order_by(table.c.id)).mappings()]


def _erase_again(session: Session) -> None:
    deeds = session.scalars(select(AuditRow).where(AuditRow.action == ERASE))
    erased = [name for deed in deeds for name in deed.details["conversations"]]
    if erased:
        delete_conversations(session, erased)
