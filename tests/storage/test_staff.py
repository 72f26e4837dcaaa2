"""Accounts, sign-in and sessions of staff."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select, update

from storage import throttle
from storage.audit import entries
from storage.database import transaction
from storage.desk_tables import StaffRow, StaffSessionRow, ThrottleRow
from storage.staff import (
    SignInRefused,
    StaffError,
    TooManyTries,
    add_staff,
    change_password,
    deactivate,
    list_staff,
    sign_in,
    sign_out,
    signed_in,
)

PASSWORD = "correct horse battery staple"
HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture(autouse=True)
def ana(engine: Engine) -> None:
    add_staff(engine, " Ana ", "Ana  Lindqvist", "supervisor", PASSWORD, "test")


def guess(engine: Engine, account: str = "ana", address: str = HERE, password: str = "wrong") -> type:
    try:
        sign_in(engine, account, password, address)
    except SignInRefused as refused:
        return type(refused)
    return str


def test_that_who_signs_in_is_known_by_the_token_until_signing_out(engine: Engine) -> None:
    token = sign_in(engine, "ANA", PASSWORD, HERE)
    staff = signed_in(engine, token)
    assert staff is not None
    assert (staff.account, staff.name, staff.role) == ("ana", "Ana Lindqvist", "supervisor")
    assert signed_in(engine, None) is signed_in(engine, "") is signed_in(engine, token[:-1]) is None
    sign_out(engine, token)
    assert signed_in(engine, token) is None


def test_that_neither_passwords_nor_tokens_stand_in_the_database(engine: Engine) -> None:
    token = sign_in(engine, "ana", PASSWORD, HERE)
    with transaction(engine) as session:
        password = session.scalars(select(StaffRow.password)).one()
        stored = session.scalars(select(StaffSessionRow.token_hash)).one()
    assert password.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert PASSWORD not in password
    assert token not in stored


def test_that_sessions_end_by_themselves(engine: Engine) -> None:
    token = sign_in(engine, "ana", PASSWORD, HERE)
    with transaction(engine, write=True) as session:
        session.execute(update(StaffSessionRow).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert signed_in(engine, token) is None


def test_that_a_deactivated_account_is_out_at_once_and_a_new_password_lets_it_in(engine: Engine) -> None:
    token = sign_in(engine, "ana", PASSWORD, HERE)
    deactivate(engine, "ana", "test")
    assert signed_in(engine, token) is None
    assert guess(engine, password=PASSWORD) is SignInRefused
    change_password(engine, "ana", "another long password", "test")
    assert guess(engine, password=PASSWORD) is SignInRefused
    assert guess(engine, password="another long password") is str


def test_that_a_new_password_ends_all_sessions(engine: Engine) -> None:
    token = sign_in(engine, "ana", PASSWORD, HERE)
    change_password(engine, "ana", PASSWORD, "test")
    assert signed_in(engine, token) is None


def test_that_guessing_is_stopped_even_for_the_right_password_but_not_for_colleagues(engine: Engine) -> None:
    add_staff(engine, "ben", "Ben", "agent", PASSWORD, "test")
    tries = [guess(engine) for _ in range(throttle.FROM_ONE_ADDRESS_FOR_ONE_ACCOUNT + 1)]
    assert tries == [SignInRefused] * throttle.FROM_ONE_ADDRESS_FOR_ONE_ACCOUNT + [TooManyTries]
    assert guess(engine, password=PASSWORD) is TooManyTries
    assert guess(engine, "ben", password=PASSWORD) is str
    assert guess(engine, "ana", ELSEWHERE, PASSWORD) is str


def test_that_one_address_cannot_try_many_accounts(engine: Engine) -> None:
    tries = [guess(engine, f"account{number}") for number in range(throttle.FROM_ONE_ADDRESS + 1)]
    assert tries == [SignInRefused] * throttle.FROM_ONE_ADDRESS + [TooManyTries]


def test_that_many_addresses_cannot_try_one_account(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "FOR_ONE_ACCOUNT", 6)
    tries = [guess(engine, address=f"192.0.2.{number}") for number in range(7)]
    assert tries == [SignInRefused] * 6 + [TooManyTries]


def test_that_guesses_at_the_same_time_are_all_counted(engine: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        tries = list(pool.map(lambda _: guess(engine), range(16)))
    assert tries.count(SignInRefused) == throttle.FROM_ONE_ADDRESS_FOR_ONE_ACCOUNT


def test_that_a_quarter_of_an_hour_later_one_may_try_again(engine: Engine) -> None:
    for _ in range(throttle.FROM_ONE_ADDRESS_FOR_ONE_ACCOUNT + 1):
        guess(engine)
    with transaction(engine, write=True) as session:
        session.execute(update(ThrottleRow).values(since=datetime.now(UTC) - throttle.WINDOW * 1.01))
    assert guess(engine, password=PASSWORD) is str


def test_that_a_sign_in_forgives_ones_own_mistakes(engine: Engine) -> None:
    for _ in range(3 * throttle.FROM_ONE_ADDRESS_FOR_ONE_ACCOUNT):
        guess(engine)
        assert guess(engine, password=PASSWORD) is str


@pytest.mark.parametrize(
    ("account", "name", "password", "fault"),
    [
        ("ana", "Another Ana", PASSWORD, "already"),
        ("", "Nobody", PASSWORD, "up to 64"),
        ("a b", "A B", PASSWORD, "up to 64"),
        ("x' OR 1=1 --", "X", PASSWORD, "up to 64"),
        ("cleo", "  ", PASSWORD, "1 to 80"),
        ("cleo", "Cleo", "short", "12 to 200"),
        ("cleo", "Cleo", "x" * 201, "12 to 200"),
    ],
)
def test_that_an_account_that_makes_no_sense_is_refused(
    engine: Engine, account: str, name: str, password: str, fault: str
) -> None:
    with pytest.raises(StaffError, match=fault):
        add_staff(engine, account, name, "agent", password, "test")
    assert [staff.account for staff in list_staff(engine)] == ["ana"]


@pytest.mark.parametrize("text", ["' OR 1=1 --", "\x00", "ана", "𝔞" * 1000, "\ud800"])
def test_that_odd_input_signs_nobody_in(engine: Engine, text: str) -> None:
    assert guess(engine, text.replace("\ud800", "?"), HERE, text) is SignInRefused
    assert signed_in(engine, text) is None


def test_that_accounts_are_in_the_audit(engine: Engine) -> None:
    sign_in(engine, "ana", PASSWORD, HERE)
    deactivate(engine, "ana", "root")
    found = [(one.actor, one.action, one.object) for one in entries(engine)]
    assert found == [
        ("test", "staff.add", "staff ana"),
        ("staff ana", "staff.sign_in", "staff ana"),
        ("root", "staff.deactivate", "staff ana"),
    ]
