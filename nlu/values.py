"""From what a customer typed to a value that a business system takes."""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal

import dateparser

from domains.schema import Slot

UNITS = (
    *(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NUMBER_WORDS = {
    **{word: n for n, word in enumerate(UNITS)},
    **{word: 10 * n for n, word in enumerate(TENS, 2)},
    "a": 1, "an": 1, "couple": 2, "few": 3,
}
SCALES = {"hundred": 100, "thousand": 1000, "grand": 1000, "million": 1_000_000}
FILLERS = re.compile(
    r"^(?:it'?s|it is|its|my name is|i am|i'm|im|this is|on|at|around|about|the|is|for|name)\b[:\s]*", re.I
)
MONTHS = r"jan\w*|feb\w*|mar\w*|apr\w*|may|june?|july?|aug\w*|sep\w*|oct\w*|nov\w*|dec\w*"


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
    if slot.type == "date":
        return _date(cleaned, today or date.today())
    return _PLAIN[slot.type](cleaned)


def luhn_valid(digits: str) -> bool:
    """The check of ISO/IEC 7812-1, annex B, over a string of digits."""
    doubled = [int(d) * (2 if i % 2 else 1) for i, d in enumerate(reversed(digits))]
    return sum(d // 10 + d % 10 for d in doubled) % 10 == 0


def _digits(text: str) -> str:
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


def _words_to_number(text: str) -> int | None:
    """ "five hundred and twenty" → 520; None where a word is no number word."""
    total, current, seen = 0, 0, False
    for word in re.findall(r"[a-z]+", text):
        if word in NUMBER_WORDS:
            current += NUMBER_WORDS[word]
        elif word in SCALES:
            current = max(current, 1) * SCALES[word]
            if SCALES[word] >= 1000:
                total, current = total + current, 0
        elif word in {"and", "of", "dollars", "dollar", "bucks", "usd", "us"}:
            continue
        else:
            return None
        seen = True
    return total + current if seen else None


def _amount(text: str) -> str:
    lowered = text.lower().replace("usd", "").strip()
    if re.search(r"-\s*\$?\s*\d", lowered):
        raise InvalidValue("an amount cannot be negative")
    match = re.search(
        r"(\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d+(?:\.\d+)?)\s*(k\b|thousand|grand|hundred|million|m\b)?",
        lowered,
    )
    if match:
        scale = {"k": 1000, "m": 1_000_000, **SCALES}.get(match.group(2) or "", 1)
        amount = Decimal(match.group(1).replace(",", "")) * scale
    else:
        spelled = _words_to_number(lowered)
        if spelled is None:
            raise InvalidValue("an amount is a number, such as $250 or 19.99")
        amount = Decimal(spelled)
    if amount <= 0:
        raise InvalidValue("an amount has to be more than zero")
    if amount != amount.quantize(Decimal("0.01")):
        raise InvalidValue("an amount has at most two decimals")
    if amount > 10_000_000:
        raise InvalidValue("that amount is larger than anything I can handle")
    return str(amount.quantize(Decimal("0.01")))


def _count(text: str) -> str:
    match = re.search(r"\d+", text)
    number = int(match.group()[:9]) if match else _first_number_word(text.lower())
    if number is None or number < 1:
        raise InvalidValue("it takes a number, such as 2")
    return str(number)


def _first_number_word(text: str) -> int | None:
    if "a couple" in text or "pair" in text:
        return 2
    found = [NUMBER_WORDS[w] for w in re.findall(r"[a-z]+", text) if w in NUMBER_WORDS]
    return found[0] if found else None


def _date(text: str, today: date) -> str:
    """Dates lie in the past: "Friday" is the last one. Numbers read month first, as in the US."""
    lowered = re.sub(r"\s+", " ", text.lower()).strip()
    compact = re.fullmatch(r"(\d{2})(\d{2})(\d{2}|\d{4})", lowered)
    if compact:
        first, second, year = (int(part) for part in compact.groups())
        month, day = (first, second) if first <= 12 else (second, first)
        return _past(_make_date(year if year > 99 else 2000 + year, month, day), today)
    lowered = re.sub(r"(\d)\s*(?:st|nd|rd|th)\b(?: of)?", r"\1", lowered)
    if re.search(
        r"\b(?:to(?:day|night)|this (?:\w+noon|morning|evening)|now|earlier|(?:hour|minute)s? ago)\b", lowered
    ):
        return today.isoformat()
    if re.search(r"\b(?:yesterday|last (?:night|evening))\b", lowered):
        days = 2 if "before yesterday" in lowered else 1
        return (today - timedelta(days=days)).isoformat()
    lowered = re.sub(r"\b(?:last|this|past|previous|on|the|in|of)\b", " ", lowered)
    lowered = re.sub(r"\b(?:a|one) (day|week|month)\b", r"1 \1", lowered)
    lowered = re.sub(r"\b(?:a )?couple (days|weeks|months)\b", r"2 \1", re.sub(r"\s+", " ", lowered).strip())
    spelled = re.match(r"([a-z]+) (days?|weeks?|months?)\b", lowered)
    if spelled and spelled.group(1) in NUMBER_WORDS:
        lowered = lowered.replace(spelled.group(1), str(NUMBER_WORDS[spelled.group(1)]), 1)
    if lowered in {"week", "month", "year"}:
        lowered = f"1 {lowered} ago"
    if not re.search(rf"\d|day\b|{MONTHS}|mon|tue|wed|thu|fri|sat|sun", lowered):
        raise InvalidValue("it takes a date, such as November 3 or last Friday")
    parsed = dateparser.parse(
        lowered,
        languages=["en"],
        settings={
            "RELATIVE_BASE": datetime(today.year, today.month, today.day),
            "PREFER_DATES_FROM": "past",
            "DATE_ORDER": "MDY",
            "PREFER_DAY_OF_MONTH": "first",
        },
    )
    if parsed is None:
        raise InvalidValue("it takes a date, such as November 3 or last Friday")
    return _past(parsed.date(), today)


def _make_date(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise InvalidValue("that day is not in the calendar") from None


def _past(found: date, today: date) -> str:
    if found > today:
        raise InvalidValue("that date lies in the future")
    if found.year < today.year - 20:
        raise InvalidValue("that date lies too far back")
    return found.isoformat()


def _time(text: str) -> str:
    lowered = text.lower().strip()
    for word, value in (("noon", "12:00"), ("midday", "12:00"), ("midnight", "00:00")):
        if word in lowered:
            return value
    match = re.search(r"(\d{1,2})(?:[:.h]?(\d{2}))?\s*(a\.?m|p\.?m)?", lowered)
    if match is None:
        raise InvalidValue("it takes a time, such as 3 pm or 14:30")
    hour, minute, half = (
        int(match.group(1)),
        int(match.group(2) or 0),
        (match.group(3) or "").replace(".", ""),
    )
    if half == "pm" and hour < 12:
        hour += 12
    elif half == "am" and hour == 12:
        hour = 0
    if hour > 23 or minute > 59:
        raise InvalidValue("it takes a time, such as 3 pm or 14:30")
    return f"{hour:02d}:{minute:02d}"


def _person_name(text: str) -> str:
    bare = FILLERS.sub("", text).strip()
    bare = FILLERS.sub("", bare).strip()
    if not re.fullmatch(r"[^\W\d_][^\d_@#$%^*<>{}\[\]\\/|?!;:=+]{0,79}", bare) or len(bare.split()) > 6:
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
    lowered = text.lower().replace("’", "'")
    hits = [
        (len(word), value)
        for value, words in slot.choices.items()
        for word in (*words, value.replace("_", " "))
        if re.search(rf"(?<!\w){re.escape(word.lower())}(?!\w)", lowered)
    ]
    if not hits:
        options = ", ".join(value.replace("_", " ") for value in slot.choices)
        raise InvalidValue(f"I can take one of these: {options}")
    return max(hits)[1]


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
