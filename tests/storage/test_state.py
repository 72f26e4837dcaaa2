"""What the bot knows after each message, with understandings written by hand."""

import json

import pytest
from pydantic import ValidationError

from domains.backend import ActionResult
from domains.schema import Pack
from nlu.understanding import IntentScore, Understanding
from nlu.values import normalise
from storage.actions import Action
from storage.hearing import hear
from storage.slots import SlotValue
from storage.state import DialogueState, act, from_json, recognise, record, to_json
from tests.hearing import understood

CHECKING = "4400127316"
SAVINGS = "4400127324"


class Talk:
    """A conversation in the making: every step changes `state`."""

    def __init__(self, pack: Pack, state: DialogueState | None = None) -> None:
        self.pack = pack
        self.state = state or DialogueState()

    def says(self, text: str, *wishes: str, sure: float = 0.95, **values: str) -> "Talk":
        self.state = hear(self.state, understood(text, wishes, values, sure), self.pack)
        return self

    def does(self, kind: str, argument: str = "") -> "Talk":
        self.state = act(self.state, Action(kind, argument), self.pack)  # type: ignore[arg-type]
        return self

    def gets(self, task: str, outcome: str, **facts: str) -> "Talk":
        self.state = record(self.state, task, ActionResult(outcome, facts), self.pack)
        return self

    def asks(self, slot: str) -> "Talk":
        return self.does("ask", slot)

    @property
    def values(self) -> dict[str, str]:
        return {name: slot.value for name, slot in self.state.slots.items()}


@pytest.fixture
def talk(pack: Pack) -> Talk:
    return Talk(pack)


@pytest.fixture
def known(pack: Pack) -> Talk:
    """With a customer whose identity was verified."""
    return Talk(pack, DialogueState(customer_id="1"))


@pytest.fixture
def confirming(known: Talk) -> Talk:
    """The bot has just asked "You want to send $250 to ··7324. Shall I go ahead?"."""
    known.says(
        "send $250 to 4400127324",
        "transfer_money",
        transfer_amount="$250",
        target_account_number=SAVINGS,
    )
    return known.does("confirm", "transfer_money")


# ── values ──


def test_that_slots_fill_over_many_turns_in_the_order_in_which_they_are_asked(talk: Talk, pack: Pack) -> None:
    talk.says("I want to send money", "transfer_money")
    order = ["name", "ssn", "card_number", "transfer_amount", "target_account_number"]
    assert list(talk.state.missing(pack)) == order
    answers = {
        "name": "Dana Whitfield",
        "ssn": "4821",
        "card_number": "6467",
        "transfer_amount": "$250",
        "target_account_number": SAVINGS,
    }
    for place, slot in enumerate(order):
        assert talk.state.missing(pack) == tuple(order[place:])
        talk.asks(slot).says(answers[slot], "inform", sure=0.95, **{slot: answers[slot]})
    assert talk.state.missing(pack) == ()
    assert talk.values == {**answers, "transfer_amount": "250.00"}
    assert talk.state.turn == 6


def test_that_one_message_can_fill_several_slots(talk: Talk, pack: Pack) -> None:
    talk.says(
        "Dana Whitfield here, 4821, send $20 to 4400127324",
        "transfer_money",
        name="Dana Whitfield",
        ssn="4821",
        transfer_amount="$20",
        target_account_number=SAVINGS,
    )
    assert talk.state.missing(pack) == ("card_number",)
    assert talk.state.slots["ssn"] == SlotValue("4821", 0.9, 1)


def test_that_an_account_number_proves_as_well_as_a_card_number(talk: Talk, pack: Pack) -> None:
    talk.says("balance", "check_balance").asks("card_number").says(
        "my account is 4400127316", "inform", account_number=CHECKING
    )
    assert talk.state.missing_proof(pack) == ("name", "ssn")


@pytest.mark.parametrize("between", [" ", ", ", "\n", " / ", ". "])
def test_that_two_numbers_heard_as_one_are_told_apart_where_both_miss(talk: Talk, between: str) -> None:
    numbers = f"4821{between}6467"
    talk.says("balance please", "check_balance").does("identify")
    talk.says(f"Dana Whitfield {numbers}", "inform", name="Dana Whitfield", ssn=numbers)
    assert talk.values == {"name": "Dana Whitfield", "ssn": "4821", "card_number": "6467"}


def test_that_two_numbers_that_would_make_one_are_told_apart_while_both_are_to_be_proved(talk: Talk) -> None:
    talk.says("open a savings account", "open_account", account_type="savings").does("identify")
    talk.says("Priya Raman 7750 0971", "inform", name="Priya Raman", account_number="7750 0971")
    assert talk.values["ssn"] == "7750"
    assert talk.values["card_number"] == "0971"


@pytest.mark.parametrize("text", ["my account number is 7750 0971", "4821, 7750 0971"])
def test_that_a_number_in_two_groups_of_four_stays_one_where_it_is_named_or_the_other_is_known(
    talk: Talk, text: str
) -> None:
    talk.says("balance please", "check_balance").does("identify")
    ssn = {"ssn": "4821"} if "4821" in text else {}
    talk.says(text, "inform", **ssn, account_number="7750 0971")
    assert talk.values == {**ssn, "account_number": "77500971"}


@pytest.mark.parametrize(
    ("text", "given"),
    [("Yes, send it", True), ("ok, I'm here", False), ("yes, but wait", False), ("yes, 60", False)],
)
def test_that_a_yes_at_the_beginning_is_one_however_unsure_the_nlu_is(
    confirming: Talk, text: str, given: bool
) -> None:
    state = confirming.says(text, "affirm", sure=0.35).state
    assert (state.confirmation == "given") == given


def test_that_an_account_after_a_no_is_the_one_that_was_read_out(confirming: Talk) -> None:
    other = Talk(confirming.pack, confirming.state)
    confirming.says("No wait, the account should be 4400316604", "inform", account_number="4400316604")
    assert confirming.values["target_account_number"] == "4400316604"
    other.says("no, take it from account 4400127316", "inform", account_number=CHECKING)
    assert other.values["target_account_number"] == SAVINGS
    assert other.values["account_number"] == CHECKING


def test_that_the_name_of_an_account_alone_answers_the_question_for_one_whatever_is_heard(
    known: Talk,
) -> None:
    known.says("send $5", "transfer_money", transfer_amount="$5").asks("target_account_number")
    assert known.says("my savings please", "check_balance").values["target_account_number"] == "savings"
    assert known.state.task == "transfer_money"


