"""Databases that are full, damaged, locked or cut off: a cause and a remedy, and nothing half written."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from storage import database
from storage.conversations import ConversationStore
from storage.database import connection, open_database, retry
from storage.driver import Driver, Statement
from storage.faults import StorageError, TryAgain
from storage.migration import check, upgrade
from storage.records import Draft
from storage.turn_statements import ADD_TURN
from storage.turns import Turn
from tests.storage.test_conversations import a_record, take_turn

PAGE = 4096


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    path = tmp_path / "chatbot.db"
    engine = open_database(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture
def sqlite_engine(sqlite_file: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{sqlite_file}")
    yield engine
    engine.dispose()


def test_a_full_disk_takes_whole_turns_or_nothing(sqlite_file: Path, sqlite_engine: Engine) -> None:
    pages = sqlite_file.stat().st_size // PAGE + 6
    event.listen(sqlite_engine, "connect", lambda raw, _: raw.execute(f"PRAGMA max_page_count = {pages}"))
    store = ConversationStore(sqlite_engine)
    conversation = store.create("banking")
    told: list[list[str]] = []

    def write_on() -> None:
        told.extend(take_turn(store, conversation) for _ in range(1000))

    with pytest.raises(StorageError, match="cannot grow, the disk is full; free some space"):
        write_on()
    assert told
    assert len(store.history(conversation)) == 3 * len(told)
    assert check(sqlite_engine) == []


EMPTY_INDEX = bytes((10, 0, 0, 0, 0, PAGE // 256, 0, 0)).ljust(PAGE, b"\0")


def damage(path: Path, page: int, content: bytes) -> None:
    """Overwrite the file from a page on, counted from 1."""
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(content)


def test_a_damaged_file_says_so_at_the_start_and_at_a_request(sqlite_file: Path) -> None:
    damage(sqlite_file, 2, b"\xa5" * (sqlite_file.stat().st_size - PAGE))
    engine = open_database(f"sqlite:///{sqlite_file}")
    uses: list[Any] = [upgrade, check, lambda it: ConversationStore(it).create("banking")]
    for use in uses:
        with pytest.raises(StorageError, match=r"is damaged; stop the server, .* restore a backup"):
            use(engine)
    engine.dispose()


def test_the_check_finds_damage_that_no_query_meets(sqlite_file: Path, sqlite_engine: Engine) -> None:
    store = ConversationStore(sqlite_engine)
    take_turn(store, store.create("banking"))
    with connection(sqlite_engine) as opened:
        root = opened.execute(
            text("SELECT rootpage FROM sqlite_master WHERE name = 'ix_turns_created_at'")
        ).scalar_one()
    sqlite_engine.dispose()  # the last connection writes the log back into the file
    damage(sqlite_file, root, EMPTY_INDEX)
    assert store.history(store.create("banking")) == ()
    assert any("is damaged" in problem for problem in check(sqlite_engine))


def test_a_read_only_database_is_left_as_it_is(sqlite_file: Path, sqlite_engine: Engine) -> None:
    conversation = ConversationStore(sqlite_engine).create("banking", None, Draft("Hello!"))
    read_only = open_database(f"sqlite:///file:{sqlite_file}?mode=ro&uri=true")
    store = ConversationStore(read_only)
    with store.turn(conversation, None) as turn:
        for write in (turn.keep, turn.finish):
            with pytest.raises(StorageError, match="is read-only; give the server write access"):
                write(a_record())
    assert len(store.history(conversation)) == 1
    read_only.dispose()


def cut(url: str) -> None:
    """Every other connection to this database."""
    other = open_database(url)
    with other.connect() as opened:
        opened.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    other.dispose()


def test_a_turn_that_thinks_does_not_mind_a_lost_connection(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "REST_SECONDS", 0)  # it thinks for long
    engine = open_database(postgres_url)
    upgrade(engine)
    store = ConversationStore(engine)
    conversation = store.create("banking")
    with store.turn(conversation, None) as turn:
        cut(postgres_url)
        turn.finish(a_record())
    assert len(store.history(conversation)) == 3
    engine.dispose()


def test_a_connection_lost_while_writing_lets_the_turn_begin_anew(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_database(postgres_url)
    upgrade(engine)
    store = ConversationStore(engine)
    conversation = store.create("banking")
    run, left = Driver.run, [1, 1]

    def interrupt(driver: Driver, statement: Statement, values: Any) -> int:
        if statement is ADD_TURN and left:
            left.pop()
            cut(postgres_url)
        return run(driver, statement, values)

    monkeypatch.setattr(Driver, "run", interrupt)
    assert retry(lambda: take_turn(store, conversation, "client-1")) == ["Heard: message 1", "Shall I?"]
    assert not left
    assert len(store.history(conversation)) == 3
    assert check(engine) == []
    engine.dispose()


def test_a_commit_whose_answer_was_lost_is_not_done_again(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ConversationStore(engine)
    conversation = store.create("banking")
    commit, left = Driver.commit, [1]

    def commit_and_lose_the_answer(driver: Driver) -> None:
        commit(driver)
        if left:
            left.pop()
            raise TryAgain("the connection was lost")

    monkeypatch.setattr(Driver, "commit", commit_and_lose_the_answer)
    answer = retry(lambda: take_turn(store, conversation, "client-1"))
    assert not left
    assert answer == ["Heard: message 1", "Shall I?"]
    assert len(store.history(conversation)) == 3


def test_work_that_is_always_overtaken_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.database.RETRY_SECONDS", 0.02)

    def lose() -> None:
        raise TryAgain("somebody else was first")

    with pytest.raises(TryAgain, match="somebody else"):
        retry(lose)


def test_a_conversation_that_is_busy_for_long_says_so(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.conversations.TURN_SECONDS", 0.01)
    store = ConversationStore(engine)
    conversation = store.create("banking")
    with store.turn(conversation, None), ThreadPoolExecutor() as pool:
        other = pool.submit(take_turn, store, conversation)
        with pytest.raises(StorageError, match="is busy"):
            other.result()


def test_two_processes_in_one_conversation_cannot_both_write(engine: Engine) -> None:
    conversation = ConversationStore(engine).create("banking")
    first, second = (Turn(engine, conversation, str(number)) for number in range(2))
    second.finish(a_record("second", "key-2"))
    with pytest.raises(TryAgain, match="went on meanwhile"):
        first.finish(a_record("first", "key-1"))
    assert ConversationStore(engine).history(conversation)[0].text == "second"
    assert check(engine) == []
