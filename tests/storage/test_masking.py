import io
import logging
import time
from collections.abc import Callable

import pytest

from storage.masking import MaskingFilter, mask


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("my card is 4111 1111 1111 1111, please", "my card is card ··1111, please"),
        ("4111-1111-1111-1111", "card ··1111"),
        ("4111111111111111", "card ··1111"),
        ("amex 3782 822463 10005", "amex card ··0005"),
        ("4111 1111 1111 1111 12/27", "card ··1111 12/27"),
        ("4111 1111 1111 1111 5500 0000 0000 0004", "card ··1111 card ··0004"),
        ("4222222222222", "card ··2222"),
        ("6304000000000000000", "card ··0000"),
    ],
)
def test_that_card_numbers_keep_only_their_last_four_digits(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_that_a_mistyped_card_number_is_hidden_too() -> None:
    assert mask("4111 1111 1111 1112") == "··1112"


@pytest.mark.parametrize(
    "text", ["123-45-6789", "my SSN: 123 45 6789", "social security number 123456789", "ssn 6789"]
)
def test_that_nothing_of_a_social_security_number_is_left(text: str) -> None:
    assert not any(character.isdigit() for character in mask(text))


@pytest.mark.parametrize("address", ["jo.doe+bank@mail.example.co.uk", "J_D@example.com"])
def test_that_email_addresses_are_hidden(address: str) -> None:
    assert mask(f"write to {address}, thanks") == "write to e-mail ··, thanks"


@pytest.mark.parametrize(
    "number",
    [
        "(555) 123-4567",
        "555-123-4567",
        "555.123.4567",
        "+1 555 123 4567",
        "1-555-123-4567",
        "123-4567",
        "5551234567",
    ],
)
def test_that_telephone_numbers_are_hidden(number: str) -> None:
    assert mask(f"call {number} now") == "call ··4567 now"


def test_that_foreign_telephone_numbers_are_hidden() -> None:
    assert mask("call +44 (0)20 7946 0958") == "call ··0958"


def test_that_account_numbers_keep_only_their_last_four_digits() -> None:
    assert mask("from 12345678 to acct#0099887766") == "from ··5678 to acct#··7766"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Send $1,250.00 on 2026-05-01 at 12:30 to account 4421.",
        "conversation 3f2b8c1d12345678901234567890abcd answered in 41.5 ms",
        "ids 123e4567-e89b-12d3-a456-426614174000",
        "order 1234567",
        "me@ home",
    ],
)
def test_that_other_text_stays_as_it_is(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "card 4111 1111 1111 1111 12345678",
        "ssn 123-45-6789 in 2024",
        "a@b.example 555-123-4567 4111111111111112",
    ],
)
def test_that_masking_twice_changes_nothing_more(text: str) -> None:
    assert mask(mask(text)) == mask(text)


@pytest.mark.parametrize("part", ["1 ", "a", "a.b-", "123-", "1", "a@", "+1 ", "abcdef01-"])
def test_that_a_long_text_is_masked_in_no_time(part: str) -> None:
    start = time.perf_counter()
    mask(part * 2_000)
    assert time.perf_counter() - start < 2


@pytest.fixture
def logged() -> Callable[..., str]:
    def log(*args: object, failure: bool = False) -> str:
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.addFilter(MaskingFilter())
        logger = logging.Logger("test")
        logger.addHandler(handler)
        logger.error(*args, exc_info=failure)
        return stream.getvalue()

    return log


def test_that_the_filter_masks_message_and_arguments(logged: Callable[..., str]) -> None:
    assert logged("card 4111111111111111 of %s", "jo@example.com") == "card ··1111 of e-mail ··\n"
    assert logged("%(who)s paid", {"who": "555-123-4567"}) == "··4567 paid\n"


def test_that_the_filter_masks_what_only_the_whole_message_shows(logged: Callable[..., str]) -> None:
    assert logged("account %d", 12345678) == "account ··5678\n"
    assert logged("card %s %s %s %s", "4111", "1111", "1111", "1111") == "card ··1111\n"


def test_that_the_filter_masks_objects_and_tracebacks(logged: Callable[..., str]) -> None:
    try:
        raise ValueError("no card 4111111111111111")
    except ValueError as error:
        text = logged("failed: %s", error, failure=True)
    assert "4111" not in text
    assert "failed: no card ··1111" in text
    assert "ValueError: no card ··1111" in text


def test_that_the_filter_keeps_harmless_arguments_apart() -> None:
    arguments = ("127.0.0.1:5000", "GET", "/v1/health", "1.1", 200)
    record = logging.LogRecord("access", logging.INFO, "", 1, '%s - "%s %s HTTP/%s" %d', arguments, None)
    assert MaskingFilter().filter(record)
    assert record.args == arguments


def test_that_a_wrong_logging_call_does_not_stop_the_program() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 1, "%d", ("4111111111111111",), None)
    assert MaskingFilter().filter(record)
    assert record.args == ("card ··1111",)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("4111 - 1111 - 1111 - 1111", "card ··1111"),
        ("4111/1111/1111/1111", "card ··1111"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "card ··1111"),
        ("jo at example dot com", "e-mail ··"),
        ("jo (at) example (dot) co (dot) uk", "e-mail ··"),
        ("jo @ example.com", "e-mail ··"),
        ("ssn last 4 digit is 4441", "ssn last 4 digit is ··"),
        ("8883 this is my ssn", "·· this is my ssn"),
        ("social sec no 123.45.6789", "social sec no SSN ··"),
        ("xxx-xx-6789", "SSN ··"),
        ("123456789", "··"),
        ("acct no 4400-127316", "acct no ··7316"),
        ("my account is 44 00 12 73 16", "my account is ··7316"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN account ··3000"),
        ("020 7946 0958", "··0958"),
        ("5 5 5 1 2 3 4 5 6 7", "··4567"),
        ("five five five one two three four", "number ·· "),
    ],
)
def test_that_numbers_are_hidden_as_people_really_type_them(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "I met her at home. Then we left",
        "one or two of the three cards, four at most",
        "the charge was on 06242018 and 05-01-2026",
        "my account was opened 2026-05-01",
        "in 2024 I paid 1200 and 3400",
        "card ending 4421, account 6467",
    ],
)
def test_that_ordinary_messages_stay_as_they_are(text: str) -> None:
    assert mask(text) == text
