"""Simulated customers: what they want, say, and judge."""

import random
from collections.abc import Callable

import pytest

from dialog_policy.goals import random_value
from dialog_policy.population import Kind
from dialog_policy.simulator import Customer
from domains.schema import Pack
from nlu.values import normalise
from storage.actions import Action
from storage.slots import SlotValue
from storage.state import DialogueState

MakeCustomer = Callable[..., Customer]


@pytest.fixture
def customer(pack: Pack) -> MakeCustomer:
    """One who has no small talk."""

    def make(seed: int = 0, **kind: object) -> Customer:
        whole = Kind.model_validate({"share": 1, "small_talk": 0, **kind})
        return Customer(pack, "test", whole, random.Random(seed))

    return make


def test_that_random_values_are_valid_and_normalised(pack: Pack) -> None:
    rng = random.Random(0)
    for slot in pack.slots.values():
        for _ in range(100):
            value = random_value(slot, rng)
            assert normalise(slot, value) == value, slot


def test_that_a_customer_comes_for_as_much_as_its_kind_says(customer: MakeCustomer, pack: Pack) -> None:
    for seed in range(30):
        made = customer(seed, tasks=(1, 2), questions=(0, 3))
        assert 1 <= len(made.tasks) <= 2
        assert len(made.questions) <= 3
        for item in made.tasks:
            assert item.values.keys() == set(pack.tasks[item.name].slots)
            assert item.said == item.values
        assert {"name", "ssn"} < made.credentials.keys()
    slips = [customer(seed, correction=1.0).tasks[0] for seed in range(60)]
    assert sum(item.said != item.values for item in slips) > 20


def full_state(made: Customer) -> DialogueState:
    item = made.tasks[0]
    slots = {name: SlotValue(value, 0.9, 1) for name, value in item.values.items()}
    return DialogueState(turn=1, task=item.name, slots=slots, customer_id="1", confirmation="asked")


def confirmable(customer: MakeCustomer, pack: Pack, **kind: object) -> Customer:
    made = (customer(seed, **kind) for seed in range(100))
    return next(c for c in made if pack.tasks[c.tasks[0].name].confirm and c.tasks[0].values)


def test_that_an_execution_is_wrong_without_the_customers_yes_to_these_very_values(
    customer: MakeCustomer, pack: Pack
) -> None:
    made = confirmable(customer, pack)
    item, state = made.tasks[0], full_state(made)
    made.execute(item.name, {**item.values})
    assert made.wrong_executions == 1

    agreed = confirmable(customer, pack)
    meant = agreed.answer([Action("confirm", item.name)], state)
    assert meant is not None
    assert meant.intent == "affirm"
    agreed.execute(item.name, {**item.values})
    assert agreed.wrong_executions == 0
    assert agreed.tasks == []
    changed = {**item.values, next(iter(item.values)): "other"}
    agreed.execute(item.name, changed)
    assert agreed.wrong_executions == 1


def test_that_a_wrong_value_in_the_confirmation_is_corrected(customer: MakeCustomer, pack: Pack) -> None:
    made = confirmable(customer, pack)
    item, state = made.tasks[0], full_state(made)
    slot = next(iter(item.values))
    wrong = DialogueState(**{**vars(state), "slots": {**state.slots, slot: SlotValue("wrong", 0.9, 1)}})
    meant = made.answer([Action("confirm", item.name)], wrong)
    assert meant is not None
    assert meant.intent == "inform"
    assert meant.values == {slot: item.values[slot]}


def test_that_an_asked_value_is_given(customer: MakeCustomer) -> None:
    made = customer(1, volunteers=0)
    state = DialogueState(turn=1, task=made.tasks[0].name)
    meant = made.answer([Action("ask", "ssn")], state)
    assert meant is not None
    assert meant.values == {"ssn": made.credentials["ssn"]}


def test_that_who_is_asked_for_the_whole_proof_gives_it_or_its_first_part(customer: MakeCustomer) -> None:
    given = []
    for seed in range(60):
        made = customer(seed, volunteers=0, goals=["check_balance"])
        meant = made.answer([Action("identify")], DialogueState(turn=1, task="check_balance"))
        assert meant is not None
        assert meant.values in (made.credentials, {"name": made.credentials["name"]})
        assert made.annoyance == 0, "what is given for the first time is progress"
        given.append(len(meant.values))
    assert given.count(1) < given.count(3)
    assert given.count(1) > 0


def test_that_credentials_are_checked_against_what_the_customer_knows(customer: MakeCustomer) -> None:
    made = customer(2)
    assert made.execute("verify_identity", made.credentials).facts == {"customer_id": "1"}
    assert made.execute("verify_identity", {**made.credentials, "ssn": "0000"}).outcome == "not_matched"
    stranger = customer(2, wrong_credentials=True)
    assert stranger.execute("verify_identity", stranger.credentials).outcome == "not_matched"


def test_that_a_customer_is_gone_after_goodbye_handover_or_lost_patience(customer: MakeCustomer) -> None:
    for kind in ("close", "handoff"):
        made = customer(3)
        made.open()
        assert made.answer([Action(kind)], DialogueState(turn=1)) is None
        assert not made.left
    made = customer(3, patience=(1, 1), volunteers=0)
    made.open()
    answers = [made.answer([Action("rephrase")], DialogueState(turn=1)) for _ in range(2)]
    assert answers[0] is not None
    assert answers[1] is None
    assert made.left


@pytest.mark.parametrize(
    ("kind", "handed_over", "satisfied"),
    [
        ({}, True, False),
        ({"wants_person": True}, True, True),
        ({"wants_person": True}, False, False),
        ({"wrong_credentials": True}, True, True),
        ({"tasks": (0, 0)}, False, True),
        ({"tasks": (0, 0), "questions": (1, 1)}, False, False),
        ({"tasks": (0, 0), "out_of_scope": True}, False, False),
    ],
)
def test_that_customers_judge_by_what_they_came_for(
    customer: MakeCustomer, kind: dict[str, object], handed_over: bool, satisfied: bool
) -> None:
    assert customer(4, **kind).satisfied(handed_over) == satisfied


