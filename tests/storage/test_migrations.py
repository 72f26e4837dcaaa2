from typing import Any

import pytest
from sqlalchemy import Engine, inspect

from storage.conversations import ConversationStore
from storage.database import open_database
from storage.desk_tables import Base
from storage.faults import StorageError
from storage.migration import check, current, downgrade, head, revisions, upgrade
from storage.records import Draft
from tests.storage.test_conversations import a_record


@pytest.fixture
def conversation(engine: Engine) -> str:
    store = ConversationStore(engine)
    conversation = store.create("banking")
    for number in (1, 2, 3):
        with store.turn(conversation, None) as turn:
            turn.finish(a_record(key=f"key-{number}"))
    return conversation


def execute(engine: Engine, *statements: str) -> None:
    """Past the foreign keys, as only somebody can who works on the database by hand."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        off = "PRAGMA foreign_keys = OFF"
        if engine.dialect.name == "postgresql":
            off = "SET session_replication_role = replica"
        driver: Any = connection.connection.dbapi_connection
        for statement in (off, *statements):
            driver.execute(statement)


def describe(engine: Engine) -> dict[str, Any]:
    found = inspect(engine)
    parts = (
        found.get_columns,
        found.get_foreign_keys,
        found.get_unique_constraints,
        found.get_check_constraints,
        found.get_indexes,
    )
    return {
        table: [found.get_pk_constraint(table), *(sorted(map(_plain, part(table))) for part in parts)]
        for table in Base.metadata.tables
    }


def _plain(part: Any) -> str:
    """Without the addresses of the objects that hold the conditions of partial indexes."""
    options = {name: str(option) for name, option in part.get("dialect_options", {}).items()}
    return str({**part, "dialect_options": options})


def test_that_an_empty_database_is_not_migrated(database_url: str) -> None:
    engine = open_database(database_url)
    assert current(engine) is None
    assert check(engine) == ["The database is not migrated; run: chatbot database upgrade"]
    engine.dispose()


def test_that_upgrading_brings_a_database_to_the_head_and_may_be_repeated(engine: Engine) -> None:
    assert current(engine) == head()
    upgrade(engine)
    assert current(engine) == head()
    assert check(engine) == []


def test_that_migrations_go_up_and_down_with_rows(engine: Engine, conversation: str) -> None:
    assert len(ConversationStore(engine).history(conversation)) == 9
    downgrade(engine, "base")
    assert current(engine) is None
    assert not set(inspect(engine).get_table_names()) & set(Base.metadata.tables)
    upgrade(engine)
    assert check(engine) == []
    store = ConversationStore(engine)
    store.say(store.create("banking"), Draft("Hello!"))


def test_that_an_unknown_revision_is_told(engine: Engine) -> None:
    with pytest.raises(StorageError, match="'0999'"):
        upgrade(engine, "0999")
    execute(engine, "UPDATE alembic_version SET version_num = '0999'")
    assert check(engine) == [
        f"The database is at 0999, ahead of this program's {head()}; install a newer program"
    ]
    with pytest.raises(StorageError, match="'0999'"):
        upgrade(engine)


def test_that_migrations_make_the_tables_that_the_program_describes(engine: Engine) -> None:
    """Check constraints too, which Alembic's own comparison passes over."""
    migrated = describe(engine)
    downgrade(engine, "base")
    Base.metadata.create_all(engine)
    assert migrated == describe(engine)


def test_that_a_healthy_database_has_no_problems(engine: Engine, conversation: str) -> None:
    execute(engine, "CREATE TABLE of_another_program (id integer)")
    assert check(engine) == []


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("ALTER TABLE conversations DROP COLUMN visitor", "column conversations.visitor is missing"),
        ("ALTER TABLE messages ADD COLUMN mood text", "column messages.mood is unknown"),
        ("DROP INDEX ix_turns_created_at", "index ix_turns_created_at is missing"),
        ("DROP TABLE executions", "table executions is missing"),
    ],
)
def test_that_tables_changed_by_hand_are_told(engine: Engine, statement: str, problem: str) -> None:
    execute(engine, statement)
    assert problem in check(engine)[0]


def test_that_gaps_are_told(engine: Engine, conversation: str) -> None:
    execute(
        engine,
        "DELETE FROM messages WHERE seq = 5",
        "DELETE FROM decisions WHERE turn = 3 AND step = 1",
        "DELETE FROM executions WHERE turn = 2",
        "DELETE FROM decisions WHERE turn = 2",
        "DELETE FROM turns WHERE number = 2",
    )
    assert check(engine) == [
        f"Conversation {conversation}: MessageRow.seq has a gap (8 rows, the last is 9)",
        f"Conversation {conversation}: TurnRow.number has a gap (2 rows, the last is 3)",
        f"Conversation {conversation}, turn 3: DecisionRow.step has a gap (1 rows, the last is 2)",
        f"Conversation {conversation} counts 9 messages and has 8",
        f"Conversation {conversation}: message 4 of the customer belongs to no turn",
    ]


def test_that_rows_without_their_conversation_are_told(engine: Engine, conversation: str) -> None:
    execute(engine, "DELETE FROM conversations", "DELETE FROM turns WHERE number = 3")
    problems = check(engine)
    assert "9 rows of messages refer to conversations that do not exist" in problems
    assert "2 rows of turns refer to conversations that do not exist" in problems
    assert "2 rows of decisions refer to turns that do not exist" in problems
    assert "1 rows of executions refer to turns that do not exist" in problems


def test_that_half_turns_are_told(engine: Engine, conversation: str) -> None:
    execute(
        engine,
        "DELETE FROM messages WHERE seq IN (8, 9)",
        "UPDATE messages SET author = 'agent' WHERE seq = 1",
    )
    torn = "the customer's message or the reply is missing"
    assert {f"Conversation {conversation}, turn {turn}: {torn}" for turn in (1, 3)} <= {*check(engine)}


def test_that_rows_survive_the_way_down_to_each_revision_and_up_again(
    engine: Engine, conversation: str
) -> None:
    store = ConversationStore(engine)
    before = store.history(conversation), store.state(conversation)
    for revision in sorted(revisions() - {head()}, reverse=True):
        downgrade(engine, revision)
        assert current(engine) == revision
        upgrade(engine)
        assert (store.history(conversation), store.state(conversation)) == before
        assert check(engine) == []
    with store.turn(conversation, None) as turn:
        turn.finish(a_record(key="after"))
