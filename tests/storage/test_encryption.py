from typing import Any

import pytest
from sqlalchemy import Engine, text

from storage.conversations import ConversationStore
from storage.database import open_database
from storage.encryption import EncryptionError, new_key, use_keys
from storage.migration import check, downgrade, upgrade
from storage.vault import pseudonyms, rotate, unlock
from tests.storage.test_conversations import STATE, a_record

OLD, NEW = new_key(), new_key()


def hold(engine: Engine, message: str = "Send $50") -> str:
    store = ConversationStore(engine)
    conversation = store.create("banking")
    with store.turn(conversation, None) as turn:
        turn.finish(a_record(message, key=f"{conversation}:1"))
    return conversation


def stored(engine: Engine) -> list[Any]:
    """The values that encryption concerns, as they stand in the database."""
    with engine.connect() as connection:
        texts = connection.execute(text("SELECT text FROM messages UNION ALL SELECT text FROM turns"))
        state = connection.execute(text("SELECT CAST(state AS TEXT) FROM conversations"))
        facts = connection.execute(text("SELECT CAST(facts AS TEXT) FROM executions"))
        return [str(value).strip('"') for rows in (texts, state, facts) for (value,) in rows]


def reopen(engine: Engine) -> Engine:
    return open_database(engine.url.render_as_string(hide_password=False))


def test_that_values_are_encrypted_and_read_back(engine: Engine) -> None:
    unlock(engine, [OLD])
    conversation = hold(engine)
    assert all(value.startswith("sealed:") for value in stored(engine))
    store = ConversationStore(engine)
    assert store.history(conversation)[0].text == "Send $50"
    assert store.state(conversation) == STATE
    assert check(engine) == []


@pytest.mark.parametrize("message", ["sealed:", "sealed:gAAAAA", "plain:", "plain:sealed:x", "", "é\n\x01"])
def test_that_a_text_comes_back_whatever_it_begins_with(message: str) -> None:
    for keys in ([], [OLD]):
        engine = open_database("sqlite://")
        upgrade(engine)
        unlock(engine, keys)
        conversation = hold(engine, message)
        assert ConversationStore(engine).history(conversation)[0].text == message
        engine.dispose()


def test_that_an_encrypted_database_is_not_opened_without_its_key(engine: Engine) -> None:
    unlock(engine, [OLD])
    conversation = hold(engine)
    for keys, cause in (([], "no key is given; set CHATBOT_ENCRYPTION_KEYS"), ([NEW], "none of the keys")):
        again = reopen(engine)
        with pytest.raises(EncryptionError, match=cause):
            unlock(again, keys)
        with pytest.raises(EncryptionError, match=cause):
            ConversationStore(again).history(conversation)
        assert "cannot be decrypted" in check(again)[0]
        again.dispose()


def test_that_encryption_may_be_required(engine: Engine) -> None:
    with pytest.raises(EncryptionError, match="required and no key is given"):
        unlock(engine, [], required=True)
    unlock(engine, [OLD], required=True)


@pytest.mark.parametrize("key", ["short", "", "ü" * 44, "A" * 43])
def test_that_a_key_which_is_none_is_told_by_its_place_and_not_shown(key: str) -> None:
    engine = open_database("sqlite://")
    with pytest.raises(EncryptionError, match="Key 2 of CHATBOT_ENCRYPTION_KEYS is no key") as told:
        use_keys(engine, [OLD, key])
    assert not key or key not in str(told.value)


def test_that_a_tampered_value_is_refused(engine: Engine) -> None:
    unlock(engine, [OLD])
    conversation = hold(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE messages SET text = replace(text, 'gAAAAA', 'gAAAAB')"))
    with pytest.raises(EncryptionError, match="tampered with"):
        ConversationStore(engine).history(conversation)
    assert "3 values of messages.text cannot be decrypted" in check(engine)[0]


def test_that_rotation_encrypts_everything_with_the_newest_key(engine: Engine) -> None:
    in_clear = hold(engine, "before there was a key")
    name = pseudonyms(engine)("customer", "c-17")
    unlock(engine, [OLD])
    with_old = hold(engine)
    assert "stand in clear beside encrypted ones" in check(engine)[0]
    unlock(engine, [NEW, OLD])
    with_new = hold(engine)
    assert rotate(engine, "test")["conversations.state"] == 2
    assert set(rotate(engine, "test").values()) == {0}
    again = reopen(engine)
    unlock(again, [NEW])
    assert check(again) == []
    store = ConversationStore(again)
    assert [store.history(c)[0].text for c in (in_clear, with_old, with_new)] == [
        "before there was a key",
        "Send $50",
        "Send $50",
    ]
    assert pseudonyms(again)("customer", "c-17") == name
    again.dispose()
    forgotten = reopen(engine)
    with pytest.raises(EncryptionError):
        unlock(forgotten, [OLD])
    forgotten.dispose()


def test_that_a_key_is_asked_for_until_rotation_is_over(engine: Engine) -> None:
    unlock(engine, [OLD])
    hold(engine)
    unlock(engine, [NEW, OLD])
    with pytest.raises(EncryptionError, match="none of the keys"):
        unlock(engine, [NEW])


def test_that_rotation_goes_through_more_rows_than_one_batch(engine: Engine, monkeypatch: Any) -> None:
    monkeypatch.setattr("storage.vault.BATCH", 2)
    conversations = [hold(engine) for _ in range(3)]
    unlock(engine, [OLD])
    assert rotate(engine, "test")["messages.text"] == 9
    assert all(value.startswith("sealed:") for value in stored(engine))
    assert [ConversationStore(engine).state(name) for name in conversations] == [STATE] * 3


def test_that_encrypted_rows_survive_a_downgrade_and_an_upgrade(engine: Engine) -> None:
    unlock(engine, [OLD])
    conversation = hold(engine)
    before = stored(engine)
    downgrade(engine, "0001")
    assert stored(engine) == before
    upgrade(engine)
    with pytest.raises(EncryptionError):
        unlock(engine, [NEW])
    unlock(engine, [OLD])
    assert ConversationStore(engine).history(conversation)[0].text == "Send $50"
    assert check(engine) == []