@pytest.mark.parametrize("answer", ["checking", "my checking account please", "to checking"])
def test_that_an_account_that_was_asked_for_may_be_called_by_its_kind(known: Talk, answer: str) -> None:
    known.says("send $5", "transfer_money", transfer_amount="$5").asks("target_account_number")
    assert known.says(answer, "inform").values["target_account_number"] == "checking"
    known.asks("target_account_number").says(answer, "inform", account_type="checking")
    assert known.values["target_account_number"] == "checking"


def test_that_accounts_are_told_apart_by_the_words_before_their_names(known: Talk) -> None:
    text = "move $300 from savings into my checking account"
    known.says(text, "transfer_money", transfer_amount="$300")
    assert known.values["account_number"] == "savings"
    assert known.values["target_account_number"] == "checking"
    assert known.state.missing(known.pack) == ()


def test_that_the_name_of_an_account_proves_nothing_and_holds_once_the_customer_is_known(
    talk: Talk, pack: Pack
) -> None:
    talk.says("move $300 from savings to checking", "transfer_money", transfer_amount="$300")
    assert talk.values == {"transfer_amount": "300.00", "target_account_number": "checking"}
    assert len(talk.state.missing_proof(pack)) == 3
    talk.does("identify").says(
        "Dana Whitfield 4821 7316", "inform", name="Dana Whitfield", ssn="4821", account_number="7316"
    )
    talk.gets("verify_identity", "verified", first_name="Dana", customer_id="1")
    assert talk.values["account_number"] == "savings"
    assert talk.state.named == {}


def test_that_an_account_named_for_a_task_that_was_dropped_is_forgotten(talk: Talk) -> None:
    talk.says("move $300 from savings to checking", "transfer_money", transfer_amount="$300")
    assert talk.says("never mind", "cancel").state.named == {}


def test_that_a_number_beats_a_name(known: Talk) -> None:
    known.says("send $5 to 4400127324, not to checking", "transfer_money", target_account_number=SAVINGS)
    assert known.values["target_account_number"] == SAVINGS


def test_that_a_number_in_groups_stays_one(talk: Talk) -> None:
    talk.says("balance please", "check_balance").asks("ssn").says("4821", "inform", ssn="4821")
    talk.says("my account is 44001 27316", "inform", account_number="44001 27316")
    assert talk.values == {"ssn": "4821", "account_number": CHECKING}


def test_that_a_yes_to_anything_else_asks_what_there_is_and_any_other_consent_is_a_thanks(talk: Talk) -> None:
    talk.does("offer_more")
    for text, question in (("yes", "capabilities"), ("Yes please.", "capabilities"), ("perfect", "thanks")):
        assert Talk(talk.pack, talk.state).says(text, "affirm").state.question == question
    assert Talk(talk.pack, talk.state).says("ok what about a loan", "affirm", sure=0.5).state.question is None
    assert Talk(talk.pack).says("yes", "affirm").state.question is None


def test_that_what_an_answer_offered_is_taken_up_by_a_yes_or_by_its_details(talk: Talk) -> None:
    talk.says("a charge I don't know", "card_payment_not_recognised").does("answer").does("offer_more")
    assert talk.state.offered == "dispute_charge"
    for text, wish in (("yes please", "affirm"), ("dispute a charge", "remark")):
        assert Talk(talk.pack, talk.state).says(text, wish).state.task == "dispute_charge"
    told = Talk(talk.pack, talk.state).says("$84.20 last tuesday", "inform", charge_amount="$84.20")
    assert told.state.task == "dispute_charge"
    assert told.values == {"charge_amount": "84.20"}


def test_that_an_offer_is_left_by_anything_else_and_holds_for_one_message(talk: Talk) -> None:
    talk.says("a charge I don't know", "card_payment_not_recognised").does("answer").does("offer_more")
    for text, wish in (("no", "deny"), ("ok thanks", "thanks"), ("perfect", "affirm"), ("Dana", "inform")):
        assert Talk(talk.pack, talk.state).says(text, wish).state.task is None
    assert Talk(talk.pack, talk.state).says("my balance", "check_balance").state.task == "check_balance"
    assert talk.says("one second", "remark").does("offer_more").says("yes", "affirm").state.task is None


def test_that_a_thanks_with_a_word_of_goodbye_is_a_goodbye(talk: Talk) -> None:
    assert Talk(talk.pack).says("thx bye", "thanks").state.goodbye
    assert not Talk(talk.pack).says("thx", "thanks").state.goodbye


@pytest.mark.parametrize("name", ["account", "acct", "acc.", "Accnt no"])
def test_that_an_account_whose_name_is_cut_short_is_no_card(talk: Talk, name: str) -> None:
    talk.says("I lost my card", "report_lost_card").does("identify")
    talk.says(
        f"Priya Raman 7750 {name} 6604", "inform", name="Priya Raman", ssn="7750", account_number="6604"
    )
    assert talk.values["account_number"] == "6604"
    assert "card_number" not in talk.values


def test_that_an_answer_in_the_middle_of_a_task_offers_nothing(known: Talk) -> None:
    known.says("send money", "transfer_money").says("and this charge?", "card_payment_not_recognised")
    assert known.does("answer").state.offered is None


def test_that_who_says_goodbye_in_the_middle_of_a_task_has_dropped_it(confirming: Talk) -> None:
    state = confirming.says("no thanks, bye", "deny", "goodbye").state
    assert state.goodbye
    assert state.cancelled
    assert state.task is None


def test_that_a_goodbye_in_other_words_or_behind_a_yes_leaves_the_task(confirming: Talk) -> None:
    agreed = Talk(confirming.pack, confirming.state).says("yes, bye", "affirm", "goodbye").state
    assert (agreed.task, agreed.confirmation) == ("transfer_money", "given")
    assert confirming.says("ok have a good one", "goodbye").state.task == "transfer_money"


def test_that_four_digits_after_the_question_for_the_ssn_are_the_ssn(talk: Talk) -> None:
    talk.says("balance please", "check_balance", name="balance").asks("ssn")
    talk.says("4577", "inform", card_number="4577")
    assert talk.values["ssn"] == "4577"
    assert "card_number" not in talk.values


def test_that_four_digits_called_a_card_are_the_card_whatever_was_asked(talk: Talk) -> None:
    talk.says("balance please", "check_balance").asks("ssn")
    talk.says("the card ends in 4577", "inform", card_number="4577")
    assert talk.values == {"card_number": "4577"}


