import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, func, select, text

from nlu.understanding import Entity, IntentScore, Understanding
from storage.conversations import ConversationStore, UnknownConversation, UnknownMessage
from storage.database import open_database, retry, transaction
from storage.desk_tables import Base
from storage.faults import StorageError, TryAgain
from storage.migration import check, upgrade
from storage.records import Button, Decision, Draft, Execution, Owner, TurnRecord
from storage.slots import SlotValue
from storage.state import DialogueState, Result
from storage.tables import ConversationRow, DecisionRow, ExecutionRow, TurnRow

STATE = DialogueState(
    turn=3,
    task="transfer_money",
    task_confidence=0.875,
    waiting=("order_checks",),
    slots={"amount": SlotValue("50.00", 0.9, 2)},
    invalid={"date": "That day is past."},
    confirmation="asked",
    ask_counts={"amount": 2},
    customer_id="c-17",
    results=(Result("check_balance", "done", {"balance": "$1,250.00 — été"}),),
    completed=("check_balance",),
)


@pytest.fixture
def store(engine: Engine) -> ConversationStore:
    return ConversationStore(engine)


@pytest.fixture
def conversation(store: ConversationStore) -> str:
    return store.create("banking")


def a_record(text: str = "Send $50", key: str = "key-1", state: DialogueState = STATE) -> TurnRecord:
    heard = Understanding(
        text,
        intents=(IntentScore("transfer_money", 0.9), IntentScore("check_balance", 0.05)),
        wishes=("transfer_money",),
        entities=(Entity("amount", 5, 8, "$50", "50.00", 0.8),),
        out_of_scope=0.01,
    )
    decisions = tuple(
        Decision((0.1, 1.0, -2.5), 1, (True, False), action, probability, "2026-05-01")
        for action, probability in (("execute(check_balance)", 0.75), ("confirm(transfer_money)", 1.0))
    )
    executions = (Execution(key, "check_balance", {"customer_id": "c-17"}, "done", {"balance": "$9"}),)
    buttons = (Button("Yes", "yes"), Button("No", "no"))
    replies = (Draft(f"Heard: {text}"), Draft("Shall I?", buttons, made_by="moe"))
    return TurnRecord(text, heard, decisions, executions, replies, state, {"nlu": 4.5})


def take_turn(store: ConversationStore, conversation: str, client_message_id: str | None = None) -> list[str]:
    with store.turn(conversation, client_message_id) as turn:
        key = f"{conversation}:{turn.number}"
        replies = turn.answered or turn.finish(a_record(f"message {turn.number}", key))
    return [reply.text for reply in replies]


def in_threads(count: int, work: Callable[[int], list[str]]) -> list[list[str]]:
    barrier = threading.Barrier(count)

    def start(number: int) -> list[str]:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


def count_rows(engine: Engine) -> dict[str, int | None]:
    with transaction(engine) as session:
        tables = Base.metadata.sorted_tables
        return {table.name: session.scalar(select(func.count()).select_from(table)) for table in tables}


def test_that_a_new_conversation_is_open_and_empty(store: ConversationStore) -> None:
    conversation = store.create("banking", Owner("browser-1"))
    assert store.history(conversation) == ()
    assert store.status(conversation) == "open"
    assert store.state(conversation) == DialogueState()
    assert store.create("banking") != conversation


def test_that_the_history_stands_in_the_order_in_which_it_was_said(
    store: ConversationStore, conversation: str
) -> None:
    greeting = store.say(conversation, Draft("Hello!", (Button("Balance", "What is my balance?"),)))
    with store.turn(conversation, None) as turn:
        replies = turn.finish(a_record("Send $50"))
    history = store.history(conversation)
    assert history == (greeting, history[1], *replies)
    assert [(message.seq, message.author, message.text) for message in history] == [
        (1, "bot", "Hello!"),
        (2, "customer", "Send $50"),
        (3, "bot", "Heard: Send $50"),
        (4, "bot", "Shall I?"),
    ]
    assert history[0].buttons == (Button("Balance", "What is my balance?"),)
    assert history[3].buttons == (Button("Yes", "yes"), Button("No", "no"))


