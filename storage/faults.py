"""What goes wrong with a database, in words that name the cause and the remedy."""

from sqlalchemy import URL, Dialect

NOT_MIGRATED = "is not migrated to this program's tables; run: chatbot database upgrade"
READ_ONLY = "is read-only; give the server write access to the database and, for SQLite, to its folder"
BUSY = (
    "is busy: the lock was not free in time; try again, and where this happens often use PostgreSQL, "
    "as SQLite has one writer at a time"
)

DAMAGED = "is damaged; stop the server, keep a copy of the files, and restore a backup"
FULL = "cannot grow, the disk is full; free some space"

PROBLEMS = {
    "readonly database": READ_ONLY,
    "is locked": BUSY,
    "no such table": NOT_MIGRATED,
    "no such column": NOT_MIGRATED,
    "unable to open": "cannot be opened; give the path of a file in a folder that the server may write to",
    "is not a database": "is no SQLite database; give another path, or restore the file from a backup",
    "is full": FULL,
    "is malformed": DAMAGED,
    "malformed database schema": DAMAGED,
    "disk I/O error": "cannot be read or written; look at the disk and its file system",
    "25006": READ_ONLY,
    "53100": FULL,
    "53300": "has no connection left; raise its max_connections or start fewer servers",
    "57P03": "is starting up or shutting down; try again in a moment",
    "42P01": NOT_MIGRATED,
    "42703": NOT_MIGRATED,
    "55P03": BUSY,
    "XX001": DAMAGED,
    "XX002": DAMAGED,
}
"""Words in an SQLite error, or the SQLSTATE of a PostgreSQL one → the cause and the remedy."""


OVERTAKEN_BY_ANOTHER = ("40001", "40P01")
"""SQLSTATE of a serialisation failure and of a deadlock."""


class StorageError(Exception):
    """The store cannot do what was asked; the message names the cause and the remedy."""


class TryAgain(StorageError):
    """Another writer was first, or the connection broke: the same work, begun anew, may succeed at once."""


def explain(error: BaseException, dialect: Dialect, lost: bool, name: str) -> StorageError | None:
    """What an error of the driver's means; None where it is the program's own fault."""
    cause = " ".join(str(error).split())
    code = getattr(error, "sqlstate", None)
    if code in OVERTAKEN_BY_ANOTHER:
        return TryAgain(f"The database {name} had another writer in the way; try again")
    if lost:
        return TryAgain(f"The connection to the database {name} was lost; try again, and check that it runs")
    for sign, problem in PROBLEMS.items():
        if sign == code or (code is None and sign in cause):
            return StorageError(f"The database {name} {problem}")
    if isinstance(error, dialect.loaded_dbapi.OperationalError):
        return StorageError(f"The database {name} cannot be used; check its URL and that it runs ({cause})")
    return None


def name_of(url: URL) -> str:
    """The database as a message may show it: without password and options."""
    if url.get_backend_name() == "sqlite":
        return url.database or "in memory"
    return url.set(query={}).render_as_string(hide_password=True)
