"""Conversations on the desk: one colleague has each, and what that colleague does is written down."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from sqlalchemy.exc import IntegrityError

from storage.audit import entries
from storage.conversations import ConversationStore
from storage.database import open_database, transaction
from storage.desk import Desk, NotYours
from storage.desk_tables import FindingRow, HandoffRow
from storage.erasure import erase
from storage.migration import check
from storage.person import Person, copy_data
from storage.records import Button, Draft
from storage.slots import SlotValue
from storage.staff import Staff, add_staff, deactivate
from storage.state import DialogueState
from tests.storage.test_conversations import a_record

PASSWORD = "correct horse battery staple"
WAITING = DialogueState(
    turn=1,
    handed_over=True,
    wants_person=True,
    task="transfer_money",
    slots={"transfer_amount": SlotValue("50", 0.9, 1)},
    confirmation="asked",
    failures=2,
)
WORD = Draft("Here I am again.")

HandOver = Callable[[], str]


@pytest.fixture
def store(engine: Engine) -> ConversationStore:
    return ConversationStore(engine)


@pytest.fixture
def desk(engine: Engine) -> Desk:
    return Desk(engine)


@pytest.fixture
def ana(engine: Engine) -> Staff:
    return add_staff(engine, "ana", "Ana", "agent", PASSWORD, "test")


@pytest.fixture
def ben(engine: Engine) -> Staff:
    return add_staff(engine, "ben", "Ben", "agent", PASSWORD, "test")


@pytest.fixture
def hand_over(store: ConversationStore) -> HandOver:
    """Hands a new conversation over; gives its id."""

    def start() -> str:
        conversation = store.create("banking", None, Draft("Hello!"))
        with store.turn(conversation, None) as turn:
            turn.finish(replace(a_record("a person please", key=conversation), state=WAITING))
        return conversation

    return start


@pytest.fixture
def conversation(hand_over: HandOver) -> str:
    return hand_over()


def held(store: ConversationStore, conversation: str) -> bool:
    with store.turn(conversation, None) as turn:
        return turn.held


def test_that_a_handed_over_conversation_waits_with_its_reason(
    desk: Desk, ana: Staff, hand_over: HandOver
) -> None:
    first, second = hand_over(), hand_over()
    cases = desk.open_cases(ana)
    assert [case.conversation_id for case in cases] == [first, second]
    assert {case.reason for case in cases} == {"asked"}
    assert [case.holder for case in cases] == [None, None]
    assert cases[0].state == WAITING
    assert [message.author for message in cases[0].messages] == ["customer", "bot", "bot"]


def test_that_of_two_who_claim_at_once_one_has_it_and_the_other_is_told(
    desk: Desk, ana: Staff, ben: Staff, hand_over: HandOver
) -> None:
    for _ in range(10):
        conversation, barrier = hand_over(), threading.Barrier(2)

        def claim(staff: Staff, name: str = conversation, barrier: threading.Barrier = barrier) -> str:
            barrier.wait()
            try:
                desk.claim(name, staff, Draft(f"{staff.name} is here."))
            except NotYours as told:
                return str(told)
            return "claimed"

        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(claim, (ana, ben)))
        case = desk.case(conversation)
        assert case is not None
        assert case.holder in (ana, ben)
        assert sorted(answers) == sorted(["claimed", f"{case.holder.name} has this conversation already."])
        assert [message.text for message in case.messages[-1:]] == [f"{case.holder.name} is here."]


def test_that_two_open_cases_of_one_conversation_cannot_be_stored(engine: Engine, conversation: str) -> None:
    with pytest.raises(IntegrityError), transaction(engine, write=True) as session:
        session.add(HandoffRow(conversation_id=conversation, turn=2, reason="asked"))


@pytest.mark.parametrize(
    "wrong",
    [{"rating": 3}, {"ended": "resolved"}, {"rating": 6}, {"claimed_by": "x"}, {"reason": "bored"}],
)
def test_that_the_database_refuses_a_case_that_makes_no_sense(
    engine: Engine, conversation: str, wrong: dict[str, object]
) -> None:
    with pytest.raises(IntegrityError), transaction(engine, write=True) as session:
        session.execute(update(HandoffRow).values(**wrong))


def test_that_the_bot_is_silent_while_somebody_has_the_conversation(
    desk: Desk, store: ConversationStore, ana: Staff, conversation: str
) -> None:
    assert not held(store, conversation)
    desk.claim(conversation, ana)
    assert held(store, conversation)
    with store.turn(conversation, None) as turn:
        assert turn.finish(replace(a_record("hello?", "k2"), state=turn.state, replies=())) == ()
    desk.say(conversation, ana, "Hello, this is Ana.")
    last = store.history(conversation)[-2:]
    assert [(one.author, one.text, one.signed) for one in last] == [
        ("customer", "hello?", None),
        ("agent", "Hello, this is Ana.", "Ana"),
    ]
    desk.give_back(conversation, ana, WORD)
    assert not held(store, conversation)


def test_that_a_turn_that_thinks_during_a_claim_starts_anew(
    desk: Desk, store: ConversationStore, ana: Staff, conversation: str
) -> None:
    with store.turn(conversation, None) as turn:
        desk.claim(conversation, ana)
        with pytest.raises(Exception, match="went on meanwhile"):
            turn.finish(replace(a_record("hello?", "k2"), state=turn.state))


def test_that_what_an_agent_gives_back_stands_as_the_bot_left_it(
    desk: Desk, store: ConversationStore, ana: Staff, conversation: str
) -> None:
    desk.claim(conversation, ana)
    desk.give_back(conversation, ana, WORD)
    state = store.state(conversation)
    assert (state.task, state.slots) == (WAITING.task, WAITING.slots)
    assert (state.handed_over, state.wants_person, state.failures) == (False, False, 0)
    assert state.confirmation == "none", "a yes to the colleague is none to the bot"
    assert store.status(conversation) == "open"
    assert store.history(conversation)[-1].text == WORD.text
    assert desk.open_cases(ana) == ()


def test_that_a_resolved_conversation_is_closed_and_can_be_rated(
    engine: Engine, desk: Desk, store: ConversationStore, ana: Staff, conversation: str
) -> None:
    desk.claim(conversation, ana)
    desk.resolve(conversation, ana, Draft("How did we do?", (Button("5", "5"),)))
    assert store.status(conversation) == "closed"
    assert store.state(conversation).rating_asked
    with store.turn(conversation, None) as turn:
        turn.finish(replace(a_record("4", "k2"), state=turn.state, rating=4))
    with transaction(engine) as session:
        row = session.get_one(HandoffRow, (conversation, 1))
        assert (row.ended, row.claimed_by, row.rating) == ("resolved", ana.id, 4)


def test_that_only_who_has_the_conversation_acts_in_it(
    desk: Desk, ana: Staff, ben: Staff, conversation: str
) -> None:
    acts: list[Callable[[Staff], object]] = [
        lambda staff: desk.say(conversation, staff, "Hello"),
        lambda staff: desk.reveal(conversation, staff),
        lambda staff: desk.give_back(conversation, staff, WORD),
        lambda staff: desk.resolve(conversation, staff, WORD),
    ]
    for act in acts:
        with pytest.raises(NotYours, match="Nobody has"):
            act(ana)
    desk.claim(conversation, ana)
    for act in acts:
        with pytest.raises(NotYours, match="Ana has"):
            act(ben)
    acts[0](ana)


def test_that_who_vanishes_loses_the_conversation_and_who_stays_keeps_it(
    engine: Engine, store: ConversationStore, ana: Staff, ben: Staff, hand_over: HandOver
) -> None:
    gone = Desk(engine, lease_seconds=0)
    there = Desk(engine, lease_seconds=600)
    left, kept = hand_over(), hand_over()
    gone.claim(left, ana)
    there.claim(kept, ana)
    there.renew(ana)
    assert not held(store, left)
    assert held(store, kept)
    assert [(case.conversation_id, case.holder) for case in there.open_cases(ana)] == [
        (kept, ana),
        (left, None),
    ]
    with pytest.raises(NotYours):
        there.say(left, ana, "Am I late?")
    there.claim(left, ben)
    assert [case.conversation_id for case in there.open_cases(ben)] == [left]


def test_that_a_page_that_looks_in_time_keeps_what_it_holds(
    engine: Engine, store: ConversationStore, ana: Staff, conversation: str
) -> None:
    Desk(engine, lease_seconds=5).claim(conversation, ana)
    Desk(engine, lease_seconds=900).renew(ana)
    with transaction(engine) as session:
        row = session.get_one(HandoffRow, (conversation, 1))
        assert row.lease_until is not None
        assert (row.lease_until - row.waiting_since).total_seconds() > 600


def test_that_what_a_deactivated_colleague_holds_waits_again(
    engine: Engine, desk: Desk, ana: Staff, ben: Staff, conversation: str
) -> None:
    desk.claim(conversation, ana)
    deactivate(engine, "ana", "test")
    desk.claim(conversation, ben)


def test_that_the_pulse_changes_with_everything_on_the_desk(
    desk: Desk, ana: Staff, conversation: str
) -> None:
    seen = [desk.pulse()]
    for act in (
        lambda: desk.claim(conversation, ana),
        lambda: desk.say(conversation, ana, "Hello"),
        lambda: desk.add_note(conversation, ana, "nice customer"),
        lambda: desk.give_back(conversation, ana, WORD),
    ):
        assert desk.pulse() == seen[-1]
        act()
        seen.append(desk.pulse())
    assert len(set(seen)) == 5


def test_that_claims_reveals_and_ends_are_in_the_audit(
    engine: Engine, desk: Desk, ana: Staff, hand_over: HandOver
) -> None:
    first, second = hand_over(), hand_over()
    desk.claim(first, ana)
    desk.reveal(first, ana)
    desk.give_back(first, ana, WORD)
    desk.claim(second, ana)
    desk.resolve(second, ana, WORD)
    found = [(one.actor, one.action, one.object) for one in entries(engine) if one.action.startswith("desk")]
    assert found == [
        ("staff ana", "desk.claim", f"conversation {first}"),
        ("staff ana", "desk.reveal", f"conversation {first}"),
        ("staff ana", "desk.give_back", f"conversation {first}"),
        ("staff ana", "desk.claim", f"conversation {second}"),
        ("staff ana", "desk.resolve", f"conversation {second}"),
    ]


def test_that_notes_are_kept_in_order_and_belong_to_the_persons_data(
    engine: Engine, desk: Desk, ana: Staff, ben: Staff, conversation: str
) -> None:
    desk.add_note(conversation, ana, "first")
    desk.add_note(conversation, ben, "second")
    assert [(note.author, note.text) for note in desk.notes(conversation)] == [
        ("Ana", "first"),
        ("Ben", "second"),
    ]
    person = Person("conversation", conversation)
    (copy,) = copy_data(engine, person, "test")["conversations"]
    assert [note["text"] for note in copy["notes"]] == ["first", "second"]
    assert check(engine) == []
    erase(engine, person, "test")
    assert desk.notes(conversation) == ()
    assert check(engine) == []


def test_that_what_was_handed_over_before_there_was_a_desk_waits(engine: Engine, tmp_path: Path) -> None:
    """Through the migrations, back and forth."""
    from storage.migration import downgrade, upgrade

    store = ConversationStore(engine)
    conversation = store.create("banking")
    with store.turn(conversation, None) as turn:
        turn.finish(replace(a_record("a person please"), state=WAITING))
    store.rate(conversation, 2, -1)
    downgrade(engine, "0003")
    upgrade(engine)
    staff = add_staff(engine, "ana", "Ana", "agent", PASSWORD, "test")
    assert [case.conversation_id for case in Desk(engine).open_cases(staff)] == [conversation]
    with transaction(engine) as session:
        finding = session.get_one(FindingRow, (conversation, 1))
        assert finding.thumbs_down
    assert check(engine) == []


def test_that_two_servers_share_the_desk(database_url: str, engine: Engine, ana: Staff, ben: Staff) -> None:
    other = open_database(database_url)
    store = ConversationStore(engine)
    conversation = store.create("banking")
    with store.turn(conversation, None) as turn:
        turn.finish(replace(a_record(), state=WAITING))
    Desk(engine).claim(conversation, ana)
    with pytest.raises(NotYours, match="Ana has"):
        Desk(other).claim(conversation, ben)
    other.dispose()