def test_that_times_carry_their_zone(store: ConversationStore, conversation: str) -> None:
    before = datetime.now(UTC)
    store.say(conversation, Draft("Hello!"))
    (message,) = store.history(conversation)
    assert message.created_at.tzinfo is not None
    assert before <= message.created_at <= datetime.now(UTC)


def test_that_the_state_comes_back_as_it_was_stored(store: ConversationStore, conversation: str) -> None:
    with store.turn(conversation, None) as turn:
        assert turn.state == DialogueState()
        turn.finish(a_record())
    assert store.state(conversation) == STATE
    with store.turn(conversation, None) as turn:
        assert turn.state == STATE


def test_that_a_state_of_another_program_version_is_told(
    engine: Engine, store: ConversationStore, conversation: str
) -> None:
    with transaction(engine, write=True) as session:
        session.execute(text("""UPDATE conversations SET state = '{"turn": "many"}'"""))
    with pytest.raises(StorageError, match=r"DialogueState.* cannot be read \(turn: Input should be"):
        store.state(conversation)


def test_that_everything_about_a_turn_is_written_down(
    engine: Engine, store: ConversationStore, conversation: str
) -> None:
    record = a_record()
    with store.turn(conversation, "client-1") as turn:
        turn.finish(record)
    with transaction(engine) as session:
        row = session.get_one(TurnRow, (conversation, 1))
        assert (row.text, row.understanding, row.state) == (record.text, record.understanding, STATE)
        assert (row.client_message_id, row.message_seq, row.reply_seq, row.last_seq) == ("client-1", 1, 2, 3)
        assert row.latency_ms == {"nlu": 4.5}
        decisions = session.scalars(select(DecisionRow).order_by(DecisionRow.step)).all()
        assert [decision.step for decision in decisions] == [1, 2]
        for decision, stored in zip(record.decisions, decisions, strict=True):
            assert vars(decision).items() <= vars(stored).items()
        execution = session.get_one(ExecutionRow, (conversation, 1, 1))
        assert vars(record.executions[0]).items() <= vars(execution).items()
        assert execution.status == "answered"
        about = session.get_one(ConversationRow, conversation)
        assert (about.customer_id, about.policy_version) == ("c-17", "2026-05-01")
        assert about.updated_at > about.created_at


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (STATE, "open"),
        (replace(STATE, handed_over=True), "handed_over"),
        (replace(STATE, closed=True), "closed"),
    ],
)
def test_that_the_status_follows_the_state(
    store: ConversationStore, conversation: str, state: DialogueState, status: str
) -> None:
    with store.turn(conversation, None) as turn:
        turn.finish(a_record(state=state))
    assert store.status(conversation) == status


def test_that_eight_threads_at_once_leave_no_gap(engine: Engine, store: ConversationStore) -> None:
    conversation = store.create("banking")

    def work(number: int) -> list[str]:
        for step in range(3):
            retry(lambda: take_turn(store, conversation))  # a message in between makes it start anew
            if step == 1:
                store.say(conversation, Draft(f"by the way {number}"))
        return []

    in_threads(8, work)
    history = store.history(conversation)
    assert [message.seq for message in history] == list(range(1, 8 * (3 * 3 + 1) + 1))
    asked = [message.text for message in history if message.author == "customer"]
    assert asked == [f"message {number}" for number in range(1, 25)]
    assert check(engine) == []


def test_that_threads_take_turns_on_a_database_in_memory() -> None:
    engine = open_database("sqlite://")
    upgrade(engine)
    store = ConversationStore(engine)
    conversation = store.create("banking")
    in_threads(8, lambda _: take_turn(store, conversation))
    assert len(store.history(conversation)) == 8 * 3
    assert check(engine) == []
    engine.dispose()


