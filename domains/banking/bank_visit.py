"""One request at the counter: what was asked, by whom, and what nearly every task looks up."""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property

from sqlalchemy.orm import Session

from domains.backend import CUSTOMER_ID
from domains.banking.bank_tables import Account, Card, Customer, Transaction

KINDS = ("checking", "savings", "money_market")
"""Kinds of accounts, by which customers may call them, too."""


def make_reference(prefix: str, key: str) -> str:
    """Such as TR-4F7K2Q; the same key always gives the same one."""
    digest = base64.b32encode(hashlib.sha256(key.encode()).digest()).decode()
    return f"{prefix}-{digest[:6]}"


def fits(number: str, given: str) -> bool:
    """Whether `given` is `number` or its last four digits."""
    return given == number or (len(given) == 4 and number.endswith(given))


@dataclass(frozen=True)
class Visit:
    """One request inside one database transaction. What the bot must not send raises ValueError."""

    session: Session
    slots: Mapping[str, str]
    key: str
    now: datetime

    @property
    def today(self) -> date:
        return self.now.date()

    @cached_property
    def customer(self) -> Customer:
        identity = self.slots.get(CUSTOMER_ID, "")
        customer = self.session.get(Customer, int(identity)) if identity.isdecimal() else None
        if customer is None:
            raise ValueError(f"slot '{CUSTOMER_ID}' names no customer: '{identity}'")
        return customer

    def required(self, slot: str) -> str:
        value = self.slots.get(slot, "").strip()
        if not value:
            raise ValueError(f"slot '{slot}' is missing")
        return value

    def choice(self, slot: str, values: Mapping[str, object]) -> str:
        value = self.required(slot)
        if value not in values:
            raise ValueError(f"slot '{slot}' is '{value}', not one of {', '.join(values)}")
        return value

    def count(self, slot: str) -> int:
        count = int(self.required(slot))
        if count < 1:
            raise ValueError(f"slot '{slot}' is below 1: {count}")
        return count

    def cents(self, slot: str) -> int:
        amount = self.required(slot)
        if not re.fullmatch(r"[0-9]+(\.[0-9]{1,2})?", amount) or not (cents := int(Decimal(amount) * 100)):
            raise ValueError(f"slot '{slot}' is no amount above zero: '{amount}'")
        return cents

    def date(self, slot: str) -> date:
        return date.fromisoformat(self.required(slot))

    def reference(self, prefix: str) -> str:
        return make_reference(prefix, self.key)

    def account(self, given: str) -> Account | None:
        """The customer's own account of that number, open or closed; of a kind the one that is open."""
        if given in KINDS:
            named = [account for account in self.open_accounts if account.kind == given]
            return named[0] if len(named) == 1 else None
        return next((account for account in self.customer.accounts if fits(account.number, given)), None)

    def card(self, given: str) -> Card | None:
        return next((card for card in self.customer.cards if fits(card.number, given)), None)

    @property
    def open_accounts(self) -> list[Account]:
        return [account for account in self.customer.accounts if account.closed_at is None]

    @property
    def checking(self) -> Account | None:
        """The account that pays where the customer names none."""
        return next((account for account in self.open_accounts if account.kind == "checking"), None)

    def book(self, account: Account, cents: int, description: str) -> None:
        """Put `cents` on the account, or take them off where negative, with a line on its statement."""
        account.balance_cents += cents
        line = Transaction(account=account, at=self.now, amount_cents=cents, description=description)
        self.session.add(line)
