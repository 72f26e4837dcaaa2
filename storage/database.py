"""Engines for SQLite and PostgreSQL, their transactions, and errors that say what to do."""

import itertools
import json
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Dialect, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DisconnectionError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, QueuePool

from storage.faults import BUSY, StorageError, TryAgain, explain, name_of

SQLITE_BUSY_SECONDS = 5
CONNECT_SECONDS = 5
POOL_SECONDS = 5
REST_SECONDS = 1
"""A connection that was not used for as long is asked whether it still stands before it is used again."""
RETRY_SECONDS = 10
"""How long work is begun anew that another writer or a lost connection stopped."""
LONGEST_PAUSE = 0.02
"""Short, so that who has waited has the same chance as who comes new."""
POSTGRESQL_TIMEOUTS = {
    "statement_timeout": "30s",
    "lock_timeout": "15s",
    "idle_in_transaction_session_timeout": "60s",
}
"""Set in every session. No transaction waits for anything but the database, so none is near them."""
POSTGRESQL_KEEPALIVES = {
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
"""A server that vanished from the network is noticed within half a minute, not after two hours."""


Answer = TypeVar("Answer")


class Json(str):
    """A text that is JSON already."""


def write_json(value: Any) -> str:
    return value if isinstance(value, Json) else json.dumps(value)


def open_database(url: str) -> Engine:
    """An engine for `url`. It connects at its first use, and migrates nothing."""
    try:
        target = make_url(url)
    except ArgumentError:
        target = URL.create("unknown")
    match target.get_backend_name():
        case "sqlite":
            engine = _open_sqlite(target)
        case "postgresql" | "postgres":
            engine = _open_postgresql(target)
        case _:
            raise StorageError(
                "The database URL is not understood; give sqlite:///folder/file.db or postgresql://user@host/name"
            )
    name = name_of(target)
    event.listen(engine, "handle_error", lambda context: _explain_to_sqlalchemy(context, name))
    engine.update_execution_options(prepared={})
    return engine


def retry(work: Callable[[], Answer]) -> Answer:
    """What `work` gives, begun anew while it fails with TryAgain.

    Only for work that finds out by itself what it did before: a commit whose answer was lost on the way
    may have happened.
    """
    deadline = time.monotonic() + RETRY_SECONDS
    for attempt in itertools.count():
        try:
            return work()
        except TryAgain:
            if time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0, min(0.002 * 2**attempt, LONGEST_PAUSE)))
    raise AssertionError("unreachable")


@contextmanager
def transaction(engine: Engine, *, write: bool = False) -> Iterator[Session]:
    """Like `connection`, for what the object-relational mapper does."""
    with connection(engine, write=write) as opened, Session(opened, expire_on_commit=False) as session:
        yield session
        session.flush()


@contextmanager
def connection(engine: Engine, *, write: bool = False) -> Iterator[Connection]:
    """One transaction, rolled back on any exception. `write` takes SQLite's write lock at its begin."""
    with turn_to_write(engine, write):
        try:
            opened = engine.connect()
        except NoFreeConnection as error:
            raise _no_connection(engine) from error
        with opened.execution_options(write=write), opened.begin():
            yield opened


@contextmanager
def borrowed(engine: Engine) -> Iterator[Any]:
    """A connection of the driver's from the pool, which rolls back what is not committed.

    Its errors are explained as those of `connection` are.
    """
    lent = None
    try:
        lent = engine.raw_connection()
        yield lent.driver_connection
    except NoFreeConnection as error:
        raise _no_connection(engine) from error
    except engine.dialect.loaded_dbapi.Error as error:
        lost = lent is not None and engine.dialect.is_disconnect(error, lent.dbapi_connection, None)
        if lent is not None and lost:
            lent.invalidate(error)
        explained = explain(error, engine.dialect, lost, name_of(engine.url))
        if explained is None:
            raise
        raise explained from error
    finally:
        if lent is not None:
            lent.close()