@pytest.mark.parametrize("text", ["is anybody there?", "nice"])
def test_that_a_question_or_a_lone_remark_is_no_name(talk: Talk, text: str) -> None:
    talk.says("balance please", "check_balance").asks("name")
    assert talk.says(text, "remark").values == {}


@pytest.mark.parametrize(("text", "wish"), [("dana whitfield", "remark"), ("Dana", "inform")])
def test_that_a_name_is_taken_whether_it_reads_as_a_remark_or_not(talk: Talk, text: str, wish: str) -> None:
    talk.says("balance please", "check_balance").asks("name")
    assert talk.says(text, wish).values["name"].lower() == text.lower()


def test_that_a_card_beside_an_unreadable_ssn_stays_a_card(talk: Talk) -> None:
    talk.says("balance please", "check_balance").asks("ssn")
    talk.says("482 and then 6467", "inform", ssn="482", card_number="6467")
    assert talk.values == {"card_number": "6467"}
    assert "ssn" in talk.state.invalid


def test_that_a_long_card_number_is_no_ssn(talk: Talk) -> None:
    talk.says("balance please", "check_balance").asks("ssn")
    talk.says("4539148803436467", "inform", card_number="4539148803436467")
    assert talk.values == {"card_number": "4539148803436467"}


def test_that_an_account_after_the_question_where_to_is_the_receiving_one(known: Talk) -> None:
    known.says("send money", "transfer_money").asks("target_account_number")
    known.says("4400127324", "inform", account_number=SAVINGS)
    assert known.values == {"target_account_number": SAVINGS}


def test_that_a_card_called_so_is_not_the_receiving_account(known: Talk) -> None:
    known.says("send money from my card 6467", "transfer_money", card_number="6467")
    assert "target_account_number" not in known.values
    known.asks("target_account_number").says("the card 6467", "inform", card_number="6467")
    assert "target_account_number" not in known.values
    known.asks("target_account_number").says("6467", "inform", card_number="6467")
    assert known.values["target_account_number"] == "6467"


def test_that_a_bare_answer_without_an_entity_is_tried_as_the_asked_value(known: Talk) -> None:
    known.says("send money", "transfer_money").asks("transfer_amount").says("two hundred", "inform")
    assert known.values == {"transfer_amount": "200.00"}
    known.asks("target_account_number").says("you know which", "inform")
    assert "target_account_number" not in known.values


def test_that_a_question_is_not_taken_for_an_answer(talk: Talk) -> None:
    talk.says("send money", "transfer_money").asks("name").says("transfer fees", "transfer_fee_charged")
    assert talk.values == {}


def test_that_asking_again_forgets_the_doubtful_value(known: Talk) -> None:
    known.says("send $20", "transfer_money", transfer_amount="$20").asks("transfer_amount")
    assert known.values == {}
    assert known.state.ask_counts == {"transfer_amount": 1}
    assert known.says("$30", "inform", transfer_amount="$30").values == {"transfer_amount": "30.00"}


def test_that_a_value_that_is_not_valid_is_reported_for_one_turn(known: Talk) -> None:
    known.says("send $0", "transfer_money", transfer_amount="$0")
    assert known.state.invalid == {"transfer_amount": "an amount has to be more than zero"}
    assert known.values == {}
    known.asks("transfer_amount").says("$5", "inform", transfer_amount="$5")
    assert known.state.invalid == {}
    assert known.values == {"transfer_amount": "5.00"}


def test_that_a_faulty_value_of_no_concern_is_not_reported(known: Talk) -> None:
    known.says("send money", "transfer_money").says("on 2/30", "inform", charge_date="2/30")
    assert known.state.invalid == {}


# ── confirmation ──


def test_that_a_yes_after_the_question_is_consent(confirming: Talk) -> None:
    assert confirming.state.confirmation == "asked"
    assert confirming.says("Yes, go ahead", "affirm").state.confirmation == "given"


def test_that_a_yes_before_the_question_is_none(known: Talk) -> None:
    known.says(
        "yes send $5 to 4400127324",
        "affirm",
        "transfer_money",
        transfer_amount="$5",
        target_account_number=SAVINGS,
    )
    assert known.state.confirmation == "none"


@pytest.mark.parametrize("text", ["hmm", "👍", "yes but make it 300", "yes, no", "send it"])
def test_that_the_intent_alone_is_no_consent(confirming: Talk, text: str) -> None:
    assert confirming.says(text, "affirm").state.confirmation == "asked"


def test_that_a_yes_which_names_the_task_is_consent_to_it(confirming: Talk) -> None:
    assert confirming.says("Yes, transfer it", "transfer_money").state.confirmation == "given"


@pytest.mark.parametrize("text", ["transfer it, yes", "yes, but transfer it later", "yes, transfer 40"])
def test_that_a_task_named_without_a_plain_yes_first_is_no_consent(confirming: Talk, text: str) -> None:
    assert confirming.says(text, "transfer_money").state.confirmation != "given"


def test_that_a_yes_which_names_another_task_is_no_consent(confirming: Talk) -> None:
    assert confirming.says("yes, close it", "close_account").state.confirmation != "given"


def test_that_the_words_alone_are_no_consent(confirming: Talk) -> None:
    assert confirming.says("yes", "remark").state.confirmation == "asked"


def test_that_a_yes_with_a_number_that_was_not_understood_is_no_consent(confirming: Talk) -> None:
    assert confirming.says("yes 300", "affirm").state.confirmation == "asked"
    confirming.says("yes, the $250", "affirm", transfer_amount="$250")
    assert confirming.state.confirmation == "given"


def test_that_words_in_which_a_yes_is_doubtful_are_no_consent(confirming: Talk) -> None:
    assert confirming.says("ok i'm here", "affirm", sure=0.58).state.confirmation == "asked"
    assert confirming.says("Yes.", "affirm", sure=0.58).state.confirmation == "given"


def test_that_a_value_at_the_confirmation_corrects_the_one_of_its_type_whatever_its_name(
    known: Talk,
) -> None:
    known.says("lost my card 4821 on nov 3", "report_lost_card", card_number="4821", last_used_date="nov 3")
    before = known.does("confirm", "report_lost_card").values
    known.says("no, nov 5", "inform", charge_date="nov 5")
    assert known.values.keys() == before.keys()
    assert known.values["last_used_date"] == normalise(known.pack.slots["last_used_date"], "nov 5")
    assert known.state.confirmation == "none"


