"""What customers type, and what a business system gets to see of it."""

import random
import re
from collections.abc import Mapping
from datetime import date

import pytest

from domains.document import Document
from domains.schema import Pack, Slot, SlotType
from nlu.numbers import read_numbers
from nlu.values import InvalidValue, display, luhn_valid, normalise

TODAY = date(2026, 11, 22)
"""A Sunday."""


def a_slot(kind: SlotType, choices: Mapping[str, tuple[str, ...]] | None = None) -> Slot:
    return Slot(type=kind, label="value", choices=choices or {})


def read(kind: SlotType, text: str, today: date = TODAY) -> str:
    return normalise(a_slot(kind), text, today)


def refuse(kind: SlotType, text: str, today: date = TODAY) -> str:
    with pytest.raises(InvalidValue) as refused:
        normalise(a_slot(kind), text, today)
    return str(refused.value)


# ── dates ──


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("today", "2026-11-22"),
        ("Today.", "2026-11-22"),
        ("this morning", "2026-11-22"),
        ("earlier today", "2026-11-22"),
        ("tonight", "2026-11-22"),
        ("about two hours ago", "2026-11-22"),
        ("just now", "2026-11-22"),
        ("yesterday", "2026-11-21"),
        ("Yesterday at 5 pm", "2026-11-21"),
        ("last night", "2026-11-21"),
        ("the day before yesterday", "2026-11-20"),
        ("2 days ago", "2026-11-20"),
        ("4 days back", "2026-11-18"),
        ("three days ago", "2026-11-19"),
        ("a couple of days ago", "2026-11-20"),
        ("twenty five days ago", "2026-10-28"),
        ("a week ago", "2026-11-15"),
        ("week ago", "2026-11-15"),
        ("last week", "2026-11-15"),
        ("two weeks ago", "2026-11-08"),
        ("about a month ago", "2026-10-22"),
        ("2 months ago", "2026-09-22"),
        ("a year ago", "2025-11-22"),
    ],
)
def test_that_days_are_counted_back_from_today(text: str, day: str) -> None:
    assert read("date", text) == day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("friday", "2026-11-20"),
        ("last Friday", "2026-11-20"),
        ("on monday", "2026-11-16"),
        ("Saturday", "2026-11-21"),
        ("sat", "2026-11-21"),
        ("this past thurs", "2026-11-19"),
        ("wednesday night", "2026-11-18"),
        ("sunday", "2026-11-15"),
        ("wednesday last week", "2026-11-11"),
        ("i used it last tuesday", "2026-11-17"),
    ],
)
def test_that_a_weekday_is_the_last_one(text: str, day: str) -> None:
    assert read("date", text) == day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("Nov 3", "2026-11-03"),
        ("Nov. 3rd", "2026-11-03"),
        ("november 3", "2026-11-03"),
        ("November the 3rd", "2026-11-03"),
        ("3 Nov 2026", "2026-11-03"),
        ("3rd of november", "2026-11-03"),
        ("the 3rd of November, 2025", "2025-11-03"),
        ("Nov 3, 2025", "2025-11-03"),
        ("nov 3 at 5pm", "2026-11-03"),
        ("19 th june", "2026-06-19"),
        ("21th of june", "2026-06-21"),
        ("Sept. 5th", "2026-09-05"),
        ("4 july", "2026-07-04"),
        ("may 31", "2026-05-31"),
        ("5-Nov", "2026-11-05"),
        ("5-nov-26", "2026-11-05"),
        ("thursday november 5th 2026", "2026-11-05"),
        ("I think it was around june 11", "2026-06-11"),
        ("dec 25", "2025-12-25"),
        ("july 4th last year", "2025-07-04"),
    ],
)
def test_that_a_day_with_its_month_is_read(text: str, day: str) -> None:
    assert read("date", text) == day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("11/3", "2026-11-03"),
        ("11/3/2026", "2026-11-03"),
        ("11/03/26", "2026-11-03"),
        ("11-3", "2026-11-03"),
        ("11.3.26", "2026-11-03"),
        ("13/5/2026", "2026-05-13"),
        ("2026-11-03", "2026-11-03"),
        ("2026/11/3", "2026-11-03"),
        ("11032026", "2026-11-03"),
        ("13102026", "2026-10-13"),
        ("110326", "2026-11-03"),
        ("11/3 around 14:30", "2026-11-03"),
        ("12/25", "2025-12-25"),
        ("11/22", "2026-11-22"),
        ("11/23", "2025-11-23"),
        ("2/29", "2024-02-29"),
    ],
)
def test_that_numbers_read_month_first_and_lie_in_the_past(text: str, day: str) -> None:
    assert read("date", text) == day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("the 5th", "2026-11-05"),
        ("on the 5th", "2026-11-05"),
        ("It was the 5th", "2026-11-05"),
        ("5th", "2026-11-05"),
        ("the 5", "2026-11-05"),
        ("the 22nd", "2026-11-22"),
        ("the 23rd", "2026-10-23"),
        ("the 31st", "2026-10-31"),
        ("monday the 16th", "2026-11-16"),
        ("the 5th of last month", "2026-10-05"),
        ("the 5th of this month", "2026-11-05"),
    ],
)
def test_that_a_day_of_the_month_is_the_latest_one(text: str, day: str) -> None:
    assert read("date", text) == day


