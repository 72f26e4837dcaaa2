import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from chatbot.retention import start_purging
from domains.schema import Pack
from storage.audit import Deed, entries, note
from storage.conversations import ConversationStore, UnknownConversation
from storage.database import open_database, transaction
from storage.desk_tables import Base
from storage.erasure import erase, purge
from storage.faults import StorageError
from storage.migration import check, upgrade
from storage.person import Person, UnknownPerson, copy_data
from storage.tables import ConversationRow
from storage.turn_export import learning_rows
from storage.vault import pseudonyms
from tests.storage.test_conversations import a_record

CUSTOMER = Person("customer", "c-17")


def hold(engine: Engine, customer: bool = True) -> str:
    """A conversation; the records of test_conversations are those of customer c-17."""
    store = ConversationStore(engine)
    conversation = store.create("banking")
    if customer:
        with store.turn(conversation, None) as turn:
            turn.finish(a_record(key=f"{conversation}:1"))
    return conversation


def grow_old(engine: Engine, conversation: str, days: int) -> None:
    with transaction(engine, write=True) as session:
        row = session.get_one(ConversationRow, conversation)
        row.updated_at = datetime.now(UTC) - timedelta(days=days)


def rows_about(engine: Engine, conversation: str) -> int:
    tables = [table for table in Base.metadata.sorted_tables if "conversation_id" in table.columns]
    with transaction(engine) as session:
        counts = [
            session.scalar(select(func.count()).where(table.c.conversation_id == conversation))
            for table in tables
        ]
        return sum(count or 0 for count in counts)


def test_that_erasing_a_customer_leaves_the_others(engine: Engine) -> None:
    first, second, visitor = hold(engine), hold(engine), hold(engine, customer=False)
    assert rows_about(engine, first) > 5
    assert erase(engine, CUSTOMER, "ann", "asked by letter") == 2
    store = ConversationStore(engine)
    for conversation in (first, second):
        assert rows_about(engine, conversation) == 0
        with pytest.raises(UnknownConversation):
            store.history(conversation)
    assert store.history(visitor) == ()
    assert check(engine) == []
    with pytest.raises(UnknownPerson, match="'c-17'"):
        erase(engine, CUSTOMER, "ann")


def test_that_a_visitor_is_erased_by_the_conversation(engine: Engine) -> None:
    visitor, other = hold(engine, customer=False), hold(engine)
    erase(engine, Person("conversation", visitor), "ann")
    assert ConversationStore(engine).history(other)
    with pytest.raises(UnknownPerson, match=visitor):
        erase(engine, Person("conversation", visitor), "ann")


def test_that_the_audit_tells_who_erased_whom_and_why_without_naming_them(engine: Engine) -> None:
    conversation = hold(engine)
    erase(engine, CUSTOMER, "ann", "asked by letter")
    (entry,) = entries(engine)
    assert (entry.action, entry.actor, entry.reason) == ("person.erase", "ann", "asked by letter")
    assert entry.object == f"customer {pseudonyms(engine)('customer', 'c-17')}"
    assert entry.details == {"conversations": [conversation]}
    assert "c-17" not in str(entry)
    assert datetime.now(UTC) - entry.at < timedelta(minutes=5)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "INSERT INTO audit (id, at, actor, action, object, reason, details)"
        " SELECT id, at, 'nobody', action, object, reason, details FROM audit",
        "INSERT OR REPLACE INTO audit (id, at, actor, action, object, reason, details)"
        " SELECT id, at, 'nobody', action, object, reason, details FROM audit",
    ],
)
def test_that_the_audit_only_grows(engine: Engine, statement: str) -> None:
    with transaction(engine, write=True) as session:
        note(session, Deed("test", "nothing", "ann"))
    with pytest.raises((DBAPIError, StorageError)), engine.begin() as connection:
        connection.execute(text(statement))
    assert [entry.actor for entry in entries(engine)] == ["ann"]


