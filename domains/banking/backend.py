"""The demo bank: every task of domain.yaml on accounts, cards and transactions in SQL."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateSchema

from domains.backend import ActionResult, BackendError, Holding, Withdrawn
from domains.banking import bank_seed
from domains.banking.bank_accounts import (
    check_balance,
    close_account,
    get_routing_number,
    open_account,
    order_checks,
    transfer_money,
)
from domains.banking.bank_cards import dispute_charge, replace_card, report_lost_card
from domains.banking.bank_customers import check_offer_eligibility, update_address, verify_identity
from domains.banking.bank_display import kind_name
from domains.banking.bank_tables import SCHEMA, Account, Customer, Request, Table, open_engine
from domains.banking.bank_visit import Visit

TASKS: Mapping[str, Callable[[Visit], ActionResult]] = {
    "verify_identity": verify_identity,
    "report_lost_card": report_lost_card,
    "replace_card": replace_card,
    "check_balance": check_balance,
    "transfer_money": transfer_money,
    "dispute_charge": dispute_charge,
    "update_address": update_address,
    "order_checks": order_checks,
    "get_routing_number": get_routing_number,
    "close_account": close_account,
    "check_offer_eligibility": check_offer_eligibility,
    "open_account": open_account,
}

WITHDRAWN = "withdrawn"
"""Stands in the place of an outcome where a request came to nothing."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class DemoBank:
    """Harbor Trust Bank on one database; safe to use from several threads and processes."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock

    def execute(self, task: str, slots: Mapping[str, str], idempotency_key: str) -> ActionResult:
        """Carry out `task` once for each `idempotency_key`.

        Raises BackendError when the database is out of reach, and ValueError for what the bot must
        not send: an unknown task, a missing or malformed slot, no customer where the task needs
        one, or a key that was used for another task; Withdrawn for a key that was withdrawn.
        """
        if task not in TASKS:
            raise ValueError(f"unknown task '{task}'")
        if not idempotency_key:
            raise ValueError("the idempotency key is empty")
        with _database_trouble(), Session(self._engine) as session, session.begin():
            earlier = session.get(Request, idempotency_key)
            if earlier is not None:
                if earlier.outcome == WITHDRAWN:
                    raise Withdrawn(f"key '{idempotency_key}' was withdrawn")
                if earlier.task != task:
                    raise ValueError(f"key '{idempotency_key}' was used for {earlier.task}, not for {task}")
                return ActionResult(earlier.outcome, earlier.facts)
            now = self._clock()
            result = TASKS[task](Visit(session, slots, idempotency_key, now))
            session.add(_request(idempotency_key, task, result, now))
            return result

    def withdraw(self, idempotency_key: str) -> ActionResult | None:
        """The result of the request with that key; or None, and it is never carried out.

        Raises BackendError when the database is out of reach.
        """
        with _database_trouble(), Session(self._engine) as session, session.begin():
            earlier = session.get(Request, idempotency_key)
            if earlier is None:
                session.add(_request(idempotency_key, "", ActionResult(WITHDRAWN), self._clock()))
                return None
            return None if earlier.outcome == WITHDRAWN else ActionResult(earlier.outcome, earlier.facts)

    def find_customer(self, portal_id: str) -> str | None:
        """The portal calls customers H-1, H-2, and so on, by their number in the bank."""
        number = portal_id.removeprefix("H-")
        if number == portal_id or not number.isdecimal() or len(number) > 9:
            return None
        with _database_trouble(), Session(self._engine) as session:
            return None if session.get(Customer, int(number)) is None else str(int(number))

    def holdings(self, customer_id: str) -> Mapping[str, Sequence[Holding]]:
        """The cards, blocked ones too, and the open accounts, each by its last four digits."""
        with _database_trouble(), Session(self._engine) as session:
            customer = session.get_one(Customer, int(customer_id))
            cards = [("card", card.number) for card in customer.cards]
            accounts = [(kind_name(a.kind), a.number) for a in customer.accounts if a.closed_at is None]
        return {
            slot: [
                Holding(number[-4:], f"{noun.capitalize()} ending in {number[-4:]}") for noun, number in own
            ]
            for slot, own in (("card_number", cards), ("account_number", accounts))
        }

    def balance(self, account_number: str) -> int:
        """Of any account, in cents."""
        with _database_trouble(), Session(self._engine) as session:
            return session.scalars(
                select(Account.balance_cents).where(Account.number == account_number)
            ).one()

    def close(self) -> None:
        self._engine.dispose()


def _request(key: str, task: str, result: ActionResult, now: datetime) -> Request:
    return Request(
        idempotency_key=key,
        task=task,
        outcome=result.outcome,
        facts=dict(result.facts),
        created_at=now,
    )


def open_backend(database_url: str, clock: Callable[[], datetime] = utc_now) -> DemoBank:
    """The bank on `database_url`, with its tables made and its fictional customers put in if missing.

    Raises BackendError when the database is out of reach.
    """
    engine = open_engine(database_url)
    with _database_trouble(), Session(engine) as session, session.begin():
        if engine.dialect.name == "postgresql":
            session.execute(CreateSchema(SCHEMA, if_not_exists=True))
        Table.metadata.create_all(session.connection())
        if session.scalar(select(Customer.id).limit(1)) is None:
            bank_seed.fill(session, clock().date())
    return DemoBank(engine, clock)


@contextmanager
def _database_trouble() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeout) as error:
        raise BackendError("the bank's database is out of reach") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise BackendError("the connection to the bank's database was lost") from error
        raise