@contextmanager
def turn_to_write(engine: Engine, write: bool) -> Iterator[None]:
    """SQLite has one writer. Its own way to wait for it is to try again now and then; here threads queue."""
    queue: threading.Lock | None = engine.get_execution_options().get("writer") if write else None
    if queue is None:
        yield
        return
    if not queue.acquire(timeout=SQLITE_BUSY_SECONDS):
        raise StorageError(f"The database {name_of(engine.url)} {BUSY}")
    try:
        yield
    finally:
        queue.release()


def _no_connection(engine: Engine) -> StorageError:
    return StorageError(
        f"No connection to {name_of(engine.url)} was free within {POOL_SECONDS} s; "
        "send fewer requests at once, or start another server"
    )


@contextmanager
def snapshot(engine: Engine) -> Iterator[Session]:
    """A transaction whose every query sees the database as it stood at the first one."""
    with transaction(engine) as session:
        if engine.dialect.name == "postgresql":
            session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        yield session


def _open_sqlite(url: URL) -> Engine:
    path = _sqlite_path(url)
    if path is not None and not path.parent.is_dir():
        raise StorageError(f"The folder {path.parent} for the database does not exist; make it first")
    engine = create_engine(
        url,
        hide_parameters=True,
        paramstyle="named",
        json_serializer=write_json,
        poolclass=QueuePool,
        # An in-memory database lives in its one connection, so threads must take turns on it. StaticPool
        # would hand it to several at once, and one's rollback would undo another's work.
        pool_size=10 if path else 1,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        connect_args={"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False},
    )
    engine.update_execution_options(writer=threading.Lock())
    event.listen(engine, "connect", _prepare_sqlite)
    if url.query.get("mode") != "ro":
        event.listen(engine, "connect", _write_ahead)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _sqlite_path(url: URL) -> Path | None:
    """The database file; None for a database in memory."""
    path = (url.database or "").removeprefix("file:")
    if path in ("", ":memory:") or url.query.get("mode") == "memory":
        return None
    return Path(path)


def _prepare_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # sqlite3 would begin by itself, but only before the first write
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # what is erased leaves no trace in free pages


def _write_ahead(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    """Readers and the one writer do not wait for each other."""
    connection.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _open_postgresql(url: URL) -> Engine:
    if "+" not in url.drivername:
        url = url.set(drivername="postgresql+psycopg")
    time_outs = " ".join(f"-c {name}={value}" for name, value in POSTGRESQL_TIMEOUTS.items())
    defaults = {
        "connect_timeout": str(CONNECT_SECONDS),
        "options": time_outs,
        "application_name": "chatbot",
        **POSTGRESQL_KEEPALIVES,
    }
    engine = create_engine(
        url.update_query_dict({name: value for name, value in defaults.items() if name not in url.query}),
        hide_parameters=True,
        json_serializer=write_json,
        pool_size=10,
        max_overflow=10,
        pool_timeout=POOL_SECONDS,
        pool_use_lifo=True,
    )
    event.listen(engine, "checkin", _note_rest)
    event.listen(engine, "checkout", partial(_ping_after_rest, engine.dialect))
    return engine


def _note_rest(_: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
    entry.info["rests_since"] = time.monotonic()


def _ping_after_rest(
    dialect: Dialect, connection: DBAPIConnection, entry: ConnectionPoolEntry, _: PoolProxiedConnection
) -> None:
    """Look whether the connection still stands, unless it was used a moment ago. The pool opens another."""
    if time.monotonic() - entry.info.get("rests_since", time.monotonic()) < REST_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise DisconnectionError("the connection was cut while it rested") from error


def _explain_to_sqlalchemy(context: ExceptionContext, name: str) -> StorageError | None:
    """The error to raise in place of SQLAlchemy's own; None leaves that."""
    return explain(context.original_exception, context.dialect, context.is_disconnect, name)