def test_that_a_day_of_the_month_skips_months_without_it_and_goes_into_last_year() -> None:
    assert read("date", "the 30th", date(2026, 3, 5)) == "2026-01-30"
    assert read("date", "the 20th", date(2026, 1, 5)) == "2025-12-20"
    assert read("date", "a month ago", date(2026, 3, 31)) == "2026-02-28"


@pytest.mark.parametrize(
    ("text", "day"),
    [("yesterdy i think", "2026-11-21"), ("last firday", "2026-11-20"), ("novmber 3", "2026-11-03")],
)
def test_that_a_misspelt_day_is_read(text: str, day: str) -> None:
    assert read("date", text) == day


@pytest.mark.parametrize(
    "text",
    [
        "tomorrow",
        "next friday",
        "next week",
        "in two days",
        "11/3/2027",
        "Nov 23, 2026",
        "the 25th of this month",
    ],
)
def test_that_a_date_in_the_future_is_refused(text: str) -> None:
    assert refuse("date", text) == "that date lies in the future"


@pytest.mark.parametrize(
    "text", ["2/30", "february 30", "13/13/2026", "the 32nd", "0", "99", "2026-02-29", "2/29/2025"]
)
def test_that_a_day_that_no_calendar_has_is_refused(text: str) -> None:
    assert refuse("date", text) == "that day is not in the calendar"


def test_that_a_date_of_long_ago_is_refused() -> None:
    assert refuse("date", "1/1/1990") == "that date lies too far back"


@pytest.mark.parametrize(
    "text",
    [
        "never",
        "not sure",
        "maybe",
        "I don't know it right now",
        "november",
        "in june",
        "a few days ago",
        "half a year ago",
        "two and a half weeks ago",
        "last weekend",
        "recently",
        "4539 1488",
        "friday the week before last",
        "…",
    ],
)
def test_that_nothing_is_made_up_where_no_day_is_named(text: str) -> None:
    assert refuse("date", text) == "it takes a date, such as November 3 or last Friday"


# ── times ──


@pytest.mark.parametrize(
    ("text", "clock"),
    [
        ("5 pm", "17:00"),
        ("8pm", "20:00"),
        ("1:03 p.m.", "13:03"),
        ("11:43 AM", "11:43"),
        ("6.30 pm", "18:30"),
        ("830 pm", "20:30"),
        ("1145 am", "11:45"),
        ("1713", "17:13"),
        ("0945", "09:45"),
        ("16:42", "16:42"),
        ("15h30", "15:30"),
        ("0:15", "00:15"),
        ("3", "03:00"),
        ("3 o'clock", "03:00"),
        ("3 o’clock pm", "15:00"),
        ("at 5 o'clock", "05:00"),
        ("12 am", "00:00"),
        ("12 pm", "12:00"),
        ("noon", "12:00"),
        ("around noon", "12:00"),
        ("midnight", "00:00"),
        ("2 in the afternoon", "14:00"),
        ("7 in the evening", "19:00"),
        ("8 in the morning", "08:00"),
        ("nine at night", "21:00"),
        ("2 at night", "02:00"),
        ("half past six", "06:30"),
        ("quarter to nine", "08:45"),
        ("quarter to one", "12:45"),
        ("quarter past two", "02:15"),
        ("ten thirty", "10:30"),
        ("about 6 pm", "18:00"),
        ("Nov 3 5pm", "17:00"),
    ],
)
def test_that_times_are_read(text: str, clock: str) -> None:
    assert read("time", text) == clock


@pytest.mark.parametrize(
    "text", ["25:00", "24:00", "14:61", "early afternoon", "lunchtime", "ten to five", "no idea", "99"]
)
def test_that_what_is_no_time_is_refused(text: str) -> None:
    assert refuse("time", text) == "it takes a time, such as 3 pm or 14:30"