def test_that_a_value_for_a_waiting_task_corrects_nothing(known: Talk) -> None:
    known.says("dispute a charge", "dispute_charge")
    known.says(
        "first, i lost my card 4821 on nov 3", "report_lost_card", card_number="4821", last_used_date="nov 3"
    )
    before = known.does("confirm", "report_lost_card").values
    known.says("the charge was on nov 5", "inform", charge_date="nov 5")
    assert known.state.waiting == ("dispute_charge",)
    assert known.values["last_used_date"] == before["last_used_date"]


def test_that_a_correction_changes_the_value_and_takes_the_confirmation_back(confirming: Talk) -> None:
    confirming.says("no, $300", "inform", transfer_amount="$300")
    assert confirming.values == {"transfer_amount": "300.00", "target_account_number": SAVINGS}
    assert confirming.state.confirmation == "none"
    assert confirming.state.task == "transfer_money"


def test_that_a_yes_with_another_value_takes_the_value_and_asks_again(confirming: Talk) -> None:
    confirming.says("yes, $300", "affirm", transfer_amount="$300")
    assert confirming.values["transfer_amount"] == "300.00"
    assert confirming.state.confirmation == "none"


def test_that_a_yes_with_a_faulty_value_is_no_consent(confirming: Talk) -> None:
    confirming.says("yes, from account 12", "affirm", account_number="12")
    assert confirming.state.confirmation == "none"
    assert "account_number" in confirming.state.invalid


def test_that_another_source_account_takes_the_confirmation_back_too(confirming: Talk) -> None:
    confirming.says("yes, from 4400127316", "affirm", account_number=CHECKING)
    assert confirming.values["account_number"] == CHECKING
    assert confirming.state.confirmation == "none"


def test_that_a_refusal_drops_the_task(confirming: Talk) -> None:
    confirming.says("No", "deny")
    assert confirming.state.task is None
    assert confirming.state.dropped == "transfer_money"
    assert confirming.state.cancelled
    assert confirming.state.confirmation == "none"


def test_that_a_refusal_with_a_new_value_keeps_the_task(confirming: Talk) -> None:
    confirming.says("no, $300", "deny", transfer_amount="$300")
    assert confirming.state.task == "transfer_money"
    assert confirming.values["transfer_amount"] == "300.00"
    assert not confirming.state.cancelled
    assert confirming.state.confirmation == "none"


def test_that_a_value_after_the_refusal_takes_the_task_up_again(confirming: Talk) -> None:
    confirming.says("no", "deny").does("cancel").does("offer_more")
    confirming.says("make it $300", "inform", transfer_amount="$300")
    assert confirming.state.task == "transfer_money"
    assert confirming.state.dropped is None
    assert confirming.values["transfer_amount"] == "300.00"
    assert confirming.state.confirmation == "none"


def test_that_a_yes_to_one_task_is_no_yes_to_another_that_is_named_with_it(confirming: Talk) -> None:
    confirming.state = hear(
        confirming.state,
        understood("yes, and close that account", ("affirm", "close_account"), {}, 0.9),
        confirming.pack,
    )
    assert (confirming.state.task, confirming.state.confirmation) == ("transfer_money", "given")
    assert confirming.state.waiting == ("close_account",)


def test_that_a_refusal_with_another_wish_leaves_the_wish_and_forgets_the_task(confirming: Talk) -> None:
    confirming.says("no, show me my balance", "deny", "check_balance")
    assert confirming.state.task == "check_balance"
    assert confirming.state.waiting == ()


# ── questions and several tasks ──


def test_that_a_question_in_the_middle_of_a_task_leaves_the_task(known: Talk, pack: Pack) -> None:
    known.says("send $20", "transfer_money", transfer_amount="$20").asks("target_account_number")
    known.says("how long does it take?", "transfer_timing", sure=0.8)
    assert known.state.question == "transfer_timing"
    assert known.state.question_confidence == 0.8
    assert known.state.task == "transfer_money"
    assert known.values == {"transfer_amount": "20.00"}
    known.does("answer", "transfer_timing")
    assert known.state.question is None
    assert known.state.missing(pack) == ("target_account_number",)


def test_that_a_question_at_the_confirmation_leaves_it_open(confirming: Talk) -> None:
    confirming.says("what does it cost?", "transfer_fee_charged").does("answer", "transfer_fee_charged")
    assert confirming.state.confirmation == "asked"


def test_that_two_wishes_of_one_message_come_one_after_the_other(known: Talk) -> None:
    known.says("my balance and new checks", "check_balance", "order_checks")
    assert (known.state.task, known.state.waiting) == ("check_balance", ("order_checks",))
    known.gets("check_balance", "done", balances="$5")
    assert (known.state.task, known.state.waiting) == ("order_checks", ())
    assert known.state.completed == ("check_balance",)


def test_that_a_task_named_in_the_middle_of_another_comes_first_and_the_other_after_it(known: Talk) -> None:
    known.says("send $20", "transfer_money", transfer_amount="$20").asks("target_account_number")
    known.says("first my balance please", "check_balance")
    assert (known.state.task, known.state.waiting) == ("check_balance", ("transfer_money",))
    known.gets("check_balance", "done", balances="$5")
    assert known.state.task == "transfer_money"
    assert known.values == {"transfer_amount": "20.00"}


def test_that_naming_the_present_task_again_changes_nothing(known: Talk) -> None:
    known.says("send money", "transfer_money").says("I want to send money", "transfer_money")
    assert (known.state.task, known.state.waiting) == ("transfer_money", ())


def test_that_a_waiting_task_does_not_wait_twice(known: Talk) -> None:
    known.says("balance and checks", "check_balance", "order_checks")
    known.says("checks, and a transfer", "order_checks", "transfer_money")
    assert known.state.task == "order_checks"
    assert sorted(known.state.waiting) == ["check_balance", "transfer_money"]


def test_that_instead_drops_the_task(known: Talk) -> None:
    known.says("send money", "transfer_money").says("show my balance instead", "check_balance")
    assert (known.state.task, known.state.waiting) == ("check_balance", ())


def test_that_another_task_takes_the_confirmation_back(confirming: Talk) -> None:
    confirming.says("close account 7316", "close_account", account_number="7316")
    assert confirming.state.task == "close_account"
    assert confirming.state.confirmation == "none"


def test_that_cancelling_drops_the_task_and_what_waits(known: Talk) -> None:
    known.says("balance and checks", "check_balance", "order_checks").says("forget it", "cancel")
    assert (known.state.task, known.state.waiting, known.state.dropped) == (None, (), "check_balance")
    assert known.state.cancelled
    assert not known.does("cancel").state.cancelled


