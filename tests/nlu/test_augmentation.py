"""Made-up typing errors and joined messages, whose spans must still cover the same letters."""

import random
import re

import pytest

from nlu.augmentation import JOINTS, exchange, join, roughen, two_wishes, values_of
from nlu.data import Example, Span


def inside(example: Example) -> list[str]:
    return [example.text[s.start : s.end] for s in example.spans or ()]


def outside(example: Example) -> str:
    text, last = "", 0
    for span in example.spans or ():
        text += example.text[last : span.start]
        last = span.end
    return text + example.text[last:]


def test_that_values_are_exchanged_for_others_of_the_same_slot_and_nothing_else_changes() -> None:
    example = Example("play Blue by Joni Mitchell now", ("a",), (Span(5, 9, "album"), Span(13, 26, "artist")))
    other = Example("Tusk, by the Mac", ("a",), (Span(0, 4, "album"), Span(9, 16, "artist")))
    values = values_of([example, other, example, Example("no slots", ("a",), None)])
    assert values == {"album": ["Blue", "Tusk"], "artist": ["Joni Mitchell", "the Mac"]}
    seen = set()
    for seed in range(200):
        made = exchange(example, values, random.Random(seed))
        assert outside(made) == "play  by  now"
        assert [span.slot for span in made.spans or ()] == ["album", "artist"]
        seen.add(tuple(inside(made)))
    assert seen == {(album, artist) for album in values["album"] for artist in values["artist"]}


def test_that_typing_errors_outside_of_a_span_leave_what_it_covers() -> None:
    example = Example("please send 1234 now to 98-76 today", ("a",), (Span(12, 16, "x"), Span(24, 29, "y")))
    changed = 0
    for seed in range(500):
        rough = roughen(example, random.Random(seed), typos=1.0, bare=0.0)
        assert inside(rough) == ["1234", "98-76"]
        changed += rough.text != example.text
    assert changed > 450


def test_that_typing_errors_inside_of_a_span_stay_inside() -> None:
    example = Example("123 Dana Whitfield 456", ("a",), (Span(4, 18, "name"),))
    for seed in range(500):
        rough = roughen(example, random.Random(seed), typos=1.0, bare=0.0)
        assert outside(rough) == "123  456"
        (name,) = inside(rough)
        assert re.fullmatch(r"[A-Za-z ]+", name)
        assert len("Dana Whitfield") - 2 <= len(name) <= len("Dana Whitfield") + 2


def test_that_punctuation_goes_and_the_spans_follow() -> None:
    example = Example("Hi, it's 4,821! Send $1.50, ok?", ("a",), (Span(9, 14, "ssn"), Span(21, 26, "amount")))
    bare = roughen(example, random.Random(0), typos=0.0, bare=1.0)
    assert bare.text == "Hi its 4821 Send $150 ok"
    assert inside(bare) == ["4821", "$150"]


def test_that_a_message_of_punctuation_alone_stays_as_it_is() -> None:
    example = Example("?!", ("a",))
    assert roughen(example, random.Random(0), typos=0.0, bare=1.0) == example


def test_that_a_span_of_which_nothing_is_left_goes() -> None:
    example = Example("see … : or ; fine", ("a",), (Span(6, 7, "x"), Span(13, 17, "y")))
    bare = roughen(example, random.Random(0), typos=0.0, bare=1.0)
    assert [(s.slot, t) for s, t in zip(bare.spans or (), inside(bare), strict=True)] == [("y", "fine")]


def test_that_short_messages_get_no_typing_errors() -> None:
    for seed in range(50):
        assert roughen(Example("yes!", ("a",)), random.Random(seed), typos=1.0, bare=0.0).text == "yes!"


def test_that_chances_of_zero_change_nothing() -> None:
    example = Example("It's fine, isn't it?", ("a",), (Span(0, 4, "x"),), ("before",))
    assert all(roughen(example, random.Random(seed), 0.0, 0.0) is example for seed in range(50))


def test_that_unknown_slots_stay_unknown() -> None:
    rough = roughen(Example("where is my card, please", ("a",), None), random.Random(3), 1.0, 1.0)
    assert rough.spans is None


def test_that_joined_messages_carry_both_wishes_and_the_spans_of_both() -> None:
    first = Example("send $50", ("transfer",), (Span(5, 8, "amount"),), ("earlier",))
    second = Example("my ssn is 4821", ("inform",), (Span(10, 14, "ssn"),), ("other",))
    joints = set()
    for seed in range(100):
        both = join(first, second, random.Random(seed))
        assert inside(both) == ["$50", "4821"]
        assert both.intents == ("transfer", "inform")
        assert both.context == ("earlier",)
        joints.add(both.text[len(first.text) : -len(second.text)])
    assert joints == set(JOINTS)


def test_that_slots_of_a_joined_message_are_known_only_where_both_are() -> None:
    known, unknown = Example("a", ("x",), ()), Example("b", ("y",), None)
    assert join(known, unknown, random.Random(0)).spans is None
    assert join(unknown, known, random.Random(0)).spans is None
    assert join(known, known, random.Random(0)).spans == ()


@pytest.mark.parametrize("count", [0, 1, 30])
def test_that_two_wishes_are_two_different_ones_in_a_short_message(count: int) -> None:
    pool = [Example(f"wish {i} " + "long " * i, (f"intent{i % 5}",)) for i in range(30)]
    made = two_wishes(pool, count, random.Random(0))
    assert len(made) == count
    for example in made:
        assert len(set(example.intents)) == 2
        assert len(example.text) < 150


def test_details_given_beside_a_request_are_no_wish_of_their_own() -> None:
    request, details = (
        Example(text, (intent,), ()) for text, intent in (("lost card", "lost"), ("4821", "inform"))
    )
    social = Example("hi", ("greeting",), ())
    rng = random.Random(0)
    assert join(request, details, rng, frozenset({"lost"})).intents == ("lost",)
    assert join(details, request, rng, frozenset({"lost"})).intents == ("lost",)
    assert join(social, details, rng, frozenset({"lost"})).intents == ("greeting", "inform")
