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


def test_that_the_whole_proof_is_given_where_it_is_asked_for_at_once(customer: MakeCustomer) -> None:
    made = customer(1, volunteers=0)
    meant = made.answer([Action("identify")], DialogueState(turn=1, task=made.tasks[0].name))
    assert meant is not None
    assert meant.values == made.credentials


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
