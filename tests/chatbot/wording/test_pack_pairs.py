import random

import pytest

from chatbot.settings import Settings
from chatbot.wording.pack_pairs import pack_pairs
from chatbot.wording.sgd import Pair
from chatbot.wording.tokens import PLACEHOLDER
from domains.loader import load_pack
from nlu.sentences import load_pack_examples


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    pack = load_pack(Settings().domain)
    return pack_pairs(pack, load_pack_examples(pack, random.Random(0)), seed=0)


def test_request_and_reply_state_the_same_facts_in_other_words(pairs: list[Pair]) -> None:
    assert len(pairs) > 500
    for pair in pairs:
        assert pair.reply is not None
        assert sorted(PLACEHOLDER.findall(pair.request.say)) == sorted(PLACEHOLDER.findall(pair.reply))
        assert pair.request.say != pair.reply
        assert "{" not in pair.request.say + pair.reply
        assert pair.request.customer


def test_a_wish_is_taken_up_before_the_first_question(pairs: list[Pair]) -> None:
    taken_up = [p for p in pairs if p.reply and "help you transfer money." in p.reply]
    assert taken_up
    assert all(p.request.action.startswith("ask.") and "help you" not in p.request.say for p in taken_up)


def test_a_detail_is_not_answered_as_if_it_were_a_wish(pairs: list[Pair]) -> None:
    asked = [p for p in pairs if p.request.action.startswith("ask.")]
    wishes = {p.request.customer for p in asked if p.reply and "help you" in p.reply}
    plain = {p.request.customer for p in pairs if p.request.action.startswith("invalid.")}
    assert wishes
    assert plain
    assert not wishes & plain
