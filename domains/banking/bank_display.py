"""How a fact is worded to the customer; numbers of accounts and cards show their last four digits."""

from collections.abc import Sequence
from datetime import date

from domains.banking.bank_tables import Account


def money(cents: int) -> str:
    return f"${cents // 100:,}.{cents % 100:02d}"


def day(value: date) -> str:
    return f"{value:%B} {value.day}, {value.year}"


def account_name(account: Account) -> str:
    return masked(kind_name(account.kind), account.number)


def kind_name(kind: str) -> str:
    return kind.replace("_", " ")


def masked(noun: str, number: str) -> str:
    return f"{noun} ··{number[-4:]}"


def listing(items: Sequence[str]) -> str:
    *rest, last = items
    return f"{', '.join(rest)} and {last}" if rest else last
