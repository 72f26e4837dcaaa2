"""Hiding what identifies a person in text for logs and exports."""

import logging
import re
from collections.abc import Mapping
from typing import Any

GAP = "[ .\u00a0\u2010-\u2013-]"
"""What people put between groups of digits."""

CARD_LENGTHS = range(13, 20)

OWN_ID = re.compile(r"(\b(?=[0-9-]{0,35}[a-f])[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b)")
"""Ids of conversations and the like, whose chance runs of digits mean nothing."""

DOT = r"(?:\.| ?[(\[] ?dot ?[)\]] ?| dot )"
EMAIL = re.compile(
    rf"(?i)(?<![\w.+%-])[\w.+%-]+(?: ?@ ?| ?[(\[] ?at ?[)\]] ?)[\w-]+(?:{DOT}[\w-]+)+"
    r"|(?<![\w.+%-])[\w.+%-]+ at [\w-]+(?: dot [\w-]+)+"
)
SSN = re.compile(r"(?<![\d·])(?:\d{3}|[x*#•]{3}) ?[ ./_–-] ?(?:\d{2}|[x*#•]{2}) ?[ ./_–-] ?\d{4}(?!\d)", re.I)
SSN_WORD = r"(?:ssn|ss ?#|ss number|soc(?:ial)?(?: sec(?:urity)?)?)"
SSN_NAMED = re.compile(
    rf"(?i)\b({SSN_WORD})\b([^\d\n·]{{0,40}}(?:4[^\d\n·]{{2,20}})?)(?:\d{{9}}|\d{{4}})(?!\d)"
)
SSN_NAMED_AFTER = re.compile(
    r"(?i)(?<![\d·.,$-])\d{4}((?: [a-z']+){0,6}? (?:ssn|ss number|social security)\b)"
)
LONG_NUMBER = re.compile(rf"(?<![\d·])\d(?:{GAP}{{0,3}}\d){{12,}}")
CARD_GROUPS = re.compile(r"(?<![\d·])\d{4}(?:\s?[/_,|:*]\s?\d{4}){3}(?!\d)")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")
TELEPHONE = re.compile(
    rf"(?<![\w+·])(?:\+\d(?:[ ().-]{{0,2}}\d){{7,14}}"
    rf"|(?:\+?1{GAP})?(?:\(\d{{3}}\) ?-? ?|\d{{3}}(?:{GAP}|/))\d{{3}}{GAP}?\d{{4}}|\d{{3}}-\d{{4}}"
    rf"|0\d{{2,4}}(?:{GAP}\d{{3,6}}){{1,2}})(?!\d)"
)
DAY = r"(?:\d{4}-\d\d?-\d\d?|\d\d?-\d\d?-\d{4})\b"
NUMBER_NAMED = re.compile(
    r"(?i)\b(account|acct|acc|a/c|card|routing|phone|mobile|cell)\b([^\d\n·$]{0,25})"
    rf"(?!{DAY})\d(?:[ -]?\d){{5,}}"
)
SPACED = re.compile(r"(?<![\d·.,])\d(?:[ .-]\d){6,}(?![\d.,])")
"""Digits one by one."""
SPELT = re.compile(
    r"(?i)\b(?:(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple)(?:[\s,.-]+|\b)){7,}"
)
NINE = re.compile(r"(?<![\d·])\d{9}(?!\d)")
"""May be a social security number, whose last four digits must not stay."""
PLAIN_DAY = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])20\d\d|(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])20\d\d"
DIGITS = re.compile(rf"(?<![\d·])(?!(?:{PLAIN_DAY})(?!\d))\d{{8,}}(?!\d)")

TWICE = re.compile(r"(?i)\b(card|account) \1 (?=··)")
"""What the customer had named already."""


def mask(text: str) -> str:
    """`text` without card, account, social security and telephone numbers and e-mail addresses.

    Of a long number the last four digits stay, so that a person can find it again; not so of a social
    security number, whose last four digits prove an identity.
    """
    parts = OWN_ID.split(text)
    parts[::2] = [_mask(part) for part in parts[::2]]
    return "".join(parts)


def _mask(text: str) -> str:
    text = EMAIL.sub("e-mail ··", text)
    text = SSN.sub("SSN ··", text)
    text = SSN_NAMED.sub(r"\1\2··", text)
    text = SSN_NAMED_AFTER.sub(r"··\1", text)
    text = IBAN.sub(lambda match: "account " + _last_four(match[0]), text)
    text = CARD_GROUPS.sub(lambda match: _card_or_as_is(match[0]), text)
    text = LONG_NUMBER.sub(lambda match: _mask_number(match[0]), text)
    text = TELEPHONE.sub(lambda match: _last_four(match[0]), text)
    text = NUMBER_NAMED.sub(lambda match: match[1] + match[2] + _last_four(match[0]), text)
    text = SPACED.sub(lambda match: _last_four(match[0]), text)
    text = SPELT.sub("number ·· ", text)
    text = NINE.sub("··", text)
    text = DIGITS.sub(lambda match: _last_four(match[0]), text)
    return TWICE.sub(r"\1 ", text)


def _card_or_as_is(groups: str) -> str:
    return f"card {_last_four(groups)}" if _is_card(re.sub(r"\D", "", groups)) else groups


def _mask_number(number: str) -> str:
    """Card numbers among the groups of `number`; the groups between them, where long, as one number."""
    pieces = re.findall(r"\d+|\D+", number)
    masked, at, other = "", 0, ""
    while at < len(pieces):
        end = _card_end(pieces, at)
        if end is None:
            other += pieces[at]
            at += 1
        else:
            masked += _mask_other(other) + "card " + _last_four("".join(pieces[at:end]))
            at, other = end, ""
    return masked + _mask_other(other)


def _card_end(pieces: list[str], start: int) -> int | None:
    """Where the longest card number that begins at `start` ends."""
    digits, end = "", None
    if not pieces[start].isdigit():
        return None
    for at in range(start, len(pieces), 2):
        digits += pieces[at]
        if len(digits) > CARD_LENGTHS[-1]:
            break
        if _is_card(digits):
            end = at + 1
    return end


def _mask_other(number: str) -> str:
    return _last_four(number) if sum(map(str.isdigit, number)) >= CARD_LENGTHS[0] else number


def _last_four(number: str) -> str:
    return "··" + re.sub(r"\D", "", number)[-4:]


def _is_card(digits: str) -> bool:
    """Length and Luhn's check digit."""
    if len(digits) not in CARD_LENGTHS:
        return False
    doubled = (2 * int(digit) for digit in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(value // 10 + value % 10 for value in doubled)) % 10 == 0


class MaskingFilter(logging.Filter):
    """Masks records. Add it to handlers: a logger's own filters do not see its children's records."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str):
            record.msg = mask(record.msg)
        # Arguments stay apart where they can be: uvicorn's formatter reads them.
        if isinstance(record.args, Mapping):
            record.args = {name: _mask_argument(value) for name, value in record.args.items()}
        elif record.args:
            record.args = tuple(_mask_argument(value) for value in record.args)
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):  # arguments that do not fit: the handler reports it
            return True
        if message != mask(message):
            record.msg, record.args = mask(message), None
        if record.exc_info:
            record.exc_text = mask(record.exc_text or logging.Formatter().formatException(record.exc_info))
        return True


def _mask_argument(value: Any) -> Any:
    """Numbers stay, as %d needs them; the whole message is looked at again."""
    if isinstance(value, int | float):
        return value
    text = str(value)
    masked = mask(text)
    return value if masked == text else masked
