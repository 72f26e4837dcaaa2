import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from storage.audit import Deed, entries, note
from storage.backup import restore_backup, write_backup
from storage.conversations import ConversationStore
from storage.database import open_database, transaction
from storage.encryption import EncryptionError, new_key
from storage.erasure import erase
from storage.faults import StorageError
from storage.migration import check, current, downgrade, head, upgrade
from storage.person import Person
from storage.vault import unlock
from tests.storage.test_conversations import STATE, in_threads, take_turn
from tests.storage.test_erasure import hold


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "chatbot.backup"


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'empty.db'}")
    yield engine
    engine.dispose()


def everything(engine: Engine) -> list[Any]:
    store = ConversationStore(engine)
    with engine.connect() as connection:
        ids = [row[0] for row in connection.execute(text("SELECT id FROM conversations ORDER BY id"))]
    return [(name, store.history(name), store.state(name)) for name in ids]


def test_that_a_backup_is_restored_into_an_empty_database_of_either_kind(
    engine: Engine, empty: Engine, file: Path
) -> None:
    for _ in range(3):
        hold(engine)
    counts = write_backup(engine, file, "ann")
    assert counts["conversations"] == 3
    assert file.stat().st_mode & 0o077 == 0
    assert restore_backup(empty, file, "ann") == counts
    assert everything(empty) == everything(engine)
    assert current(empty) == head()
    assert check(empty) == []
    take_turn(ConversationStore(empty), everything(empty)[0][0])
    with transaction(empty, write=True) as session:
        note(session, Deed("test", "nothing", "ann"))
    back = file.with_name("back.backup")
    write_backup(empty, back, "ann")
    restore_backup(engine, back, "ann", force=True)
    assert everything(engine) == everything(empty)
    with transaction(engine, write=True) as session:
        note(session, Deed("test", "again", "ann"))
    assert check(engine) == []


def test_that_a_backup_is_whole_while_conversations_go_on(engine: Engine, empty: Engine, file: Path) -> None:
    store = ConversationStore(engine)
    conversations = [store.create("banking") for _ in range(3)]

    def work(number: int) -> list[str]:
        if number == 3:
            write_backup(engine, file, "ann")
            return []
        for _ in range(5):
            take_turn(store, conversations[number])
        return []

    for conversation in conversations:
        take_turn(store, conversation)
    in_threads(4, work)
    restore_backup(empty, file, "ann")
    assert check(empty) == []
    assert len(everything(empty)) == 3


def test_that_conversations_are_replaced_only_by_force(engine: Engine, file: Path) -> None:
    kept = hold(engine)
    write_backup(engine, file, "ann")
    later = hold(engine)
    with pytest.raises(StorageError, match="holds 2 conversations; to replace them"):
        restore_backup(engine, file, "ann")
    assert len(everything(engine)) == 2
    restore_backup(engine, file, "bob", force=True)
    assert [name for name, *_ in everything(engine)] == [kept]
    assert later != kept
    assert [(entry.action, entry.actor) for entry in entries(engine)] == [
        ("database.backup", "ann"),
        ("database.restore", "bob"),
    ]


def test_that_who_was_erased_does_not_come_back(engine: Engine, file: Path) -> None:
    erased, other = hold(engine), ConversationStore(engine).create("banking")
    write_backup(engine, file, "ann")
    erase(engine, Person("customer", "c-17"), "ann")
    restore_backup(engine, file, "ann", force=True)
    assert [name for name, *_ in everything(engine)] == [other]
    assert erased != other
    assert check(engine) == []


def test_that_an_older_backup_is_brought_to_the_newest_tables(engine: Engine, file: Path) -> None:
    hold(engine)
    before = everything(engine)
    downgrade(engine, "0001")
    write_backup(engine, file, "ann")
    upgrade(engine)
    hold(engine)
    restore_backup(engine, file, "ann", force=True)
    assert everything(engine) == before
    assert current(engine) == head()
    assert check(engine) == []


def test_that_an_encrypted_backup_holds_nothing_in_clear_and_needs_its_key(
    engine: Engine, empty: Engine, file: Path
) -> None:
    key = new_key()
    unlock(engine, [key])
    conversation = hold(engine)
    write_backup(engine, file, "ann")
    assert b"Send $50" not in gzip.decompress(file.read_bytes())
    with pytest.raises(StorageError, match=r"was not restored.*cannot be decrypted"):
        restore_backup(empty, file, "ann")
    assert current(empty) is None
    unlock_late = open_database(empty.url.render_as_string())
    upgrade(unlock_late)
    unlock(unlock_late, [key])
    restore_backup(unlock_late, file, "ann")
    assert ConversationStore(unlock_late).state(conversation) == STATE
    with pytest.raises(EncryptionError):
        unlock(unlock_late, [new_key()])
    unlock_late.dispose()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def without_tail(data: bytes) -> bytes:
    return gzip.compress(b"\n".join(gzip.decompress(data).splitlines()[:-1]))


def of_the_future(data: bytes) -> bytes:
    first, rest = gzip.decompress(data).split(b"\n", 1)
    return gzip.compress(json.dumps(json.loads(first) | {"revision": "0999"}).encode() + b"\n" + rest)


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (cut, "no whole backup"),
        (without_tail, "no whole backup"),
        (flipped, "no whole backup"),
        (of_the_future, "revision 0999.*install a newer program"),
        (lambda data: b"", "is no backup"),
        (lambda data: b"SQLite format 3", "no whole backup"),
        (lambda data: gzip.compress(b"[]\n"), "is no backup"),
        (lambda data: gzip.compress(b"{}\n"), "is no backup"),
    ],
)
def test_that_a_damaged_backup_changes_nothing(engine: Engine, file: Path, damage: Any, cause: str) -> None:
    hold(engine)
    write_backup(engine, file, "ann")
    before = everything(engine)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(StorageError, match=cause):
        restore_backup(engine, file, "ann", force=True)
    assert everything(engine) == before
    assert check(engine) == []


def test_that_rows_out_of_order_are_not_restored(engine: Engine, empty: Engine, file: Path) -> None:
    hold(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM decisions WHERE step = 1"))
    write_backup(engine, file, "ann")
    with pytest.raises(StorageError, match=r"was not restored.*has a gap"):
        restore_backup(empty, file, "ann")
    assert current(empty) is None


def test_that_a_backup_overwrites_no_file_and_leaves_no_half_one(engine: Engine, file: Path) -> None:
    file.write_text("mine")
    with pytest.raises(StorageError, match="exists already"):
        write_backup(engine, file, "ann")
    assert file.read_text() == "mine"
    with pytest.raises(StorageError, match="cannot be written: No such file"):
        write_backup(engine, file.parent / "no" / "where", "ann")
    with pytest.raises(StorageError, match="no such file"):
        restore_backup(engine, file.parent / "nothing", "ann")
    downgrade(engine, "base")
    with pytest.raises(StorageError, match="nothing to back up"):
        write_backup(engine, file.with_name("empty"), "ann")
    assert [path.name for path in file.parent.iterdir() if "part" in path.name] == []


def test_that_a_turn_in_flight_is_restored_as_it_was(engine: Engine, empty: Engine, file: Path) -> None:
    conversation = hold(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE turns SET last_seq = NULL, reply_seq = NULL"))
    write_backup(engine, file, "ann")
    restore_backup(empty, file, "ann")
    assert ConversationStore(empty).interrupted() == (conversation,)