def test_that_cancelling_after_the_offer_of_more_is_a_goodbye(known: Talk) -> None:
    known.says("hi", "greeting").does("greet").does("offer_more").says("never mind", "cancel")
    assert known.state.goodbye
    assert not known.state.cancelled


def test_that_no_after_the_offer_of_more_is_a_goodbye(known: Talk) -> None:
    known.says("thanks", "thanks").does("answer", "thanks").does("offer_more").says("no", "deny")
    assert known.state.goodbye


# ── results ──


def test_that_a_finished_task_takes_its_values_with_it_but_not_the_card(known: Talk) -> None:
    known.says(
        "card 6467, send $20 to 4400127324 from 4400127316",
        "transfer_money",
        card_number="6467",
        transfer_amount="$20",
        target_account_number=SAVINGS,
        account_number=CHECKING,
    )
    known.gets("transfer_money", "done", amount="$20.00")
    assert known.values == {"card_number": "6467"}
    assert known.state.results[0].facts == {"amount": "$20.00"}
    assert known.state.task is None


def test_that_a_task_that_ended_otherwise_is_taken_up_by_a_correction(known: Talk) -> None:
    known.says(
        "send $20 to 9999", "transfer_money", transfer_amount="$20", target_account_number="9999"
    ).gets("transfer_money", "target_not_found", target="account ··9999")
    assert (known.state.task, known.state.dropped) == (None, "transfer_money")
    known.says("I meant 7324", "inform", target_account_number="7324")
    assert known.state.task == "transfer_money"
    assert known.values == {"transfer_amount": "20.00", "target_account_number": "7324"}


def test_that_results_are_those_since_the_last_message(known: Talk) -> None:
    known.says("balance", "check_balance").gets("check_balance", "done", balances="$5")
    assert len(known.state.results) == 1
    assert known.says("thanks", "thanks").state.results == ()


# ── who the customer is ──


def prove(talk: Talk) -> Talk:
    return talk.says(
        "Dana Whitfield, 4821, 6467", "inform", name="Dana Whitfield", ssn="4821", card_number="6467"
    )


def test_that_a_verified_customer_is_not_asked_for_proof_again(talk: Talk, pack: Pack) -> None:
    prove(talk.says("balance", "check_balance"))
    assert talk.state.needs_authentication(pack)
    talk.gets("verify_identity", "verified", first_name="Dana", customer_id="7")
    assert talk.state.customer_id == "7"
    assert talk.state.missing(pack) == ()
    assert talk.says("and a transfer", "transfer_money").state.missing_proof(pack) == ()


def test_that_a_task_without_authentication_needs_no_proof(talk: Talk, pack: Pack) -> None:
    assert talk.says("routing number?", "get_routing_number").state.missing(pack) == ()


def test_that_three_failed_authentications_lock(talk: Talk, pack: Pack) -> None:
    talk.says("balance", "check_balance")
    for failures in (1, 2, 3):
        prove(talk).gets("verify_identity", "not_matched")
        assert talk.state.authentication_failures == failures
        assert talk.state.locked == (failures == 3)
        assert talk.values == {}, "the proof is to be given anew"
        assert talk.state.missing_proof(pack) == ("name", "ssn", "card_number")


def test_that_one_part_given_anew_completes_the_proof_that_failed(talk: Talk, pack: Pack) -> None:
    prove(talk.says("balance", "check_balance")).gets("verify_identity", "not_matched")
    talk.says("sorry, 4822", "inform", ssn="4822")
    assert talk.state.missing_proof(pack) == ()
    assert talk.values == {"name": "Dana Whitfield", "ssn": "4822", "card_number": "6467"}
    talk.gets("verify_identity", "verified", first_name="Dana", customer_id="7")
    assert talk.state.tried == {}


def test_that_another_proof_of_the_same_kind_takes_the_place_of_the_one_that_failed(
    talk: Talk, pack: Pack
) -> None:
    prove(talk.says("balance", "check_balance")).gets("verify_identity", "not_matched")
    talk.says("account 4400127316", "inform", account_number="4400127316")
    assert talk.state.missing_proof(pack) == ()
    assert talk.values == {"name": "Dana Whitfield", "ssn": "4821", "account_number": "4400127316"}


def test_that_a_part_given_again_as_it_failed_leaves_the_rest_to_be_asked_for(talk: Talk, pack: Pack) -> None:
    prove(talk.says("balance", "check_balance")).gets("verify_identity", "not_matched")
    talk.says("4821", "inform", ssn="4821")
    assert talk.state.missing_proof(pack) == ("name", "card_number")
    talk.says("card 6468", "inform", card_number="6468")
    assert talk.values == {"name": "Dana Whitfield", "ssn": "4821", "card_number": "6468"}


def test_that_an_account_beside_a_card_that_proves_is_the_one_the_task_is_about(talk: Talk) -> None:
    talk.says("close my account", "close_account")
    talk.says(
        "Dana Whitfield, 4821, card 6467, account 4400127316",
        "inform",
        name="Dana Whitfield",
        ssn="4821",
        card_number="6467",
        account_number="4400127316",
    )
    talk.gets("verify_identity", "verified", first_name="Dana", customer_id="7")
    assert talk.values["account_number"] == "4400127316"


def test_that_an_account_in_answer_to_the_question_for_a_proof_is_not_what_the_task_is_about(
    talk: Talk,
) -> None:
    talk.says("close my account", "close_account")
    talk.says("Dana Whitfield, 4821", "inform", name="Dana Whitfield", ssn="4821")
    talk.says("4400127316", "inform", account_number="4400127316")
    talk.gets("verify_identity", "verified", first_name="Dana", customer_id="7")
    assert "account_number" not in talk.values


def test_that_an_account_named_with_the_wish_is_kept_when_a_proof_fails(talk: Talk) -> None:
    talk.says("close account 4400127316", "close_account", account_number="4400127316")
    talk.says("Dan Whitfield, 4821", "inform", name="Dan Whitfield", ssn="4821")
    talk.gets("verify_identity", "not_matched")
    prove(talk).gets("verify_identity", "verified", first_name="Dana", customer_id="7")
    assert talk.values["account_number"] == "4400127316"


def test_that_an_account_given_as_a_proof_that_failed_is_not_kept(talk: Talk) -> None:
    talk.says("close my account", "close_account")
    talk.says("Dan Whitfield, 4821", "inform", name="Dan Whitfield", ssn="4821")
    talk.says("4400127316", "inform", account_number="4400127316")
    talk.gets("verify_identity", "not_matched")
    prove(talk).gets("verify_identity", "verified", first_name="Dana", customer_id="7")
    assert "account_number" not in talk.values


