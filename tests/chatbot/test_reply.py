"""What the bot says: every phrasing of every action, with nothing left open and nothing given away."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chatbot.reply import MissingFact, TemplateReply
from domains.schema import PLACEHOLDER, Pack
from storage.actions import Action
from storage.records import Button
from storage.slots import SlotValue
from storage.state import DialogueState, Result

VARIANTS = range(5)

VALUES = {
    "name": "Dana Whitfield",
    "ssn": "4821",
    "card_number": "4539148803436467",
    "account_number": "4400127316",
    "target_account_number": "4400127324",
    "transfer_amount": "1250.50",
    "charge_amount": "19.99",
    "charge_date": "2026-11-03",
    "charge_time": "14:30",
    "last_used_date": "2026-11-02",
    "last_used_time": "09:15",
    "police_notified": "told the police",
    "replacement_reason": "name_change",
    "address": "12 Main St, Boston, MA 02108",
    "offer": "cash_back",
    "check_quantity": "2",
    "account_type": "money_market",
}
SLOTS = {name: SlotValue(value, 0.9, 1) for name, value in VALUES.items()}


@pytest.fixture
def writer(pack: Pack) -> TemplateReply:
    return TemplateReply(pack)


def write(writer: TemplateReply, state: DialogueState, *actions: Action, variant: int = 0) -> str:
    return writer.write(actions, state, variant).text


def each_action(pack: Pack) -> Iterator[tuple[Action, DialogueState]]:
    """Every action with a state in which it can be taken."""
    full = DialogueState(turn=2, slots=SLOTS, customer_id="1")
    for kind in ("greet", "decline", "cancel", "rephrase", "offer_more", "handoff", "close"):
        yield Action(kind), full
    yield Action("cancel"), DialogueState(turn=2, completed=("order_checks",), cancelled=True)
    yield Action("offer_more"), DialogueState(turn=1)
    yield Action("clarify"), DialogueState(clarifying=("transfer_money", "age_limit"))
    for given in ((), ("name",), ("card_number",)):
        yield Action("identify"), DialogueState(task="check_balance", slots={n: SLOTS[n] for n in given})
    for name, intent in pack.intents.items():
        if intent.kind == "faq" or f"answer.{name}" in pack.replies:
            yield Action("answer", name), full
    for slot in pack.askable:
        yield Action("ask", slot), full
    for slot in pack.slots:
        yield Action("ask", slot), DialogueState(invalid={slot: "it is wrong"})
    proof = pack.domain.authentication.task
    for task_name, task in pack.tasks.items():
        if task.confirm:
            yield Action("confirm", task_name), full
        for outcome, facts in task.outcomes.items():
            results = (Result(task_name, outcome, dict.fromkeys(facts, "a fact")),)
            if task_name != proof:
                yield Action("execute", task_name), DialogueState(results=results)
            elif outcome == "verified":
                yield Action("authenticate"), DialogueState(results=results, customer_id="1")
            else:
                yield Action("authenticate"), DialogueState(results=results, locked=outcome == "locked")
        yield Action("execute", task_name), full


def test_that_no_phrasing_of_any_action_leaves_a_placeholder_open(pack: Pack, writer: TemplateReply) -> None:
    count = 0
    for action, state in each_action(pack):
        for variant in VARIANTS:
            text = write(writer, state, action, variant=variant)
            assert text.strip(), action
            assert not PLACEHOLDER.search(text), (action, text)
            assert not re.search(r"[{}]|\bNone\b", text), (action, text)
            count += 1
    assert count > 600


def test_that_no_action_of_any_kind_shows_a_whole_number_or_the_ssn(
    pack: Pack, writer: TemplateReply
) -> None:
    for action, state in each_action(pack):
        for variant in VARIANTS:
            text = write(writer, state, action, variant=variant)
            assert "4821" not in text, (action, text)
            for slot in ("card_number", "account_number", "target_account_number"):
                assert VALUES[slot] not in text, (action, text)


def test_that_a_confirmation_states_the_values_as_people_read_them(writer: TemplateReply) -> None:
    state = DialogueState(slots=SLOTS)
    for variant in VARIANTS:
        transfer = write(writer, state, Action("confirm", "transfer_money"), variant=variant)
        assert "$1,250.50" in transfer
        assert "··7324" in transfer
        assert transfer.endswith("?")
        dispute = write(writer, state, Action("confirm", "dispute_charge"), variant=variant)
        assert "$19.99" in dispute
        assert "November 3, 2026" in dispute
        lost = write(writer, state, Action("confirm", "report_lost_card"), variant=variant)
        assert "··6467" in lost


def test_that_a_transfer_from_a_named_account_is_confirmed_with_it(writer: TemplateReply) -> None:
    named = write(writer, DialogueState(slots=SLOTS), Action("confirm", "transfer_money"))
    assert "··7316" in named
    without = {name: value for name, value in SLOTS.items() if name != "account_number"}
    assert "··7316" not in write(writer, DialogueState(slots=without), Action("confirm", "transfer_money"))


def test_that_all_actions_of_a_turn_make_one_message_in_order(writer: TemplateReply) -> None:
    state = DialogueState(
        turn=1, results=(Result("get_routing_number", "done", {"routing_number": "021307553"}),)
    )
    actions = [Action("greet"), Action("execute", "get_routing_number"), Action("offer_more")]
    text = writer.write(actions, state, 0).text
    parts = [write(writer, state, actions[0]), "021307553", write(writer, state, actions[2])]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_that_all_that_is_missing_of_a_proof_is_asked_for_by_name(writer: TemplateReply) -> None:
    name_and_ssn = "your full name, the last four digits of your Social Security number, "
    for variant in VARIANTS:
        text = write(writer, DialogueState(task="check_balance"), Action("identify"), variant=variant)
        assert f"{name_and_ssn}and your card number or account number (the last four digits" in text
        slots = {"account_number": SLOTS["account_number"]}
        rest = DialogueState(task="check_balance", slots=slots)
        text = write(writer, rest, Action("identify"), variant=variant)
        assert f"{name_and_ssn}all in one message" in text


def test_that_results_go_to_the_executions_in_order(writer: TemplateReply) -> None:
    results = (
        Result("verify_identity", "verified", {"first_name": "Dana"}),
        Result("check_balance", "done", {"balances": "$5.00 in checking ··7316"}),
    )
    state = DialogueState(results=results, customer_id="1")
    text = writer.write([Action("authenticate"), Action("execute", "check_balance")], state, 0).text
    assert text.index("Dana") < text.index("$5.00")


def test_that_an_execution_without_a_result_is_told_as_out_of_reach(
    pack: Pack, writer: TemplateReply
) -> None:
    verified = (Result("verify_identity", "verified", {"first_name": "Dana"}),)
    state = DialogueState(results=verified, customer_id="1")
    text = writer.write([Action("authenticate"), Action("execute", "check_balance")], state, 0).text
    assert text.endswith(pack.replies["backend_unavailable"][0])
    assert "Dana" in text


def test_that_variants_change_the_words_and_come_round_again(pack: Pack, writer: TemplateReply) -> None:
    count = len(pack.replies["greet"])
    texts = [write(writer, DialogueState(), Action("greet"), variant=variant) for variant in range(count + 1)]
    assert len(set(texts)) == count > 1
    assert texts[0] == texts[-1]


def test_that_the_same_words_are_not_said_twice_in_one_message(writer: TemplateReply) -> None:
    answer = Action("answer", "age_limit")
    assert write(writer, DialogueState(), answer, answer) == write(writer, DialogueState(), answer)


def test_that_a_fact_that_the_result_does_not_give_is_never_made_up(writer: TemplateReply) -> None:
    state = DialogueState(results=(Result("check_balance", "done", {}),))
    with pytest.raises(MissingFact, match=r"reply 'check_balance\.done' needs 'balances'"):
        write(writer, state, Action("execute", "check_balance"))


def test_that_a_confirmation_without_its_values_is_no_confirmation(writer: TemplateReply) -> None:
    with pytest.raises(MissingFact, match="transfer_amount"):
        write(writer, DialogueState(), Action("confirm", "transfer_money"))


def test_that_braces_in_a_value_stay_what_they_are(writer: TemplateReply) -> None:
    slots = {"address": SlotValue("12 {business} Street", 0.9, 1)}
    assert "12 {business} Street" in write(
        writer, DialogueState(slots=slots), Action("confirm", "update_address")
    )


def test_that_the_reason_is_given_for_a_value_that_cannot_be(writer: TemplateReply) -> None:
    state = DialogueState(invalid={"transfer_amount": "an amount cannot be negative"})
    text = write(writer, state, Action("ask", "transfer_amount"))
    assert "an amount cannot be negative" in text


def test_that_buttons_answer_the_question_that_is_asked(pack: Pack, writer: TemplateReply) -> None:
    state = DialogueState(slots=SLOTS, clarifying=("transfer_money", "age_limit"))

    def buttons(*actions: Action) -> tuple[Button, ...]:
        return writer.write(actions, state, 0).buttons

    assert [b.text for b in buttons(Action("confirm", "transfer_money"))] == ["Yes, go ahead", "No"]
    assert [b.text for b in buttons(Action("clarify"))] == [
        pack.intents["transfer_money"].description,
        pack.intents["age_limit"].description,
    ]
    assert [b.label for b in buttons(Action("ask", "account_type"))] == [
        "Checking",
        "Savings",
        "Money market",
    ]
    assert buttons(Action("ask", "ssn")) == ()
    assert buttons(Action("offer_more")) == ()
    offering = replace(state, offered="dispute_charge")
    (offer,) = writer.write(
        [Action("answer", "extra_charge_on_statement"), Action("offer_more")], offering, 0
    ).buttons
    assert (offer.label, offer.text) == ("Dispute a charge", "dispute a charge")
    assert buttons(Action("confirm", "transfer_money"), Action("ask", "ssn")) == ()


def test_that_a_conversation_opens_with_name_and_offer(pack: Pack, writer: TemplateReply) -> None:
    opening = writer.opening()
    assert pack.domain.assistant in opening.text
    assert pack.domain.business in opening.text
    assert opening.text.endswith("?")
    assert opening.made_by == "template"


def test_that_details_which_nobody_asked_for_are_acknowledged(writer: TemplateReply) -> None:
    told = DialogueState(turn=2, slots={"name": SlotValue("Dana Whitfield", 0.9, 2)})
    assert write(writer, told, Action("offer_more")) in writer.pack.replies["noted"]
    assert write(writer, replace(told, turn=3), Action("offer_more")) in writer.pack.replies["offer_more"]
    both = write(writer, told, Action("answer", "age_limit"), Action("offer_more"))
    assert not both.endswith(tuple(writer.pack.replies["noted"]))


def test_that_the_bot_says_its_name_at_the_first_greeting_only(pack: Pack, writer: TemplateReply) -> None:
    assert pack.domain.assistant in write(writer, DialogueState(turn=1), Action("greet"))
    assert pack.domain.assistant not in write(writer, DialogueState(turn=2), Action("greet"))


def test_that_an_answer_that_asks_is_the_last_word(writer: TemplateReply) -> None:
    state = DialogueState(turn=2)
    asked = write(writer, state, Action("answer", "card_help"), Action("offer_more"))
    assert asked == writer.pack.topics["card_help"].text
    told = write(writer, state, Action("answer", "age_limit"), Action("offer_more"))
    assert told.startswith(writer.pack.topics["age_limit"].text + " ")