# ── amounts ──


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("250", "250.00"),
        ("$250", "250.00"),
        ("$ 250", "250.00"),
        ("250$", "250.00"),
        ("250.", "250.00"),
        ("$20.5", "20.50"),
        ("19.99", "19.99"),
        ("$.50", "0.50"),
        ("12,50", "12.50"),
        ("$1,250.50", "1250.50"),
        ("1,000,000", "1000000.00"),
        ("1 500", "1500.00"),
        ("1500", "1500.00"),
        ("USD 423", "423.00"),
        ("USD300", "300.00"),
        ("612 usd", "612.00"),
        ("100 US dollars", "100.00"),
        ("200 bucks", "200.00"),
        ("make it 300 please", "300.00"),
        ("about $80", "80.00"),
        ("$600 something", "600.00"),
        ("2k", "2000.00"),
        ("1.5k", "1500.00"),
        ("$3 thousand", "3000.00"),
        ("$1.2 million", "1200000.00"),
        ("5 hundred", "500.00"),
        ("a grand", "1000.00"),
        ("50 cents", "0.50"),
        ("99¢", "0.99"),
        ("20 dollars and 50 cents", "20.50"),
        ("20 dollars 5 cents", "20.05"),
        ("20 bucks 50", "20.50"),
        ("twenty dollars and fifty cents", "20.50"),
        ("fifty bucks", "50.00"),
        ("thirty five dollars", "35.00"),
        ("two hundred", "200.00"),
        ("a couple hundred dollars", "200.00"),
        ("one hundred and twelve dollars", "112.00"),
        ("seven hundred fifty", "750.00"),
        ("fifteen hundred", "1500.00"),
        ("twenty-five hundred", "2500.00"),
        ("two thousand five hundred", "2500.00"),
        ("two and a half thousand", "2500.00"),
        ("5 thousand 2 hundred", "5200.00"),
        ("two hundred 50", "250.00"),
        ("one hundred twenty three thousand four hundred fifty six", "123456.00"),
        ("nineteen ninety nine", "19.99"),
        ("thirty nine ninety nine", "39.99"),
    ],
)
def test_that_amounts_are_read_to_the_cent(text: str, amount: str) -> None:
    assert read("amount", text) == amount


@pytest.mark.parametrize("text", ["-50", "$-50", "-$50", "−50", "minus 50", "make it -5"])
def test_that_a_negative_amount_is_refused(text: str) -> None:
    assert refuse("amount", text) == "an amount cannot be negative"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0", "an amount has to be more than zero"),
        ("zero dollars", "an amount has to be more than zero"),
        ("12.345", "an amount has at most two decimals"),
        ("1.000", "an amount has at most two decimals"),
        ("20 million", "that amount is larger than anything I can handle"),
    ],
)
def test_that_an_impossible_amount_is_refused_with_the_reason(text: str, reason: str) -> None:
    assert refuse("amount", text) == reason


@pytest.mark.parametrize(
    "text",
    [
        "free",
        "all of it",
        "one moment",
        "three fifty",
        "one fifty",
        "a few hundred",
        "100 and 200",
        "100-200",
        "1.234,56",
        "10,00,000",
        "1e5",
        "$300 to account 4421",
        "…",
    ],
)
def test_that_an_unclear_amount_is_asked_for_again_rather_than_guessed(text: str) -> None:
    assert refuse("amount", text) == "an amount is a number, such as $250 or 19.99"


def test_that_every_amount_comes_back_from_the_words_for_it() -> None:
    ones = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    small = [*ones.split(), "sixteen", "seventeen", "eighteen", "nineteen"]
    tens = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]

    def spell(number: int) -> str:
        if number < 20:
            return small[number]
        if number < 100:
            return tens[number // 10 - 2] + (f"-{small[number % 10]}" if number % 10 else "")
        size, word = (1000, "thousand") if number >= 1000 else (100, "hundred")
        rest = number % size
        return f"{spell(number // size)} {word}" + (f" and {spell(rest)}" if rest else "")

    rng = random.Random(0)
    for number in [*range(1, 130), *(rng.randrange(130, 999_999) for _ in range(300))]:
        assert read_numbers(spell(number)) == [number], spell(number)


# ── counts ──


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("2", "2"),
        ("two", "2"),
        ("twenty five", "25"),
        ("1,000", "1000"),
        ("a couple", "2"),
        ("a pair of", "2"),
        ("a dozen", "12"),
        ("half a dozen", "6"),
        ("I want 3 boxes", "3"),
        ("just a box", "1"),
        ("3x", "3"),
    ],
)
def test_that_counts_are_read(text: str, count: str) -> None:
    assert read("count", text) == count