def test_that_a_failed_proof_is_not_tried_again_while_nothing_of_it_is_new(talk: Talk, pack: Pack) -> None:
    prove(talk.says("balance", "check_balance")).gets("verify_identity", "not_matched")
    talk.says("hm", "remark")
    assert talk.state.missing_proof(pack) == ("name", "ssn", "card_number")


def test_that_another_wish_in_the_middle_of_a_task_can_be_put_in_question(known: Talk) -> None:
    known.says("send money", "transfer_money").says("my card", "report_lost_card")
    assert known.state.alternatives == ("report_lost_card", "transfer_money")


def test_that_the_banks_own_lock_holds_at_once(talk: Talk) -> None:
    prove(talk.says("balance", "check_balance")).gets("verify_identity", "locked")
    assert talk.state.locked


def test_that_success_forgets_earlier_failures(talk: Talk) -> None:
    prove(talk.says("balance", "check_balance")).gets("verify_identity", "not_matched")
    prove(talk).gets("verify_identity", "verified", customer_id="7", first_name="Dana")
    assert talk.state.authentication_failures == 0
    assert not talk.state.locked


# ── getting nowhere ──


def test_that_failures_count_up_in_a_row_and_start_anew_after_progress(known: Talk) -> None:
    known.says("send money", "transfer_money")
    known.says("blorp").says("blarp")
    assert known.state.failures == 2
    known.asks("transfer_amount").says("$5", "inform", transfer_amount="$5")
    assert known.state.failures == 0
    assert known.says("blorp").state.failures == 1


def test_that_a_remark_neither_counts_as_a_failure_nor_as_progress(known: Talk) -> None:
    known.says("send money", "transfer_money").says("blorp").says("nice weather", "remark")
    assert known.state.failures <= 1


# ── what the customer does not know ──


@pytest.mark.parametrize("text", ["I don't remember", "no idea, sorry", "Not sure.", "i dont know"])
def test_that_what_nobody_knows_and_nobody_needs_stays_open(known: Talk, pack: Pack, text: str) -> None:
    known.says("my card 6467 is gone", "report_lost_card", card_number="6467").asks("last_used_date")
    known.says(text, "remark")
    assert known.state.missing(pack) == ()
    assert known.state.failures == 0
    assert "last_used_date" not in known.values


@pytest.mark.parametrize("text", ["not sure, perhaps yesterday", "I don't know, was it yesterday"])
def test_that_a_guess_is_a_value(known: Talk, pack: Pack, text: str) -> None:
    known.says("my card 6467 is gone", "report_lost_card", card_number="6467").asks("last_used_date")
    known.says(text, "inform", last_used_date="yesterday")
    assert known.state.skipped == ()
    assert "last_used_date" in known.values


def test_that_it_may_come_back_to_mind_before_the_yes(known: Talk) -> None:
    known.says("my card 6467 is gone", "report_lost_card", card_number="6467").asks("last_used_date")
    known.says("no clue", "remark").does("confirm", "report_lost_card")
    known.says("it was yesterday", "inform")
    assert "last_used_date" in known.values
    assert known.state.confirmation == "none"


def test_that_a_yes_to_what_stays_open_is_a_yes(known: Talk) -> None:
    known.says("my card 6467 is gone", "report_lost_card", card_number="6467").asks("last_used_date")
    known.says("no clue", "remark").does("confirm", "report_lost_card")
    assert known.says("yes", "affirm").state.confirmation == "given"
    assert known.gets("report_lost_card", "done").state.skipped == ()


def test_that_what_a_task_needs_is_asked_for_again(known: Talk, pack: Pack) -> None:
    known.says("dispute a charge of $5", "dispute_charge", charge_amount="$5").asks("charge_date")
    known.says("I don't know", "remark")
    assert known.state.missing(pack) == ("charge_date",)


@pytest.mark.parametrize("text", ["I don't know my social", "no idea", "don't know it"])
def test_that_who_does_not_know_a_proof_gets_the_packs_help(talk: Talk, pack: Pack, text: str) -> None:
    talk.says("what is my balance", "check_balance").does("identify").says(text, "remark")
    assert talk.state.question == pack.domain.authentication.help == "proof_not_at_hand"
    assert talk.state.task == "check_balance"


def test_that_a_question_beside_it_is_answered_as_what_it_is(talk: Talk) -> None:
    talk.says("what is my balance", "check_balance").does("identify")
    talk.says("not sure I like this, why do you ask", "why_verify_identity")
    assert talk.state.question == "why_verify_identity"


@pytest.mark.parametrize("text", ["I don't know the zip", "not sure yet"])
def test_that_not_knowing_is_no_address(known: Talk, text: str) -> None:
    known.says("I moved", "update_address").asks("address").says(text, "inform")
    assert "address" not in known.values


def test_that_a_yes_to_the_offer_of_a_person_gets_one(known: Talk) -> None:
    known.says("my transfer never arrived", "transfer_not_received_by_recipient")
    known.does("answer", "transfer_not_received_by_recipient").does("offer_more")
    assert known.state.offered == "human"
    assert known.says("yes please", "affirm").state.wants_person


def test_that_a_detail_after_the_offer_of_a_person_is_no_yes(known: Talk) -> None:
    known.says("I want to complain", "complaint").does("answer", "complaint").does("offer_more")
    known.says("it was 50 dollars", "inform", charge_amount="50 dollars")
    assert not known.state.wants_person


def test_that_a_name_behind_a_cue_is_nothing_else(known: Talk) -> None:
    known.says("I want to send money", "transfer_money").asks("transfer_amount")
    known.says("to savings", "inform", transfer_amount="savings")
    assert (known.values, known.state.invalid) == ({"target_account_number": "savings"}, {})


def test_that_the_details_of_what_was_offered_begin_it_whatever_else_is_heard(known: Talk) -> None:
    known.says("I was charged twice", "transaction_charged_twice")
    known.does("answer", "transaction_charged_twice").does("offer_more")
    heard = understood("by a restaurant, 42.18", (), {"charge_amount": "42.18"}, 0.3, outside=0.6)
    known.state = hear(known.state, heard, known.pack)
    assert (known.state.task, known.values) == ("dispute_charge", {"charge_amount": "42.18"})
    assert known.state.out_of_scope == 0.0


