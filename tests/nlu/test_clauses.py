"""Which of two wishes comes first, and whether there are two."""

import pytest

from domains.schema import Pack
from nlu.clauses import arranged, clauses, may_be_two
from nlu.understanding import IntentScore, Understanding

BALANCE, CHECKS = "check_balance", "order_checks"


def heard(wishes: tuple[str, ...] = (), **shares: float) -> Understanding:
    ranked = sorted(shares, key=lambda name: -shares[name])
    return Understanding("", tuple(IntentScore(name, shares[name]) for name in ranked), wishes, (), 0.0)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("my balance and also order checks", ["my balance", "order checks"]),
        ("I lost my card. Please send a new one!", ["I lost my card.", "Please send a new one!"]),
        ("send $50 to 7324, then close that account", ["send $50 to 7324", "close that account"]),
        ("balance", []),
        ("yes, and thanks", []),
        ("send 1,250.50 to 7324", ["send 1,250.50 to 7324"]),
        ("", []),
    ],
)
def test_a_message_is_parted_at_stops_and_conjunctions(text: str, parts: list[str]) -> None:
    assert clauses(text) == parts


def test_two_wishes_stand_in_the_order_of_their_clauses() -> None:
    message = heard((CHECKS, BALANCE), order_checks=0.98, check_balance=0.91)
    parts = [heard(check_balance=0.99, order_checks=0.01), heard(order_checks=0.97)]
    assert arranged(message, parts).wishes == (BALANCE, CHECKS)
    assert arranged(message, parts[::-1]).wishes == (CHECKS, BALANCE)


def test_a_second_wish_that_is_clear_in_a_clause_of_its_own_is_taken() -> None:
    message = heard((CHECKS,), order_checks=0.8, check_balance=0.3)
    parts = [heard(check_balance=0.95), heard(order_checks=0.95)]
    assert arranged(message, parts).wishes == (BALANCE, CHECKS)


@pytest.mark.parametrize(
    "parts",
    [
        [heard(check_balance=0.8), heard(order_checks=0.95)],
        [heard(order_checks=0.95, check_balance=0.93), heard(remark=0.9)],
        [heard(remark=0.9), heard(remark=0.9)],
    ],
)
def test_one_wish_stays_one_where_the_clauses_do_not_tell_two(parts: list[Understanding]) -> None:
    assert arranged(heard((CHECKS,), order_checks=0.8, check_balance=0.3), parts).wishes == (CHECKS,)


@pytest.mark.parametrize(
    ("understood", "expected"),
    [
        (heard((CHECKS,), order_checks=0.8, check_balance=0.1), True),
        (heard((CHECKS,), order_checks=0.8, check_balance=0.01), False),
        (heard((CHECKS,), order_checks=0.8, thanks=0.1), False),
        (heard((), order_checks=0.4, check_balance=0.3), False),
        (heard((CHECKS,), order_checks=1.0), False),
    ],
)
def test_only_a_message_with_two_likely_requests_is_read_by_clause(
    understood: Understanding, expected: bool, pack: Pack
) -> None:
    assert may_be_two(understood, pack.requests) is expected
