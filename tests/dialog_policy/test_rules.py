"""What no policy gets past, on random states and in random conversations."""

import random
from dataclasses import replace

import pytest

from dialog_policy.rules import MAX_STEPS, action_set, allowed, concrete, may_execute, refusals
from domains.schema import Pack
from storage.actions import Action
from storage.slots import SlotValue
from storage.state import DialogueState
from tests.dialog_policy.conftest import MakeEnv


def random_state(pack: Pack, rng: random.Random) -> DialogueState:
    slots = {
        name: SlotValue("1", rng.random(), rng.randint(1, 4)) for name in pack.slots if rng.random() < 0.85
    }
    faulty = {name: "it is wrong" for name in pack.slots if rng.random() < 0.03}
    tasks = [name for name in pack.tasks if name in pack.intents]
    return DialogueState(
        turn=4,
        step=rng.randint(0, MAX_STEPS + 1),
        task=rng.choice([*tasks, None]),
        slots=slots,
        invalid=faulty,
        question=rng.choice(["age_limit", "thanks", None, None]),
        question_confidence=rng.random(),
        alternatives=rng.choice([(), ("transfer_money", "age_limit")]),
        confirmation=rng.choice(["none", "asked", "given"]),
        customer_id=rng.choice([None, "1"]),
        locked=rng.random() < 0.2,
        offered_more=rng.random() < 0.2,
        authentication_failures=rng.randint(0, 2),
        failures=rng.randint(0, 3),
        top_probability=rng.random(),
        out_of_scope=rng.random(),
        greeting=rng.random() < 0.2,
        cancelled=rng.random() < 0.2,
        goodbye=rng.random() < 0.2,
    )


def permitted(state: DialogueState, pack: Pack) -> set[Action]:
    actions = action_set(pack)
    return {action for action, ok in zip(actions, allowed(state, pack, actions), strict=True) if ok}


@pytest.fixture(scope="module")
def states(pack: Pack) -> list[DialogueState]:
    rng = random.Random(0)
    return [random_state(pack, rng) for _ in range(3000)]


def test_that_nothing_is_executed_without_its_slots_its_proof_and_its_yes(
    pack: Pack, states: list[DialogueState]
) -> None:
    executable = 0
    for state in states:
        can = Action("execute") in permitted(state, pack)
        assert not can or may_execute(state, pack)
        if not can:
            continue
        executable += 1
        assert state.task is not None
        task = pack.tasks[state.task]
        assert all(slot in state.slots and slot not in state.invalid for slot in task.slots)
        assert state.customer_id is not None or task.authentication == "none"
        assert state.confirmation == "given" or not task.confirm
        assert state.step < MAX_STEPS
    assert executable > 100


def test_that_what_is_complete_can_be_executed_once_the_customer_said_yes(pack: Pack) -> None:
    for name, task in pack.tasks.items():
        if name not in pack.intents:
            continue
        slots = {slot: SlotValue("1", 0.9, 1) for slot in task.slots}
        state = DialogueState(turn=1, task=name, slots=slots, customer_id="1", confirmation="given")
        assert may_execute(state, pack)
        assert may_execute(replace(state, confirmation="asked"), pack) != task.confirm
        for slot in task.slots:
            missing = {n: v for n, v in slots.items() if n != slot}
            assert not may_execute(replace(state, slots=missing), pack)
            assert not may_execute(replace(state, invalid={slot: "wrong"}), pack)


def test_that_confirmation_is_asked_of_a_known_customer_for_a_complete_task(
    pack: Pack, states: list[DialogueState]
) -> None:
    asked = 0
    for state in states:
        if Action("confirm") in permitted(state, pack):
            asked += 1
            assert state.task is not None
            assert pack.tasks[state.task].confirm
            assert state.missing(pack) == ()
            assert not state.needs_authentication(pack)
    assert asked > 100


def test_that_a_locked_customer_is_neither_authenticated_nor_asked_for_anything(
    pack: Pack, states: list[DialogueState]
) -> None:
    for state in states:
        can = permitted(state, pack)
        if Action("authenticate") in can:
            assert state.missing_proof(pack) == ()
            assert state.customer_id is None
            assert not state.locked
        if state.locked and state.needs_authentication(pack):
            assert not any(action.kind == "ask" for action in can)