def test_that_a_proof_of_identity_after_an_offer_begins_what_was_offered(talk: Talk) -> None:
    talk.says("I was charged twice", "transaction_charged_twice").does("answer").does("offer_more")
    told = Talk(talk.pack, talk.state).says("Dana Whitfield 4821", "inform", name="Dana Whitfield")
    assert told.state.task == "dispute_charge"
    known = recognise(talk.state, "7", talk.pack)
    assert Talk(talk.pack, known).says("Dana Whitfield", "inform", name="Dana Whitfield").state.task is None


def test_that_an_offer_outlives_a_message_that_was_not_understood(talk: Talk) -> None:
    talk.says("I was charged twice", "transaction_charged_twice").does("answer").does("offer_more")
    talk.says("blah").does("rephrase").says("yes please", "affirm")
    assert talk.state.task == "dispute_charge"


@pytest.mark.parametrize(
    ("text", "wish", "reason"),
    [
        ("all of it", "inform", "an amount is a number"),
        ("Everything.", "thanks", "an amount is a number"),
        ("half of it?", "inform", ""),
        ("not sure", "inform", ""),
        ("one moment", "remark", ""),
    ],
)
def test_that_an_answer_which_is_no_value_is_told_what_it_takes(
    known: Talk, text: str, wish: str, reason: str
) -> None:
    known.says("send money", "transfer_money").asks("transfer_amount").says(text, wish)
    assert known.state.invalid.get("transfer_amount", "").startswith(reason)
    assert bool(known.state.invalid) == bool(reason)


@pytest.mark.parametrize(
    ("text", "quantity"), [("5", "5"), ("no, 2", "2"), ("make it 7", "7"), ("no", "3"), ("nov 30", "3")]
)
def test_that_a_number_alone_corrects_the_count_that_was_read_out(
    known: Talk, text: str, quantity: str
) -> None:
    known.says("3 checkbooks", "order_checks", check_quantity="3").does("confirm", "order_checks")
    known.says(text, "inform")
    assert known.values["check_quantity"] == quantity


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("no, 4411", "4411 Pine Avenue, Austin TX 73301"),
        ("it's 73302", "4410 Pine Avenue, Austin TX 73302"),
        ("sorry, 12 Elm Street", "12 Elm Street, Austin TX 73301"),
        ("no, 12 Elm Street, Boston MA 02101", "12 Elm Street, Boston MA 02101"),
    ],
)
def test_that_a_part_of_an_address_puts_that_part_right(known: Talk, text: str, address: str) -> None:
    told = "4410 Pine Avenue, Austin TX 73301"
    known.says(f"I moved to {told}", "update_address", address=told)
    known.does("confirm", "update_address")
    given = {"address": text.removeprefix("no, ")} if "Boston" in text else {}
    known.says(text, "inform", **given)
    assert known.values["address"] == address
    assert known.state.confirmation == "none"


@pytest.mark.parametrize(
    ("misheard", "meant", "task"),
    [
        (("cancel", 0.52), ("report_lost_card", 0.26), "report_lost_card"),
        (("inform", 0.31), ("report_lost_card", 0.28), "report_lost_card"),
        (("cancel", 0.82), ("report_lost_card", 0.05), None),
        (("inform", 0.5), ("report_lost_card", 0.15), None),
        (("deny", 0.52), ("report_lost_card", 0.26), None),
    ],
)
def test_that_what_has_no_place_at_the_beginning_gives_way_to_a_likely_request(
    talk: Talk, misheard: tuple[str, float], meant: tuple[str, float], task: str | None
) -> None:
    scores = (IntentScore(*misheard), IntentScore(*meant))
    heard = Understanding("put a stop on my card", scores, (misheard[0],), (), 0.0)
    assert hear(talk.state, heard, talk.pack).task == task
    busy = talk.says("send money", "transfer_money").state
    assert hear(busy, heard, talk.pack).task != "report_lost_card"


def test_that_a_day_is_nobodys_name(talk: Talk) -> None:
    talk.says("dispute a charge of $5", "dispute_charge", charge_amount="$5").asks("name")
    talk.says("yesterday", "inform")
    assert set(talk.values) == {"charge_amount", "charge_date"}
    talk.asks("name").says("April May Summers", "inform")
    assert talk.values["name"] == "April May Summers"


def test_that_digits_after_a_no_correct_the_only_number_that_was_read_out(known: Talk) -> None:
    known.says("my card 6525 is gone, used it yesterday", "report_lost_card", card_number="6525")
    known.asks("last_used_date").says("yesterday", "inform", last_used_date="yesterday")
    known.does("confirm", "report_lost_card").says("no, 4455", "inform", ssn="4455")
    assert known.values["card_number"] == "4455"
    assert known.state.confirmation == "none"


# ── what was done just now ──


@pytest.mark.parametrize("text", ["can you cancel it?", "wait, undo that", "I changed my mind"])
def test_that_who_wants_a_transfer_back_hears_what_can_be_done(confirming: Talk, text: str) -> None:
    confirming.says("yes", "affirm").gets("transfer_money", "done").does("offer_more")
    confirming.says(text, "cancel")
    assert (confirming.state.question, confirming.state.goodbye) == ("cancel_transfer", False)


def test_that_what_no_topic_knows_how_to_undo_is_said_to_be_done(known: Talk) -> None:
    known.says("two checkbooks", "order_checks", check_quantity="two")
    known.gets("order_checks", "done").does("offer_more").says("cancel that", "cancel")
    assert (known.state.cancelled, known.state.dropped, known.state.goodbye) == (True, None, False)


def test_that_a_never_mind_after_it_is_the_end(confirming: Talk) -> None:
    confirming.says("yes", "affirm").gets("transfer_money", "done").does("offer_more")
    assert confirming.says("never mind", "cancel").state.goodbye


@pytest.mark.parametrize("text", ["and savings?", "what about my savings", "ok and in savings?"])
def test_that_a_question_is_asked_again_about_another_account(known: Talk, text: str) -> None:
    known.says("what is my balance", "check_balance").gets("check_balance", "done").does("offer_more")
    known.says(text, "remark")
    assert (known.state.task, known.values) == ("check_balance", {"account_number": "savings"})


def test_that_what_moves_money_is_not_begun_again_by_a_name(confirming: Talk) -> None:
    confirming.says("yes", "affirm").gets("transfer_money", "done").does("offer_more")
    assert confirming.says("and savings?", "remark").state.task is None


# ── what a wish names by the way ──


@pytest.mark.parametrize(
    ("text", "reason"), [("my card expired", "expired"), ("the chip is broken, send a new card", "damaged")]
)
def test_that_the_only_option_in_a_wish_is_its_value(known: Talk, text: str, reason: str) -> None:
    assert known.says(text, "replace_card").values == {"replacement_reason": reason}