def test_that_an_audit_without_its_triggers_is_told(engine: Engine) -> None:
    sqlite = engine.dialect.name == "sqlite"
    with engine.begin() as connection:
        connection.execute(
            text("DROP TRIGGER " + ("audit_no_DELETE" if sqlite else "audit_no_change ON audit"))
        )
    assert "audit can be changed" in check(engine)[0]


def test_that_a_person_gets_a_copy_of_everything(engine: Engine) -> None:
    hold(engine), hold(engine), hold(engine, customer=False)
    copy = copy_data(engine, CUSTOMER, "ann", "asked by letter")
    assert copy["customer"] == "c-17"
    first = copy["conversations"][0]
    assert len(copy["conversations"]) == 2
    assert [message["text"] for message in first["messages"]] == ["Send $50", "Heard: Send $50", "Shall I?"]
    assert first["executions"][0]["facts"] == {"balance": "$9"}
    assert first["state"]["slots"]["amount"]["value"] == "50.00"
    assert first["turns"][0]["understanding"]["entities"][0]["text"] == "$50"
    assert [entry.action for entry in entries(engine)] == ["person.export"]


def test_that_old_conversations_of_the_pack_are_purged(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.erasure.BATCH", 2)
    old = [hold(engine) for _ in range(3)]
    fresh, of_another = hold(engine), ConversationStore(engine).create("airline")
    for conversation in (*old, of_another):
        grow_old(engine, conversation, 31)
    grow_old(engine, fresh, 29)
    assert purge(engine, "banking", 30, "ann") == 3
    assert [rows_about(engine, conversation) for conversation in old] == [0, 0, 0]
    assert rows_about(engine, fresh) > 0
    assert ConversationStore(engine).history(of_another) == ()
    assert [entry.details["conversations"] for entry in entries(engine)] == [2, 1]
    assert check(engine) == []
    assert purge(engine, "banking", 30, "ann") == 0
    assert len(entries(engine)) == 2


def test_that_the_server_purges_by_itself(engine: Engine, pack: Pack) -> None:
    conversation = hold(engine)
    grow_old(engine, conversation, 1 + (pack.domain.retention_days or 0))
    thread = start_purging(engine, pack)
    assert thread is not None
    assert thread.daemon
    for _ in range(200):
        if entries(engine):
            break
        time.sleep(0.05)
    assert [entry.actor for entry in entries(engine)] == ["chatbot serve"]
    assert rows_about(engine, conversation) == 0


def test_that_a_pack_without_retention_keeps_everything(engine: Engine, pack: Pack) -> None:
    domain = pack.domain.model_copy(update={"retention_days": None})
    assert start_purging(engine, pack.model_copy(update={"domain": domain})) is None


def test_that_nothing_of_an_erased_text_stays_in_the_files(tmp_path: Path) -> None:
    """Without encryption too, and with another connection open."""
    engine = open_database(f"sqlite:///{tmp_path / 'c.db'}")
    upgrade(engine)
    store = ConversationStore(engine)
    conversation = store.create("banking")
    for number in range(5):
        with store.turn(conversation, None) as turn:
            turn.finish(a_record("Whippoorwill " * 500, key=f"key {number}"))
    assert b"Whippoorwill" in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    erase(engine, Person("conversation", conversation), "ann")
    assert b"Whippoorwill" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    engine.dispose()


def test_that_a_turn_in_flight_is_neither_erased_nor_purged(engine: Engine) -> None:
    """What it asked of the business system must be settled first."""
    conversation = hold(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE turns SET last_seq = NULL, reply_seq = NULL"))
    with pytest.raises(StorageError, match="waits for the business system"):
        erase(engine, CUSTOMER, "ann")
    grow_old(engine, conversation, 31)
    assert purge(engine, "banking", 30, "ann") == 0
    assert rows_about(engine, conversation) > 0
    assert list(learning_rows(engine)) == []