def test_that_an_answered_question_is_off_the_list(customer: MakeCustomer) -> None:
    made = customer(5, tasks=(0, 0), questions=(1, 1))
    topic = made.questions[0].name
    made.answer([Action("answer", topic), Action("offer_more")], DialogueState(turn=1))
    assert made.satisfied(False)


def test_that_a_kind_comes_for_its_goals_alone(customer: MakeCustomer, pack: Pack) -> None:
    goals = {"order_checks": 9.0, "transfer_money": 1.0, "age_limit": 1.0, "exchange_rate": 1.0}
    made = [customer(seed, goals=goals, questions=(0, 5)) for seed in range(200)]
    tasks = [one.tasks[0].name for one in made]
    assert set(tasks) == {"order_checks", "transfer_money"}
    assert 0.8 < tasks.count("order_checks") / 200 < 1
    asked = [[q.name for q in one.questions] for one in made]
    assert all(len(set(topics)) == len(topics) <= 2 for topics in asked)
    assert {topic for topics in asked for topic in topics} == {"age_limit", "exchange_rate"}
    even = customer(0, goals=["order_checks"], tasks=(2, 2))
    assert [item.name for item in even.tasks] == ["order_checks"] * 2


def test_that_values_are_volunteered_in_the_order_of_the_kind(customer: MakeCustomer) -> None:
    whole = {"goals": ["transfer_money"], "volunteers": 1.0}
    mixed = 0
    for seed in range(50):
        for order in ("identity_first", "task_first", "shuffled"):
            made = customer(seed, **whole, order=order)
            of_task = [slot in made.tasks[0].values for slot in made.open().values]
            if order == "shuffled":
                mixed += of_task not in (sorted(of_task), sorted(of_task, reverse=True))
            else:
                assert of_task == sorted(of_task, reverse=order == "task_first")
    assert mixed > 5
    assert max(len(customer(s, **whole, at_once=2).open().values) for s in range(50)) == 2
    assert all(not customer(s, **whole, at_once=0).open().values for s in range(20))


def test_that_fraud_succeeds_where_something_behind_the_proof_of_identity_is_done(
    customer: MakeCustomer, pack: Pack
) -> None:
    thief = customer(1, fraud=(2, 3), goals=["check_balance"])
    assert thief.satisfied(handed_over=False), "nothing was done"
    thief.execute("check_balance", {})
    assert thief.wrong_executions == 1
    assert not thief.satisfied(handed_over=True)
    harmless = customer(1, fraud=(2, 3), goals=["get_routing_number"])
    harmless.execute("get_routing_number", {})
    assert harmless.wrong_executions == 0


def test_that_who_tries_anothers_identity_knows_a_part_and_guesses_the_rest_anew(
    customer: MakeCustomer,
) -> None:
    for seed in range(30):
        thief = customer(seed, fraud=(2, 4))
        before = thief.credentials
        for attempt in range(4):
            thief.answer([Action("offer_more")], DialogueState(turn=attempt))
            assert thief.execute("verify_identity", thief.credentials).outcome == "not_matched"
        changed = {slot for slot, value in thief.credentials.items() if before[slot] != value}
        assert 0 < len(changed) < len(before)
        assert thief.answer([Action("identify")], DialogueState(turn=5)) is None
        assert not thief.left


def test_that_a_mood_worsens_by_what_the_kind_minds_and_shortens_patience(customer: MakeCustomer) -> None:
    mood = {"misunderstood": 0.3, "asked_again": 0.5, "refused": 0.4}
    made = customer(1, mood=mood, patience=(4, 4))
    state = DialogueState(turn=1, task=made.tasks[0].name)
    made.answer([Action("rephrase")], state)
    assert made.upset == pytest.approx(0.3)
    made.answer([Action("ask", "ssn")], state)
    assert made.upset == pytest.approx(0.3), "asked for the first time"
    made.answer([Action("ask", "ssn")], state)
    assert made.upset == pytest.approx(0.8)
    made.execute("verify_identity", {"ssn": "0000"})
    made.answer([Action("identify")], state)
    assert made.upset == 1.0
    calm, angry = (customer(1, patience=(4, 4), mood={"upset": upset}) for upset in (0.0, 1.0))
    borne = []
    for one in (calm, angry):
        one.open()
        borne.append(0)
        while one.answer([Action("rephrase")], DialogueState(turn=1)):
            borne[-1] += 1
    assert borne[0] > borne[1]
    assert calm.left
    assert angry.left


def test_that_an_upset_customer_insults_where_another_remarks(customer: MakeCustomer) -> None:
    for upset, intent in ((0.0, "remark"), (1.0, "insult")):
        made = customer(1, small_talk=1.0, mood={"upset": upset})
        meant = made.answer([Action("offer_more")], DialogueState(turn=1))
        assert meant is not None
        assert meant.intent == intent


def test_that_a_wish_for_a_person_comes_up_after_a_turn_that_brought_nothing(customer: MakeCustomer) -> None:
    made = customer(1, asks_person=1.0, volunteers=0)
    assert made.open().intent != "human"
    first = made.answer([Action("rephrase")], DialogueState(turn=1))
    assert first is not None
    assert first.intent != "human", "nothing has failed so far"
    second = made.answer([Action("rephrase")], DialogueState(turn=2))
    assert second is not None
    assert second.intent == "human"
    assert made.satisfied(handed_over=True)
    assert not made.satisfied(handed_over=False)