def test_that_something_is_always_allowed_and_something_that_waits(
    pack: Pack, states: list[DialogueState]
) -> None:
    for state in states:
        can = permitted(state, pack)
        assert Action("handoff") in can
        assert any(action.waits for action in can)
        if state.step >= MAX_STEPS:
            assert all(action.waits for action in can)


def test_that_the_bot_asks_only_for_what_is_missing_faulty_or_doubtful(
    pack: Pack, states: list[DialogueState]
) -> None:
    for state in states:
        for action in permitted(state, pack):
            if action.kind != "ask":
                continue
            assert state.task is not None
            slot = action.argument
            value = state.slots.get(slot)
            doubtful = value is not None and value.confidence < 0.7 and value.turn == state.turn
            assert slot in state.missing(pack) or slot in state.invalid or doubtful


def test_that_what_is_missing_of_the_proof_may_be_asked_for_at_once(pack: Pack) -> None:
    first_try = DialogueState(turn=1, task="check_balance", task_confidence=1.0)
    failed = replace(first_try, authentication_failures=1)
    begun = replace(first_try, slots={"name": SlotValue("Dana Whitfield", 1.0, 1)})
    one_left = replace(begun, slots={**begun.slots, "account_number": SlotValue("4400127316", 1.0, 1)})
    locked = replace(failed, locked=True)
    known = replace(first_try, customer_id="1")
    public = replace(first_try, task="get_routing_number")
    states = (first_try, failed, begun, one_left, locked, known, public)
    may = [Action("identify") in permitted(state, pack) for state in states]
    assert may == [True, True, True, False, False, False, False]


def test_that_social_actions_are_allowed_where_they_make_sense(
    pack: Pack, states: list[DialogueState]
) -> None:
    for state in states:
        can = permitted(state, pack)
        called_for = state.wants_person or state.failures >= 3 or state.upset >= 2
        assert not called_for or can == {Action("handoff")}
        if state.step >= MAX_STEPS or called_for:
            continue
        assert (Action("greet") in can) == state.greeting
        assert (Action("answer") in can) == (state.question is not None)
        assert (Action("cancel") in can) == state.cancelled
        if Action("close") in can:
            assert state.goodbye or state.offered_more
            assert state.task is None
            assert state.question is None
        if Action("clarify") in can:
            assert len(state.alternatives) == 2
            assert state.step == 0


def test_that_the_actions_of_a_pack_are_distinct_and_ask_for_every_slot_it_needs(pack: Pack) -> None:
    actions = action_set(pack)
    assert len(set(actions)) == len(actions)
    asked = {action.argument for action in actions if action.kind == "ask"}
    needed = {slot for task in pack.tasks.values() for slot in task.slots}
    assert asked == {*needed, "name", "ssn", "card_number"}


def test_that_an_action_takes_its_argument_from_the_state() -> None:
    state = DialogueState(task="transfer_money", question="age_limit")
    assert concrete(Action("confirm"), state) == Action("confirm", "transfer_money")
    assert concrete(Action("execute"), state) == Action("execute", "transfer_money")
    assert concrete(Action("answer"), state) == Action("answer", "age_limit")
    assert concrete(Action("ask", "ssn"), state) == Action("ask", "ssn")
    assert concrete(Action("handoff"), state) == Action("handoff")


@pytest.mark.parametrize("nlu_error", [0.0, 0.3])
def test_that_no_random_conversation_executes_what_the_customer_did_not_agree_to(
    make_env: MakeEnv, nlu_error: float
) -> None:
    env = make_env(nlu_error)
    rng = random.Random(1)
    executed = confirmed = 0
    for episode in range(150):
        env.reset(seed=episode)
        done = False
        while not done:
            mask = env.action_masks()
            assert mask.any()
            # Calling a person ends the conversation; a random policy would do nothing else.
            choices = [
                i for i, ok in enumerate(mask) if ok and env.actions[i].kind not in ("handoff", "close")
            ]
            if not choices or env.state.turn > 20:
                choices = [i for i, ok in enumerate(mask) if ok and env.actions[i].kind == "handoff"]
            pick = rng.choice(choices)
            before = env.state
            if env.actions[pick].kind == "execute":
                task = env.pack.tasks[str(before.task)]
                executed += 1
                confirmed += task.confirm
                assert set(task.slots) <= before.slots.keys()
                assert before.customer_id or task.authentication == "none"
                assert before.confirmation == "given" or not task.confirm
            done = env.step(pick)[2]
        assert env.customer.wrong_executions == 0, f"episode {episode}"
    assert executed > 50
    assert confirmed > 5