@pytest.mark.parametrize(
    "text",
    [
        "none",
        "zero",
        "0",
        "-2",
        "2.5",
        "2 or 3",
        "one moment please",
        "100000000000",
        "some",
        "a few",
        "a lot",
        "the checking one",
    ],
)
def test_that_what_is_no_count_is_refused(text: str) -> None:
    assert refuse("count", text) == "it takes a number, such as 2"


# ── numbers of cards, accounts and people ──


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("4539148803436467", "4539148803436467"),
        ("4539 1488 0343 6467", "4539148803436467"),
        ("4539-1488-0343-6467", "4539148803436467"),
        ("378282246310005", "378282246310005"),
        ("6467", "6467"),
        ("x6467", "6467"),
        ("**** 6467", "6467"),
        ("the one ending in 6467", "6467"),
        ("last 4: 6467", "6467"),
        ("six four six seven", "6467"),
    ],
)
def test_that_card_numbers_are_read(text: str, digits: str) -> None:
    assert read("card_number", text) == digits


def test_that_a_card_number_with_a_wrong_digit_or_length_is_refused() -> None:
    length = "a card number has 16 digits, and its last four are enough"
    assert refuse("card_number", "4539148803436468") == "that card number has a digit that does not fit"
    assert refuse("card_number", "45391488") == length
    assert refuse("card_number", "45391488034364671234") == length
    assert refuse("card_number", "my card") == length


def test_that_luhn_finds_every_wrong_digit_and_nearly_every_swap() -> None:
    number = "4539148803436467"
    assert luhn_valid(number)
    for place, digit in enumerate(number):
        for other in "0123456789":
            if other != digit:
                assert not luhn_valid(number[:place] + other + number[place + 1 :])
    for place in range(len(number) - 1):
        first, second = number[place], number[place + 1]
        if first != second and {first, second} != {"0", "9"}:
            assert not luhn_valid(number[:place] + second + first + number[place + 2 :])


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("4400127316", "4400127316"),
        ("440012 7316", "4400127316"),
        ("440-012-7316", "4400127316"),
        ("7316", "7316"),
        ("checking ending 7316", "7316"),
        ("0012345678", "0012345678"),
    ],
)
def test_that_account_numbers_are_read(text: str, digits: str) -> None:
    assert read("account_number", text) == digits


@pytest.mark.parametrize("text", ["123", "12345", "1234567890123", "checking"])
def test_that_an_account_number_of_another_length_is_refused(text: str) -> None:
    assert refuse("account_number", text) == "an account number has 10 digits, and its last four are enough"


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("4821", "4821"),
        ("4 8 2 1", "4821"),
        ("xxx-xx-4821", "4821"),
        ("***-**-4821", "4821"),
        ("123-45-4821", "4821"),
        ("123454821", "4821"),
        ("last 4 are 4821", "4821"),
        ("last four is 4821", "4821"),
        ("four eight two one", "4821"),
        ("0071", "0071"),
    ],
)
def test_that_the_last_four_digits_of_the_ssn_are_read(text: str, digits: str) -> None:
    assert read("ssn_last4", text) == digits


@pytest.mark.parametrize("text", ["482", "48210", "12345678", "none of your business"])
def test_that_another_number_of_digits_is_no_ssn(text: str) -> None:
    assert refuse("ssn_last4", text) == "it takes exactly the last four digits"


# ── names, addresses, texts ──


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Dana Whitfield", "Dana Whitfield"),
        ("dana whitfield", "Dana Whitfield"),
        ("My name is dana whitfield.", "Dana Whitfield"),
        ("it's Dana", "Dana"),
        ("this is dana whitfield", "Dana Whitfield"),
        ("name: Dana Whitfield", "Dana Whitfield"),
        ("Conor O'Brien", "Conor O'Brien"),
        ("Ronald McDonald", "Ronald McDonald"),
        ("Zoë Øster", "Zoë Øster"),
        ("Maria Ruiz-Ortega", "Maria Ruiz-Ortega"),
        ("Dr. Smith", "Dr. Smith"),
        ("张伟", "张伟"),
    ],
)
def test_that_names_are_read(text: str, name: str) -> None:
    assert read("person_name", text) == name


