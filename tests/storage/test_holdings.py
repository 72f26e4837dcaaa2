"""What the business system knows of a customer takes the place of a question, and never of an answer."""

from collections.abc import Mapping, Sequence

import pytest

from domains.backend import ActionResult, Holding
from domains.schema import Pack
from storage.actions import Action
from storage.hearing import hear
from storage.holdings import take_holdings, wants_holdings
from storage.slots import SlotValue
from storage.state import DialogueState, act, from_json, recognise, record, to_json
from tests.hearing import understood

ONE_CARD = {"card_number": [Holding("6467", "Card ending in 6467")]}
TWO_CARDS = {"card_number": [Holding("6467", "Card ending in 6467"), Holding("0183", "Card ending in 0183")]}
ACCOUNTS = {
    "account_number": [Holding("7316", "Checking ending in 7316"), Holding("7324", "Savings ending in 7324")]
}
LOST = DialogueState(customer_id="1", task="report_lost_card")


def given(state: DialogueState, pack: Pack, **values: str) -> DialogueState:
    """After a message that gives values and says nothing else."""
    return hear(state, understood(" ".join(values.values()), ["inform"], values), pack)


def values(state: DialogueState) -> dict[str, str]:
    return {name: slot.value for name, slot in state.slots.items()}


def test_the_only_card_is_taken_without_a_question(pack: Pack) -> None:
    assert wants_holdings(LOST, pack)
    state = take_holdings(LOST, ONE_CARD, pack)
    assert values(state) == {"card_number": "6467"}
    assert state.missing(pack) == ("last_used_date",)
    assert not wants_holdings(state, pack)


@pytest.mark.parametrize("holdings", [{}, {"card_number": []}, TWO_CARDS])
def test_without_exactly_one_card_the_customer_is_asked(
    holdings: Mapping[str, Sequence[Holding]], pack: Pack
) -> None:
    state = take_holdings(LOST, holdings, pack)
    assert "card_number" in state.missing(pack)
    assert not wants_holdings(state, pack)


@pytest.mark.parametrize(
    "state",
    [
        DialogueState(task="report_lost_card"),
        DialogueState(customer_id="1"),
        DialogueState(customer_id="1", task="check_balance"),
        DialogueState(customer_id="1", task="transfer_money"),
    ],
)
def test_nothing_is_looked_up_for_a_stranger_or_where_the_task_does_not_need_it(
    state: DialogueState, pack: Pack
) -> None:
    assert not wants_holdings(state, pack)


def test_a_card_that_the_customer_names_stays_whatever_the_bank_knows(pack: Pack) -> None:
    state = given(LOST, pack, card_number="2231")
    assert values(take_holdings(state, ONE_CARD, pack))["card_number"] == "2231"


def test_a_card_number_that_cannot_be_right_is_not_replaced_by_another(pack: Pack) -> None:
    state = given(LOST, pack, card_number="123")
    assert "card_number" in state.invalid
    assert "card_number" not in take_holdings(state, ONE_CARD, pack).slots


def test_four_digits_of_an_account_that_proved_who_it_is_are_no_card(pack: Pack) -> None:
    proved = DialogueState(
        customer_id="1", task="report_lost_card", slots={"card_number": SlotValue("7316", 0.9, 1)}
    )
    assert values(take_holdings(proved, {**ONE_CARD, **ACCOUNTS}, pack))["card_number"] == "6467"
    asked = take_holdings(proved, {**TWO_CARDS, **ACCOUNTS}, pack)
    assert asked.missing(pack)[0] == "card_number"


def test_a_whole_number_is_known_by_its_last_digits(pack: Pack) -> None:
    proved = DialogueState(
        customer_id="1", task="report_lost_card", slots={"card_number": SlotValue("5412750003436467", 0.9, 1)}
    )
    assert values(take_holdings(proved, {**TWO_CARDS, **ACCOUNTS}, pack))["card_number"].endswith("6467")


@pytest.mark.parametrize(
    ("answer", "account"),
    [
        ("Checking ending in 7316", "7316"),
        ("savings ending in 7324", "7324"),
        ("the first one", "7316"),
        ("second", "7324"),
        ("The second.", "7324"),
    ],
)
def test_one_of_several_can_be_named_as_it_was_shown_or_by_its_place(
    answer: str, account: str, pack: Pack
) -> None:
    state = take_holdings(DialogueState(customer_id="1", task="close_account"), ACCOUNTS, pack)
    state = act(state, Action("ask", "account_number"), pack)
    state = hear(state, understood(answer, ["remark"]), pack)
    assert values(state) == {"account_number": account}
    assert state.failures == 0


def test_the_other_one_is_the_other_of_two(pack: Pack) -> None:
    state = take_holdings(DialogueState(customer_id="1", task="close_account"), ACCOUNTS, pack)
    state = act(given(state, pack, account_number="4400127324"), Action("confirm", "close_account"), pack)
    state = hear(state, understood("no, the other one", ["deny"]), pack)
    assert (state.task, values(state), state.confirmation) == (
        "close_account",
        {"account_number": "7316"},
        "none",
    )


def test_the_other_one_of_three_is_a_no(pack: Pack) -> None:
    three = {"account_number": [*ACCOUNTS["account_number"], Holding("9999", "Savings ending in 9999")]}
    state = take_holdings(DialogueState(customer_id="1", task="close_account"), three, pack)
    state = act(given(state, pack, account_number="7324"), Action("confirm", "close_account"), pack)
    assert hear(state, understood("no, the other one", ["deny"]), pack).cancelled


def test_what_was_done_or_who_signed_in_makes_what_was_known_old(pack: Pack) -> None:
    state = take_holdings(DialogueState(customer_id="1", task="close_account"), ACCOUNTS, pack)
    assert from_json(to_json(state)) == state
    assert record(state, "close_account", ActionResult("done"), pack).held == {}
    assert recognise(state, "2", pack).held == {}
