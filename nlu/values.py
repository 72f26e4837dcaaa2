"""From what a customer typed to a value that a business system takes."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal

from domains.schema import Slot
from nlu.dates import read_date, read_time
from nlu.numbers import UNITS, read_amount, read_numbers
from nlu.spelling import COMMON, Speller

FILLERS = re.compile(
    r"^(?:it'?s|it is|its|my name is|i am|i'm|im|this is|on|at|around|about|the|is|for|name)\b[:\s]*", re.I
)


NO_NAME = re.compile(
    r"\b(?:i|you|we|my|me|it|this|that|the|what|why|how|who|when|don'?t|do|not|no|yes|yeah|need|know|wait"
    r"|hold|moment|second|minute|please|thanks?|sorry|hello|hi|hey|sure|ok|okay|sir|because)\b",
    re.I,
)
"""Words that are in no name, but in what people say when they do not give theirs."""


class InvalidValue(ValueError):
    """The text is no valid value of the slot; the message is a clause fit for the customer."""


def normalise(slot: Slot, text: str, today: date | None = None) -> str:
    """The normalised value of `text`: digits, a decimal amount, an ISO date, a choice's name.

    Raises InvalidValue.
    """
    cleaned = text.strip().strip(".,;:!?\"'")
    if not cleaned:
        raise InvalidValue(f"the {slot.label} is missing")
    if slot.type == "choice":
        return _choice(slot, cleaned)
    if slot.names and not re.search(r"\d", cleaned) and (named := _meant(slot.names, cleaned)):
        return named
    if slot.type == "date":
        return _date(cleaned, today or date.today())
    return _PLAIN[slot.type](cleaned)


def luhn_valid(digits: str) -> bool:
    """The check of ISO/IEC 7812-1, annex B, over a string of digits."""
    doubled = [int(d) * (2 if i % 2 else 1) for i, d in enumerate(reversed(digits))]
    return sum(d // 10 + d % 10 for d in doubled) % 10 == 0


def _digits(text: str) -> str:
    """The digits of a number, also where they are spelled: "four eight two one"."""
    text = re.sub(r"\blast (?:4|four)\b", "", text.lower())
    if not re.search(r"\d", text):
        for digit, word in enumerate((*UNITS, "oh")):
            text = re.sub(rf"\b{word}\b", str(digit % 10), text)
    return re.sub(r"\D", "", text)


def _card_number(text: str) -> str:
    digits = _digits(text)
    if len(digits) == 4:
        return digits
    if not 13 <= len(digits) <= 19:
        raise InvalidValue("a card number has 16 digits, and its last four are enough")
    if not luhn_valid(digits):
        raise InvalidValue("that card number has a digit that does not fit")
    return digits


def _account_number(text: str) -> str:
    digits = _digits(text)
    if len(digits) != 4 and not 6 <= len(digits) <= 12:
        raise InvalidValue("an account number has 10 digits, and its last four are enough")
    return digits


def _ssn_last4(text: str) -> str:
    digits = _digits(text)
    if len(digits) == 9:
        return digits[-4:]
    if len(digits) != 4:
        raise InvalidValue("it takes exactly the last four digits")
    return digits


def _amount(text: str) -> str:
    if re.search(r"(?:^|[\s$])[-−–]\s*\$?\s*\.?\d|\b(?:minus|negative)\b", text.lower()):
        raise InvalidValue("an amount cannot be negative")
    amount = read_amount(text)
    if amount is None:
        raise InvalidValue("an amount is a number, such as $250 or 19.99")
    if amount <= 0:
        raise InvalidValue("an amount has to be more than zero")
    if amount != amount.quantize(Decimal("0.01")) or re.search(r"\.\d{3,}\b", text):
        raise InvalidValue("an amount has at most two decimals")
    if amount > 10_000_000:
        raise InvalidValue("that amount is larger than anything I can handle")
    return str(amount.quantize(Decimal("0.01")))


def _count(text: str) -> str:
    text = re.sub(r"\b(?:the|this|that|my)\b[a-z ]*\bones?\b", "", text, flags=re.IGNORECASE)  # no number
    numbers = [item for item in read_numbers(text) if isinstance(item, Decimal)]
    if not numbers and re.match(r"(?:just )?an?\b(?! (?:few|lot|bunch|number)\b)", text.lower()):
        numbers = [Decimal(1)]
    passing = re.search(r"\b(?:moment|sec|second|minute)s?\b|(?:^|\s)[-−–]\s*\d", text.lower())
    if passing or len(numbers) != 1 or not 1 <= numbers[0] < 10**9 or numbers[0] % 1:
        raise InvalidValue("it takes a number, such as 2")
    return str(int(numbers[0]))


DATE_WORDS = (
    "yesterday today tonight last week month days ago morning afternoon evening before january february "
    "march april june july august september october november december monday tuesday wednesday thursday "
    "friday saturday sunday"
)
DATE_SPELLER = Speller([DATE_WORDS] * COMMON, frozenset())


def _date(text: str, today: date) -> str:
    try:
        found = read_date(text, today) or read_date(DATE_SPELLER.correct(text), today)
    except ValueError:
        raise InvalidValue("that day is not in the calendar") from None
    if found is None:
        raise InvalidValue("it takes a date, such as November 3 or last Friday")
    if found > today:
        raise InvalidValue("that date lies in the future")
    if found.year < today.year - 20:
        raise InvalidValue("that date lies too far back")
    return found.isoformat()


def _time(text: str) -> str:
    found = read_time(text)
    if found is None:
        raise InvalidValue("it takes a time, such as 3 pm or 14:30")
    return found


def _person_name(text: str) -> str:
    bare = FILLERS.sub("", text).strip()
    bare = FILLERS.sub("", bare).strip()
    if (
        NO_NAME.search(bare)
        or not re.fullmatch(r"[^\W\d_][^\d_@#$%^*<>{}\[\]\\/|?!;:=+]{0,79}", bare)
        or len(bare.split()) > 6
    ):
        raise InvalidValue("it takes a name in letters")
    return " ".join(
        part if any(c.isupper() for c in part[1:]) else part.capitalize() for part in bare.split()
    )


def _address(text: str) -> str:
    bare = re.sub(r"\s+", " ", FILLERS.sub("", text)).strip(" .")
    if len(bare) < 5 or len(bare) > 200 or not re.search(r"[^\W\d_]{2}", bare):
        raise InvalidValue("it takes street, number, city and ZIP code")
    return bare


def _text(text: str) -> str:
    return re.sub(r"\s+", " ", text)[:200]


def _choice(slot: Slot, text: str) -> str:
    value = _meant(slot.choices, text)
    if value is None:
        options = ", ".join(value.replace("_", " ") for value in slot.choices)
        raise InvalidValue(f"I can take one of these: {options}")
    return value


def only_option(slot: Slot, text: str) -> str | None:
    """The option of a choice that a text of other things names; None where it names none or several."""
    named = {value for _, value in _named(slot.choices, text)}
    return named.pop() if len(named) == 1 else None


def _meant(options: Mapping[str, tuple[str, ...]], text: str) -> str | None:
    """The option of which the longest word stands in the text."""
    hits = _named(options, text)
    return max(hits)[1] if hits else None


def _named(options: Mapping[str, tuple[str, ...]], text: str) -> list[tuple[int, str]]:
    """The options that stand in the text, each with the length of its word."""
    lowered = text.lower().replace("’", "'").replace("_", " ")
    return [
        (len(word), value)
        for value, words in options.items()
        for word in (*words, value.replace("_", " "))
        if re.search(rf"(?<!\w)(?<!not )(?<!n't ){re.escape(word.lower())}(?!\w)", lowered)
    ]


_PLAIN: dict[str, Callable[[str], str]] = {
    "card_number": _card_number,
    "account_number": _account_number,
    "ssn_last4": _ssn_last4,
    "amount": _amount,
    "count": _count,
    "time": _time,
    "person_name": _person_name,
    "address": _address,
    "text": _text,
}


def display(slot: Slot, value: str, currency: str) -> str:
    """A normalised value as it is shown to the customer; sensitive numbers keep their last four digits."""
    match slot.type:
        case "account_number" if value in slot.names:
            return f"“{value.replace('_', ' ')}”"
        case "card_number" | "account_number":
            return f"··{value[-4:]}"
        case "ssn_last4":
            return "····"
        case "amount":
            return f"{currency}{Decimal(value):,.2f}"
        case "date":
            found = date.fromisoformat(value)
            return f"{found:%B} {found.day}, {found.year}"
        case "choice":
            return value.replace("_", " ")
        case _:
            return value
