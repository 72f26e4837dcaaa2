import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import StatementError

from storage import database
from storage.conversations import ConversationStore
from storage.database import open_database, transaction
from storage.faults import StorageError
from storage.migration import downgrade, upgrade
from storage.records import Draft
from storage.state import DialogueState
from storage.tables import ConversationRow


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    path = tmp_path / "chatbot.db"
    engine = open_database(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture
def read_only_store(sqlite_file: Path) -> Iterator[ConversationStore]:
    engine = open_database(f"sqlite:///file:{sqlite_file}?mode=ro&uri=true")
    yield ConversationStore(engine)
    engine.dispose()


def test_that_a_migrated_database_answers_a_ping(engine: Engine) -> None:
    ConversationStore(engine).ping()


def test_that_a_database_without_tables_says_how_to_make_them(engine: Engine) -> None:
    downgrade(engine, "base")
    with pytest.raises(StorageError, match="run: chatbot database upgrade"):
        ConversationStore(engine).ping()
    with pytest.raises(StorageError, match="run: chatbot database upgrade"):
        ConversationStore(engine).create("banking")


def test_that_a_read_only_file_is_read_and_refuses_writing(read_only_store: ConversationStore) -> None:
    read_only_store.ping()
    with pytest.raises(StorageError, match="is read-only; give the server write access"):
        read_only_store.create("banking")


def test_that_a_read_only_postgresql_says_so(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    upgrade(engine)
    engine.dispose()
    engine = open_database(f"{postgres_url}&options=-cdefault_transaction_read_only=on")
    with pytest.raises(StorageError, match="is read-only"):
        ConversationStore(engine).create("banking")
    engine.dispose()


def test_that_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"The folder {tmp_path}/nowhere for the database does not exist"):
        open_database(f"sqlite:///{tmp_path}/nowhere/chatbot.db")


def test_that_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="give the path of a file"):
        ConversationStore(open_database(f"sqlite:///{tmp_path}")).ping()


def test_that_a_file_of_something_else_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("milk, bread, butter " * 100)
    with pytest.raises(StorageError, match="is no SQLite database"):
        ConversationStore(open_database(f"sqlite:///{path}")).ping()


def test_that_a_server_out_of_reach_is_named_without_its_password() -> None:
    engine = open_database("postgresql://bot:secret@127.0.0.1:1/chatbot")
    with pytest.raises(StorageError, match="cannot be used; check its URL") as failure:
        ConversationStore(engine).ping()
    assert "127.0.0.1:1/chatbot" in str(failure.value)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize("url", ["", "chatbot.db", "mysql://localhost/chatbot"])
def test_that_an_unknown_url_says_what_to_give(url: str) -> None:
    with pytest.raises(StorageError, match="give sqlite:///"):
        open_database(url)


@pytest.mark.parametrize("url", ["postgresql://u@h/d", "postgres://u@h/d", "postgresql+psycopg://u@h/d"])
def test_that_postgresql_is_reached_by_psycopg_3(url: str) -> None:
    assert open_database(url).driver == "psycopg"


def test_that_postgresql_gives_up_in_time(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    with engine.connect() as connection:
        for name, value in (("statement_timeout", "30s"), ("lock_timeout", "15s")):
            assert connection.execute(text(f"SHOW {name}")).scalar() == value
    engine.dispose()


def test_that_the_pool_replaces_connections_that_a_restart_cut(postgres_url: str) -> None:
    engine = open_database(postgres_url)
    upgrade(engine)
    store = ConversationStore(engine)
    with engine.connect() as first:
        other = open_database(postgres_url)
        with other.connect() as connection:
            pid = first.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
            connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        other.dispose()
    store.ping()
    engine.dispose()


def test_that_sqlite_writes_ahead_and_keeps_foreign_keys(sqlite_file: Path) -> None:
    engine = open_database(f"sqlite:///{sqlite_file}")
    with engine.connect() as connection:
        for name, value in (("journal_mode", "wal"), ("foreign_keys", 1), ("busy_timeout", 5000)):
            assert connection.execute(text(f"PRAGMA {name}")).scalar() == value
    engine.dispose()


def test_that_reading_does_not_wait_for_the_writer(engine: Engine) -> None:
    store = ConversationStore(engine)
    conversation = store.create("banking")
    with store.turn(conversation, None):
        assert store.history(conversation) == ()


def test_that_a_locked_sqlite_file_says_so(sqlite_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SQLITE_BUSY_SECONDS", 0.05)
    engine = open_database(f"sqlite:///{sqlite_file}")
    store = ConversationStore(engine)
    conversation = store.create("banking")
    other = sqlite3.connect(sqlite_file)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="is busy"):
        store.say(conversation, Draft("Hello!"))
    other.rollback()
    other.close()
    store.say(conversation, Draft("Hello!"))
    engine.dispose()


def test_that_a_pool_without_free_connections_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "POOL_SECONDS", 0.05)
    engine = open_database("sqlite://")
    upgrade(engine)
    with transaction(engine), pytest.raises(StorageError, match=r"No connection to in memory was free"):
        ConversationStore(engine).ping()


def test_that_a_time_without_zone_is_refused(engine: Engine) -> None:
    naive = datetime(2026, 5, 1, 12, 0, tzinfo=UTC).replace(tzinfo=None)
    row = ConversationRow(id="x", pack="banking", state=DialogueState(), created_at=naive)
    with pytest.raises(StatementError, match="has no time zone"), transaction(engine, write=True) as session:
        session.add(row)


def test_that_errors_do_not_repeat_what_the_customer_said(engine: Engine) -> None:
    store = ConversationStore(engine)
    conversation = store.create("banking")
    with pytest.raises(Exception, match="rating") as failure, transaction(engine, write=True) as session:
        session.execute(
            text("INSERT INTO messages VALUES (:c, 1, 'bot', :text, '[]', null, 7, :now)"),
            {"c": conversation, "text": "my card is 4111", "now": datetime.now(UTC).isoformat()},
        )
    if engine.dialect.name == "sqlite":  # PostgreSQL's own DETAIL shows the row
        assert "4111" not in str(failure.value)