def test_that_several_options_in_a_wish_are_asked_about(known: Talk, pack: Pack) -> None:
    known.says("my expired card is broken, replace it", "replace_card")
    assert "replacement_reason" in known.state.missing(pack)


def test_that_savings_after_a_no_is_the_account_and_no_kind(known: Talk) -> None:
    known.says("close my checking", "close_account", account_number="checking").does(
        "confirm", "close_account"
    )
    known.says("no, the savings one", "inform", account_type="savings")
    assert (known.state.task, known.values) == ("close_account", {"account_number": "savings"})


def test_that_thanks_and_a_goodbye_drop_the_task(known: Talk) -> None:
    known.says("a new card please", "replace_card").asks("card_number").says("thanks bye", "thanks")
    assert (known.state.task, known.state.goodbye) == (None, True)


def test_that_a_message_out_of_scope_is_seen_as_such(known: Talk) -> None:
    known.state = hear(known.state, understood("buy me a pizza", (), {}, 0.1, outside=0.9), known.pack)
    assert known.state.out_of_scope == 0.9
    assert known.state.failures == 1
    assert known.does("decline").state.out_of_scope == 0.0


def test_that_what_was_answered_is_not_declined_as_well(known: Talk) -> None:
    heard = understood("it says declined", ["declined_card_payment"], {}, 0.6, outside=0.35)
    known.state = hear(known.state, heard, known.pack)
    assert known.does("answer", "declined_card_payment").state.out_of_scope == 0.0


def test_that_insults_add_up_and_get_an_answer(known: Talk) -> None:
    known.says("you idiot", "insult")
    assert (known.state.upset, known.state.question) == (1, "insult")
    assert known.says("useless thing", "insult").state.upset == 2


def test_that_greeting_goodbye_and_the_wish_for_a_person_last_one_message(known: Talk) -> None:
    assert known.says("hi", "greeting").state.greeting
    assert known.does("greet").state.greeted
    assert known.says("bye", "goodbye").state.goodbye
    assert not known.state.greeting
    assert known.says("a person please", "human").state.wants_person
    assert not known.state.goodbye
    assert not known.says("balance", "check_balance").state.wants_person


def test_that_a_doubtful_wish_for_a_person_is_put_beside_the_task_at_hand(known: Talk) -> None:
    known.says("send money", "transfer_money").says("is there someone", "human", sure=0.5)
    assert known.state.may_want_person
    assert not known.state.wants_person
    assert known.state.alternatives == ("human", "transfer_money")
    assert known.state.failures == 0
    assert known.does("clarify").says("talk to a person", "remark", sure=0.3).state.wants_person


def test_that_going_on_after_the_doubt_takes_the_task_up_again(known: Talk) -> None:
    known.says("send money", "transfer_money").says("is there someone", "human", sure=0.5).does("clarify")
    known.says("$250", "inform", transfer_amount="$250")
    assert known.state.task == "transfer_money"
    assert not known.state.may_want_person


def test_that_a_wish_for_a_person_said_twice_is_granted(known: Talk) -> None:
    known.says("send money", "transfer_money").says("is there someone", "human", sure=0.5)
    assert known.says("someone there", "human", sure=0.5).state.wants_person


def test_that_a_wish_for_a_person_is_granted_where_nothing_else_can_be_meant(known: Talk) -> None:
    assert known.says("is there someone", "human", sure=0.5).state.wants_person


# ── clarification ──


@pytest.fixture
def clarifying(known: Talk) -> Talk:
    scores = (IntentScore("transfer_timing", 0.4), IntentScore("transfer_money", 0.35))
    heard = Understanding("transfer", scores, ("transfer_timing",), (), 0.1)
    known.state = hear(known.state, heard, known.pack)
    assert known.state.alternatives == ("transfer_timing", "transfer_money")
    return known.does("clarify")


def test_that_the_customer_is_asked_between_the_two_best_wishes(clarifying: Talk) -> None:
    assert clarifying.state.clarifying == ("transfer_timing", "transfer_money")
    assert (clarifying.state.task, clarifying.state.question) == (None, None)


@pytest.mark.parametrize(
    "text", ["transfer money", "Transfer money.", "the second one", "The second", "second"]
)
def test_that_the_second_option_can_be_named_whatever_the_nlu_hears(clarifying: Talk, text: str) -> None:
    clarifying.state = hear(clarifying.state, understood(text, (), {}, 0.2, outside=0.8), clarifying.pack)
    assert clarifying.state.task == "transfer_money"
    assert clarifying.state.task_confidence == 1.0
    assert clarifying.state.out_of_scope == 0.0
    assert clarifying.state.top_probability == 1.0


@pytest.mark.parametrize("text", ["how long transfers take", "the first one", "first!"])
def test_that_the_first_option_can_be_named(clarifying: Talk, text: str) -> None:
    clarifying.says(text, "remark", sure=0.3)
    assert clarifying.state.question == "transfer_timing"
    assert clarifying.state.task is None


def test_that_any_other_answer_counts_as_what_it_is(clarifying: Talk) -> None:
    clarifying.says("my balance", "check_balance")
    assert clarifying.state.task == "check_balance"
    assert clarifying.state.clarifying == ()


def test_that_the_second_one_means_nothing_where_nothing_was_to_choose(known: Talk) -> None:
    assert known.says("the second one", "remark").state.task is None


# ── on disk ──


def test_that_a_state_comes_back_from_json_as_it_was(confirming: Talk) -> None:
    confirming.says("what does it cost, and $x?", "transfer_fee_charged", transfer_amount="$x")
    confirming.gets("check_balance", "done", balances="$5")
    data = json.loads(json.dumps(to_json(confirming.state)))
    assert from_json(data) == confirming.state
    assert from_json(to_json(DialogueState())) == DialogueState()


@pytest.mark.parametrize("data", [{"turn": "many"}, {"confirmation": "perhaps"}, {"slots": {"a": "b"}}])
def test_that_what_is_no_state_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        from_json(data)


def test_that_hearing_leaves_the_state_before_as_it_was(confirming: Talk) -> None:
    before = confirming.state
    copy = json.dumps(to_json(before))
    confirming.says("no, $300", "deny", transfer_amount="$300").asks("transfer_amount")
    assert json.dumps(to_json(before)) == copy


def test_that_the_last_messages_are_kept_latest_first(known: Talk) -> None:
    for word in ("one", "two", "three", "four", "five"):
        known.says(word, "remark")
    assert known.state.recent == ("five", "four", "three", "two")