def test_that_a_message_sent_twice_is_answered_once(
    engine: Engine, store: ConversationStore, conversation: str
) -> None:
    with store.turn(conversation, "client-1") as turn:
        assert turn.answered is None
        replies = turn.finish(a_record())
    store.say(conversation, Draft("An agent will look at it."))
    take_turn(store, conversation, "client-2")
    rows = count_rows(engine)
    with store.turn(conversation, "client-1") as turn:
        assert turn.answered == replies
        assert turn.number == 1
        with pytest.raises(RuntimeError, match="written already"):
            turn.finish(a_record(key="key-2"))
    assert count_rows(engine) == rows


def test_that_a_message_sent_many_times_at_once_is_answered_once(
    engine: Engine, store: ConversationStore, conversation: str
) -> None:
    answers = in_threads(8, lambda _: take_turn(store, conversation, "client-1"))
    assert answers == [["Heard: message 1", "Shall I?"]] * 8
    assert count_rows(engine)["turns"] == 1
    assert count_rows(engine)["executions"] == 1


def test_that_two_conversations_may_use_the_same_client_message_id(
    store: ConversationStore, conversation: str
) -> None:
    take_turn(store, conversation, "1")
    other = store.create("banking")
    with store.turn(other, "1") as turn:
        assert turn.answered is None


def test_that_an_exception_in_the_turn_leaves_nothing_behind(
    engine: Engine, store: ConversationStore, conversation: str
) -> None:
    take_turn(store, conversation)
    before = count_rows(engine), store.state(conversation), store.history(conversation)

    def fail() -> None:
        with store.turn(conversation, "client-1"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (count_rows(engine), store.state(conversation), store.history(conversation)) == before
    assert store.status(conversation) == "open"
    with store.turn(conversation, "client-1") as turn:
        assert turn.answered is None
        assert turn.number == 2


def test_that_one_idempotency_key_is_executed_once(
    engine: Engine, store: ConversationStore, conversation: str
) -> None:
    with store.turn(conversation, None) as turn:
        turn.finish(a_record(key="same"))
    before = count_rows(engine)
    with pytest.raises(TryAgain), store.turn(conversation, None) as turn:
        turn.finish(a_record(key="same"))
    assert count_rows(engine) == before


@pytest.mark.parametrize("probability", [0.0, -0.5, 1.5])
def test_that_a_probability_which_is_none_is_refused(
    engine: Engine, store: ConversationStore, conversation: str, probability: float
) -> None:
    record = a_record()
    wrong = replace(record.decisions[0], probability=probability)
    refusal = engine.dialect.loaded_dbapi.IntegrityError
    with pytest.raises(refusal), store.turn(conversation, None) as turn:
        turn.finish(replace(record, decisions=(wrong,)))
    assert count_rows(engine)["turns"] == 0


def test_that_only_bot_messages_are_rated(store: ConversationStore, conversation: str) -> None:
    take_turn(store, conversation)
    store.rate(conversation, 2, 1)
    store.rate(conversation, 3, 1)
    store.rate(conversation, 3, -1)
    assert [message.rating for message in store.history(conversation)] == [0, 1, -1]
    store.rate(conversation, 3, 0)
    assert store.history(conversation)[2].rating == 0
    for seq in (1, 0, 4):
        with pytest.raises(UnknownMessage, match=f"no bot message {seq}"):
            store.rate(conversation, seq, 1)


def test_that_an_unknown_conversation_is_told_by_its_name(store: ConversationStore) -> None:
    uses: list[Callable[[str], object]] = [
        store.history,
        store.status,
        store.state,
        lambda name: store.say(name, Draft("Hello!")),
        lambda name: store.rate(name, 1, 1),
        lambda name: take_turn(store, name),
    ]
    for use in uses:
        with pytest.raises(UnknownConversation, match="'nowhere'"):
            use("nowhere")
