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

EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
SSN = re.compile(r"(?<![\d·])\d{3}[ -]\d{2}[ -]\d{4}(?!\d)")
SSN_NAMED = re.compile(r"(?i)\b(ssn|social security|social)\b([^\d\n·]{0,30})(?:\d{9}|\d{4})(?!\d)")
LONG_NUMBER = re.compile(rf"(?<![\d·])\d(?:{GAP}?\d){{12,}}")
TELEPHONE = re.compile(
    rf"(?<![\w+·])(?:\+\d(?:[ ().-]{{0,2}}\d){{7,14}}"
    rf"|(?:\+?1{GAP})?(?:\(\d{{3}}\) ?|\d{{3}}{GAP})\d{{3}}{GAP}?\d{{4}}|\d{{3}}-\d{{4}})(?!\d)"
)
DIGITS = re.compile(r"(?<![\d·])\d{8,}(?!\d)")


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
    text = LONG_NUMBER.sub(lambda match: _mask_number(match[0]), text)
    text = TELEPHONE.sub(lambda match: _last_four(match[0]), text)
    return DIGITS.sub(lambda match: _last_four(match[0]), text)


def _mask_number(number: str) -> str:
    """Card numbers among the groups of `number`; the groups between them, where long, as one number."""
    pieces = re.findall(r"\d+|\D", number)
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
