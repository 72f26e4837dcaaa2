"""Days and times of day, as people type them. Days lie in the past: "Friday" is the last one."""

import re
from datetime import date, timedelta
from decimal import Decimal

from nlu.numbers import TEENS, UNITS, read_numbers

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTH = (
    r"(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
DAY = r"(\d{1,2})(?!\d)(?:\s*(?:st|nd|rd|th)\b)?"
YEAR = r"(?:(?:,|of|\s|\.|/|-)*((?:19|20)\d\d|(?<=[-/])\d\d|'\d\d|last year)\b)?"
SMALL = {word: number for number, word in enumerate((*UNITS, *TEENS[:3]))}
CLOCK = re.compile(
    r"(?<![\d/.:-])(\d{1,2}?)(?:[:.h]?([0-5]\d))?(?![\d:/-])\s*(?:o'? ?clock)?\s*(a\.?m|p\.?m)?(?![a-z])"
)
UNSURE = re.compile(
    r"\b(?:and a half|half an? |before last|earlier this|don'?t|dont|not|never|no idea|forgot|can'?t)\b"
)


def read_date(text: str, today: date) -> date | None:
    """The day a text speaks of; None where it names none, or a month or a "few days" without a day.

    Numbers read month first, as in the US. A day to come is returned as such, if only as tomorrow.
    Raises ValueError for a day that no calendar has.
    """
    lowered = " ".join(text.lower().replace("’", "'").split())
    if UNSURE.search(lowered):
        return None
    for read in (_written_date, _relative_date, _day_of_month, _weekday):
        found = read(lowered, today)
        if found is not None:
            return found
    return None


def _written_date(text: str, today: date) -> date | None:
    """With a month: "Nov 3rd", "3 Nov 2026", "11/3", "2026-11-03", "110326"."""
    if match := re.search(r"\b((?:19|20)\d\d)[-/.](\d{1,2})[-/.](\d{1,2})\b", text):
        return date(int(match[1]), int(match[2]), int(match[3]))
    if match := re.search(rf"(?<![\d:.]){DAY}[\s-]*(?:of\s+)?{MONTH}{YEAR}", text):
        return _in_year(match[3], MONTHS.index(match[2][:3]) + 1, int(match[1]), today)
    if match := re.search(rf"\b{MONTH}[\s-]*(?:the\s+)?{DAY}{YEAR}", text):
        return _in_year(match[3], MONTHS.index(match[1][:3]) + 1, int(match[2]), today)
    match = re.search(r"(?<![\d/.-])(\d{1,2})[-/.](\d{1,2})(?:[-/.](\d{4}|\d\d))?(?![\d/-])", text)
    match = match or re.fullmatch(r"(\d\d)(\d\d)(\d{4}|\d\d)", text)
    if match is None:
        return None
    first, second = int(match[1]), int(match[2])
    month, day = (first, second) if first <= 12 else (second, first)
    return _in_year(match[3], month, day, today)


def _in_year(year: str | None, month: int, day: int, today: date) -> date:
    """Without a year, the latest such day that is not in the future."""
    if year == "last year":
        return date(today.year - 1, month, day)
    if year:
        number = int(year.lstrip("'"))
        return date(number if number > 99 else 2000 + number, month, day)
    leap = (month, day) == (2, 29)
    years = (y for y in range(today.year, today.year - 9, -1) if not leap or y % 4 == 0)
    return next(found for y in years if (found := date(y, month, day)) <= today)


def _relative_date(text: str, today: date) -> date | None:
    if re.search(r"\b(?:tomorrow|next|coming|from now)\b|^in \w+ (?:day|week|month)", text):
        return today + timedelta(days=1)
    if re.search(r"\bto(?:day|night)\b|\bthis (?:afternoon|noon|morning|evening)\b|\bjust now\b", text):
        return today
    if re.search(r"\b(?:hour|minute)s? ago\b|^(?:now|earlier)$", text):
        return today
    if re.search(r"\b(?:yesterday|last (?:night|evening))\b", text):
        return today - timedelta(days=2 if "before yesterday" in text else 1)
    if match := re.search(r"((?:[\w-]+ ){0,4})(day|week|month|year)s? (?:ago|back|before|earlier)\b", text):
        return _back(match[2], match[1].split(), today)
    if match := re.fullmatch(r"(?:in |the )*(?:last|past|previous) (week|month|year)", text):
        return _back(match[1], [], today)
    return None


def _back(unit: str, count: list[str], today: date) -> date | None:
    """`count` units before today; None where it is a "few"."""
    number: Decimal | str = Decimal(1)
    if count and count[-1] not in ("a", "an", "the"):
        number = (read_numbers(" ".join(count)) or [""])[-1]
    if isinstance(number, str) or number % 1:
        return None
    steps = int(min(number, Decimal(9999)))
    if unit in ("day", "week"):
        return today - timedelta(days=steps * (7 if unit == "week" else 1))
    months = 12 * today.year + today.month - 1 - steps * (12 if unit == "year" else 1)
    for day in (today.day, 30, 29):  # a month ago on the 31st is the 30th
        try:
            return date(months // 12, months % 12 + 1, day)
        except ValueError:
            continue
    return date(months // 12, months % 12 + 1, 28)


def _day_of_month(text: str, today: date) -> date | None:
    """ "the 5th": the latest one that is not in the future."""
    match = re.search(r"(?<![\d/.])(\d{1,2})\s*(?:st|nd|rd|th)\b", text)
    match = match or re.fullmatch(r"(?:on |the )*(\d{1,2})", text)
    if match is None:
        return None
    day = int(match[1])
    if not 1 <= day <= 31:
        raise ValueError(f"no month has a day {day}")
    if re.search(r"\bthis month\b", text):
        return today.replace(day=day)
    last = today.replace(day=1) - timedelta(days=1)
    if re.search(r"\b(?:last|previous|past) month\b", text):
        return last.replace(day=day)
    found = today
    while found.day != day:
        found -= timedelta(days=1)
    return found


def _weekday(text: str, today: date) -> date | None:
    match = re.search(r"\b(mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?\b", text)
    if match is None:
        return None
    weekday = WEEKDAYS.index(match[1][:3])
    if re.search(r"\b(?:last|previous) week\b|\bweek before\b", text):
        return today - timedelta(days=today.weekday() + 7 - weekday)
    return today - timedelta(days=(today.weekday() - weekday - 1) % 7 + 1)


def read_time(text: str) -> str | None:
    """HH:MM; an hour without a part of the day is one of the morning. None where the text names no time."""
    lowered = " ".join(text.lower().replace("’", "'").split())
    for word, number in SMALL.items():
        if len(word) > 2:
            lowered = re.sub(rf"\b{word}\b", str(number), lowered)
    for words, minutes in (("fifteen", "15"), ("thirty", "30"), ("forty[- ]5", "45")):
        lowered = re.sub(rf"(\d) {words}\b", rf"\1:{minutes}", lowered)
    if re.search(r"\b(?:noon|noonish|midday)\b", lowered):
        return "12:00"
    if "midnight" in lowered:
        return "00:00"
    lowered = re.sub(r"\bhalf past (\d{1,2})\b", r"\1:30", lowered)
    lowered = re.sub(r"\bquarter (?:past|after) (\d{1,2})\b", r"\1:15", lowered)
    lowered = re.sub(
        r"\bquarter (?:to|of|till) (\d{1,2})\b", lambda m: f"{(int(m[1]) - 1) % 12 or 12}:45", lowered
    )
    matches = list(CLOCK.finditer(lowered))
    match = next((m for m in matches if m[2] or m[3]), matches[0] if matches else None)
    if match is None or int(match[1]) > 23 or re.search(r"\d (?:to|past|of|till) \d", lowered):
        return None
    hour, half = int(match[1]), (match[3] or "")[:1]
    if not half and re.search(r"afternoon|evening|night", lowered):
        half = "a" if "night" in lowered and (hour < 5 or hour == 12) else "p"
    if half == "p" and hour < 12:
        hour += 12
    elif half == "a" and hour == 12:
        hour = 0
    return f"{hour:02d}:{match[2] or '00'}"
