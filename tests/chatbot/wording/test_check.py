"""What may not be sent, each with its reason."""

import pytest

from chatbot.wording.check import Rules, check
from chatbot.wording.request import Request
from domains.schema import Pack

DONE = Request(
    "transfer_money.done",
    "Done: [1] went to [2]. Your balance is now [3], and the reference is [4].",
    ("$50.00", "account ··7324", "$1,200.00", "TR-48213"),
    "yes please send it to my sister now",
)
REFUSED = Request(
    "transfer_money.insufficient_funds",
    "I could not send [1]: the balance of the account is [2]. Nothing was transferred.",
    ("$900.00", "$12.00"),
    "send $900",
)
ASK = Request("ask.name", "May I have your full name, as it stands on the account?", (), "I want a card")
CONFIRM = Request(
    "confirm.transfer_money",
    "You want to send [1] to account [2], from account [3]. Shall I go ahead?",
    ("$50.00", "··7324", "··7316"),
    "",
)
SENT = "I have sent $50.00 to account ··7324. That leaves $1,200.00. Your reference is TR-48213."


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (DONE, SENT),
        (
            DONE,
            "All done! $50.00 went to account ··7324, your balance is $1,200.00. The reference is TR-48213.",
        ),
        (REFUSED, "I'm sorry, I couldn't send $900.00, because the balance of the account is $12.00."),
        (ASK, "Sure. What is your full name, as it stands on the account?"),
        (CONFIRM, "I'll send $50.00 to account ··7324 from account ··7316. Is that right?"),
    ],
)
def test_a_reply_that_says_the_same_in_other_words_passes(request_: Request, text: str) -> None:
    assert check(request_, text) == ()


@pytest.mark.parametrize(
    ("request_", "text", "reason"),
    [
        (DONE, SENT.replace("TR-48213", "below"), "a fact is missing"),
        (DONE, SENT.replace("TR-48213", "TR-482130"), "a fact is missing"),
        (DONE, SENT.replace("$50.00", "-$50.00"), "a fact is missing"),
        (DONE, SENT.replace("$50.00", "$50.00%"), "a fact is missing"),
        (DONE, f"{SENT} So $50.00 it is.", "a fact is repeated"),
        (DONE, f"{SENT} The fee was 0.", "a number that is not given"),
        (DONE, f"{SENT} The fee was ½.", "a number that is not given"),
        (DONE, f"{SENT} The fee was ０.", "a number that is not given"),
        (DONE, f"{SENT} There is a fee of five.", "a number that is not given"),
        (DONE, f"{SENT} It arrives on friday.", "a time that is not given"),
        (DONE, f"{SENT} It takes a few days.", "a time that is not given"),
        (DONE, f"{SENT} See bank.example.", "an address that is not given"),
        (DONE, f"{SENT} Thank you, Michael.", "a name that is not given"),
        (DONE, f"Michael, {SENT}", "a name that is not given"),
        (DONE, f"{SENT} Спасибо.", "another script"),
        (DONE, f"{SENT} <b>Thanks</b>", "signs that are not given"),
        (DONE, f"{SENT} [2]", "signs that are not given"),
        (DONE, f"{SENT} I guarantee it.", "promises"),
        (DONE, f"{SENT} The charge was refunded.", "grants money"),
        (DONE, f"{SENT} It arrives immediately.", "names a time"),
        (DONE, f"{SENT} My manager agreed.", "speaks of people"),
        (DONE, f"{SENT} Sorry, so sorry.", "apologises twice"),
        (DONE, f"Sorry. {SENT}", "apologises for nothing"),
        (DONE, f"{SENT} I send it to my sister now.", "repeats the customer"),
        (DONE, SENT + " And then" * 60, "too long"),
        (DONE, "", "empty"),
        (DONE, "I did not send $50.00 to account ··7324: $1,200.00, TR-48213.", "brought in a negation"),
        (REFUSED, "I have sent $900.00. The balance of the account is $12.00.", "lost a negation"),
        (REFUSED, "I have sent $900.00. The balance is $12.00, no problem.", "says that something was done"),
        (REFUSED, "Great news! I could not send $900.00: the balance is $12.00.", "cheerful about bad news"),
        (ASK, "I have your full name, as it stands on the account.", "does not ask"),
        (ASK, "May I have your password and full name?", "asks for a secret"),
        (CONFIRM, "I am sending $50.00 to account ··7324, from account ··7316.", "does not ask"),
        (
            CONFIRM,
            "I have sent $50.00 to account ··7324 from account ··7316. Right?",
            "says that something was done",
        ),
        (
            CONFIRM,
            "Shall I send $50.00 from account ··7324 to account ··7316?",
            "a fact in the place of another",
        ),
    ],
)
def test_a_reply_that_says_something_else_is_refused_with_the_reason(
    request_: Request, text: str, reason: str
) -> None:
    assert reason in check(request_, text)


def test_reasons_quote_nothing_of_the_text() -> None:
    reasons = " ".join(check(DONE, f"{SENT} Dear Priya, your PIN 4821 is at priya@example.com"))
    assert reasons
    assert "Priya" not in reasons
    assert "4821" not in reasons


def test_a_value_that_is_in_another_is_counted_for_itself() -> None:
    request = Request("x.done", "[1] for [2].", ("2", "$2.00"), "")
    assert check(request, "2 for $2.00.") == ()
    assert "a fact is missing" in check(request, "So for $2.00.")


def test_the_same_value_of_two_facts_has_to_stand_twice() -> None:
    request = Request("x.done", "The balance of [1] is [2].", ("$5.00", "$5.00"), "")
    assert check(request, "The balance of $5.00 is $5.00.") == ()
    assert "a fact is missing" in check(request, "The balance is $5.00.")


def test_a_reply_speaks_of_nothing_of_the_business_that_is_not_said(pack: Pack) -> None:
    rules = Rules.of(pack)
    request = Request("get_routing_number.done", "Our routing number is [1].", ("021307553",), "")
    assert check(request, "The routing number is 021307553.", rules) == ()
    assert "speaks of something else" in check(request, "The savings account number is 021307553.", rules)


def test_each_phrasing_of_the_pack_may_stand_for_every_other(pack: Pack) -> None:
    rules = Rules.of(pack)
    for key, phrasings in pack.replies.items():
        for say in phrasings:
            for text in phrasings:
                if "{" not in say + text and not any(c.isdigit() for c in say + text):
                    assert check(Request(key, say, (), ""), text, rules, phrasings) == (), (key, text)


def test_what_a_pack_bans_is_refused(pack: Pack) -> None:
    wording = pack.domain.wording.model_copy(update={"banned": {"dear friend": "is too familiar"}})
    rules = Rules.of(pack.model_copy(update={"domain": pack.domain.model_copy(update={"wording": wording})}))
    assert "is too familiar" in check(ASK, "My dear friend, may I have your full name?", rules)


def test_help_is_offered_only_with_what_was_named() -> None:
    request = Request("ask.name", "May I have your full name?", (), "close it please")
    other = "Of course, let me help you open an account. May I have your full name?"
    assert "names another wish" in check(request, other, topic="close an account")
    assert check(request, other, topic="open an account") == ()
    assert check(request, "I'm happy to help you with that. May I have your full name?") == ()
