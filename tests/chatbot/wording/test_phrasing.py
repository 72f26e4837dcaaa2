"""From a pack's phrasing to a request and back."""

import pytest

from chatbot.wording.generator import UnfitRequest
from chatbot.wording.phrasing import ask, fill


def test_each_fact_has_one_number_in_the_order_in_which_it_is_said() -> None:
    request = ask("x", "{b} and {a}, so {b}.", {"a": "1", "b": "2", "c": "3"})
    assert (request.say, request.facts) == ("[1] and [2], so [1].", ("2", "1"))


def test_a_number_in_a_phrasing_is_a_fact_too() -> None:
    request = ask("x", "From 1 (poor) to 5, {name}.", {"name": "Dana"})
    assert (request.say, request.facts) == ("From [1] (poor) to [2], [3].", ("1", "5", "Dana"))


def test_a_placeholder_inside_of_a_value_stays_what_it_is() -> None:
    request = ask("x", "{a}, {b}", {"a": "12 [2] Street {b}", "b": "Boston"})
    assert fill(request.say, request.facts) == "12 [2] Street {b}, Boston"


def test_a_placeholder_without_a_fact_stays_open() -> None:
    assert fill("[1] [2] [0] [99]", ("a",)) == "a [2] [0] [99]"


def test_what_cannot_be_asked_for_is_refused() -> None:
    with pytest.raises(UnfitRequest, match="empty"):
        ask("x", "{a}", {"a": " "})
    with pytest.raises(UnfitRequest, match="more than 16"):
        ask("x", " ".join(str(n) for n in range(17)), {})