@pytest.mark.parametrize(
    "text",
    [
        "Dana4",
        "4821",
        "dana@example.com",
        "I don't know",
        "hold on a second",
        "why do you need that",
        "thanks",
        "no",
        "a b c d e f g",
        "x" * 90,
    ],
)
def test_that_what_is_no_name_is_refused(text: str) -> None:
    assert refuse("person_name", text) == "it takes a name in letters"


def test_that_an_address_keeps_its_words_and_loses_what_leads_in() -> None:
    assert read("address", "it's 12  Main St,\nBoston, MA 02108.") == "12 Main St, Boston, MA 02108"


@pytest.mark.parametrize("text", ["Main", "12345", "x" * 201])
def test_that_what_is_no_address_is_refused(text: str) -> None:
    assert refuse("address", text) == "it takes street, number, city and ZIP code"


def test_that_a_text_is_kept_on_one_line_and_cut_at_two_hundred_characters() -> None:
    assert read("text", "told the\n police") == "told the police"
    assert len(read("text", "a" * 500)) == 200


@pytest.mark.parametrize("text", ["", "  ", "?!", "..."])
def test_that_an_empty_value_is_missing(text: str) -> None:
    assert refuse("amount", text) == "the value is missing"


# ── choices ──


@pytest.mark.parametrize(
    ("slot", "text", "value"),
    [
        ("account_type", "Savings", "savings"),
        ("account_type", "a money-market one", "money_market"),
        ("account_type", "money_market", "money_market"),
        ("account_type", "chequing please", "checking"),
        ("replacement_reason", "it's about to expire", "expired"),
        ("replacement_reason", "the chip doesn’t work", "damaged"),
        ("replacement_reason", "it is not working", "damaged"),
        ("replacement_reason", "not expired but damaged", "damaged"),
        ("replacement_reason", "my name changed", "name_change"),
        ("offer", "lower interest rate", "lower_rate_card"),
        ("offer", "the savings account bonus", "savings_bonus"),
    ],
)
def test_that_a_choice_is_found_by_its_words(pack: Pack, slot: str, text: str, value: str) -> None:
    assert normalise(pack.slots[slot], text, TODAY) == value


def test_that_the_longest_word_decides_between_two_choices() -> None:
    slot = a_slot("choice", {"card": ("card",), "gift": ("gift card",)})
    assert normalise(slot, "a gift card") == "gift"
    assert normalise(slot, "a card") == "card"


def test_that_a_word_inside_of_another_word_is_no_choice() -> None:
    slot = a_slot("choice", {"old": ("old",), "new_one": ("new",)})
    with pytest.raises(InvalidValue, match=r"^I can take one of these: old, new one$"):
        normalise(slot, "cold newspaper")


# ── the pack's own sample values, and display ──

UNREADABLE = {
    "charge_date": {"last weekend", "0717####"},
    "last_used_date": {"last weekend", "0704####", "061#2018"},
    "charge_time": {"early afternoon", "lunchtime", "late evening"},
    "last_used_time": {"lunchtime", "dinner time", "late afternoon"},
}
"""Vague ones, and such as are no date for every digit."""


@pytest.mark.parametrize(
    "slot",
    [
        "name",
        "ssn",
        "account_number",
        "transfer_amount",
        "charge_amount",
        "charge_date",
        "last_used_date",
        "charge_time",
        "last_used_time",
        "replacement_reason",
        "address",
        "offer",
        "check_quantity",
        "account_type",
        "police_notified",
    ],
)
def test_that_the_values_that_customers_type_in_the_training_sentences_can_be_read(
    pack: Pack, slot: str
) -> None:
    texts = Document(pack.folder / "examples" / "values.yaml").data[slot]
    failed = []
    for text in map(str, texts):
        try:
            normalise(pack.slots[slot], re.sub("#", "1", text), TODAY)
        except InvalidValue as reason:
            if text not in UNREADABLE.get(slot, set()):
                failed.append(f"{text}: {reason}")
    assert failed == []


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("card_number", "4539148803436467", "··6467"),
        ("account_number", "4400127316", "··7316"),
        ("ssn_last4", "4821", "····"),
        ("amount", "1250.5", "$1,250.50"),
        ("date", "2026-11-03", "November 3, 2026"),
        ("choice", "money_market", "money market"),
        ("time", "14:30", "14:30"),
    ],
)
def test_that_values_are_shown_as_people_read_them(kind: SlotType, value: str, shown: str) -> None:
    slot = a_slot(kind, {"money_market": ("market",)} if kind == "choice" else None)
    assert display(slot, value, "$") == shown