def test_every_forbidden_action_has_a_reason_in_words_and_no_other_has_one(
    pack: Pack, states: list[DialogueState]
) -> None:
    actions = action_set(pack)
    for state in states[:500]:
        reasons = refusals(state, pack, actions)
        assert [not why for why in reasons] == allowed(state, pack, actions).tolist()
        assert not any("None" in why or "_" in why for why in reasons)


def test_the_reasons_name_what_is_missing(pack: Pack) -> None:
    state = DialogueState(turn=1, task="transfer_money", customer_id="1")
    why = dict(zip(action_set(pack), refusals(state, pack, action_set(pack)), strict=True))
    assert why[Action("execute")] == why[Action("confirm")]
    assert why[Action("execute")].endswith(": missing")
    assert why[Action("greet")] == "there is no greeting to return"
    angry = refusals(replace(state, wants_person=True), pack, action_set(pack))
    assert set(angry) == {"", "the customer wants a person"}


def test_that_nobody_is_dismissed_who_has_just_given_a_value(pack: Pack) -> None:
    given = DialogueState(
        turn=3, offered_more=True, last_action="answer(thanks)", slots={"ssn": SlotValue("5483", 0.9, 3)}
    )
    before = replace(given, slots={"ssn": SlotValue("5483", 0.9, 2)})
    place = action_set(pack).index(Action("close"))
    assert refusals(given, pack, action_set(pack))[place] == "the message brought a value"
    assert refusals(replace(given, invalid={"ssn": "too short"}, slots={}), pack, action_set(pack))[place]
    assert not refusals(before, pack, action_set(pack))[place]
    farewell = replace(given, goodbye=True, top_probability=0.95)
    assert not refusals(farewell, pack, action_set(pack))[place]


def test_that_nobody_is_dismissed_who_has_said_neither_thanks_nor_goodbye(pack: Pack) -> None:
    place = action_set(pack).index(Action("close"))
    offered = DialogueState(turn=3, offered_more=True, last_action="offer_more", top_probability=0.9)
    thanked = replace(offered, last_action="answer(thanks)")
    for state in (
        offered,
        replace(offered, last_action="answer(remark)"),
        replace(thanked, offered_more=False),
    ):
        assert refusals(state, pack, action_set(pack))[place] == "the customer has not come to an end"
    assert not refusals(thanked, pack, action_set(pack))[place]
    assert not refusals(replace(offered, goodbye=True), pack, action_set(pack))[place]


def test_that_a_doubtful_wish_for_a_person_is_either_granted_or_asked_about(pack: Pack) -> None:
    state = DialogueState(turn=2, task="transfer_money", alternatives=("human", "transfer_money"))
    mask = allowed(state, pack, action_set(pack))
    can = {action.kind for action, ok in zip(action_set(pack), mask, strict=True) if ok}
    assert can == {"clarify", "handoff"}


def test_that_a_clear_question_is_answered_before_anything_is_asked(pack: Pack) -> None:
    amount, account = SlotValue("50", 0.9, 1), SlotValue("4400127324", 0.9, 1)
    state = DialogueState(
        turn=2,
        customer_id="1",
        task="transfer_money",
        slots={"transfer_amount": amount, "target_account_number": account},
        confirmation="asked",
        question="transfer_timing",
        question_confidence=0.95,
        top_probability=0.95,
    )
    asking = {Action("confirm"), Action("ask", "transfer_amount")}
    assert not asking & permitted(state, pack)
    assert Action("answer") in permitted(state, pack)
    assert Action("confirm") in permitted(replace(state, question_confidence=0.5), pack)
    assert Action("confirm") in permitted(replace(state, question="remark"), pack)
    assert Action("confirm") in permitted(replace(state, question=None), pack)


def test_that_a_message_with_a_wish_is_not_declined(pack: Pack) -> None:
    state = DialogueState(turn=1, task="dispute_charge", alternatives=("dispute_charge",), out_of_scope=0.4)
    assert Action("decline") not in permitted(state, pack)
    assert Action("decline") in permitted(DialogueState(turn=1, out_of_scope=0.4), pack)
