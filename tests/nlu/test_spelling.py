"""Misspelt words are read as the business spells them, and nothing else is touched."""

from dataclasses import replace
from pathlib import Path

import pytest

from domains.schema import Pack
from nlu.calibration import Calibration
from nlu.model import NluModel
from nlu.parser import Parser
from nlu.pieces import PieceSplitter
from nlu.spelling import Speller
from nlu.understanding import Entity, IntentScore, Understanding

SENTENCES = ["I lost my card", "transfer money to my savings account", "block the card, it was stolen"] * 3
KNOWN = frozenset({"hello", "please", "black"})


@pytest.fixture
def speller() -> Speller:
    return Speller([*SENTENCES, "a trasnfer with a slip"], KNOWN)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("i lsot my crad plz", "i lost my card plz"),
        ("trasnfer mony to my savigns acount", "transfer money to my savings account"),
        ("bloxk it", "block it"),
        ("tranfser", "transfer"),
        ("tranfserr", "transfer"),
        ("xyzzy", "xyzzy"),
        ("black", "black"),
        ("carrd number 54x7 and carrd@example.org", "card number 54x7 and carrd@example.org"),
        ("teh", "teh"),
        ("", ""),
    ],
)
def test_a_slip_is_put_right_and_all_else_stays(speller: Speller, typed: str, meant: str) -> None:
    assert speller.correct(typed) == meant


def test_a_word_that_stands_once_is_no_model_for_others(speller: Speller) -> None:
    assert speller.correct("slop") == "slop"


@pytest.fixture
def parser(model: NluModel, splitter: PieceSplitter, pack: Pack) -> Parser:
    return Parser(model, splitter, Calibration(), pack)


def understood(intent: str, probability: float, *entities: Entity, wish: bool = True) -> Understanding:
    wishes = (intent,) if wish else ()
    return Understanding("", (IntentScore(intent, probability),), wishes, entities, 0.1)


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        (understood("remark", 0.4), understood("report_lost_card", 0.97), "report_lost_card"),
        (understood("remark", 0.4, wish=False), understood("report_lost_card", 0.5), "report_lost_card"),
        (understood("remark", 0.95), understood("report_lost_card", 0.97), "remark"),
        (understood("remark", 0.6), understood("report_lost_card", 0.5), "remark"),
    ],
)
def test_what_is_clearer_as_it_may_be_meant_is_heard_so(
    parser: Parser,
    monkeypatch: pytest.MonkeyPatch,
    first: Understanding,
    second: Understanding,
    taken: str,
) -> None:
    read: list[list[str]] = []

    def pretend(texts: list[str], contexts: object) -> list[Understanding]:
        read.append(list(texts))
        return [replace(first if text == "i lsot my crad" else second, text=text) for text in texts]

    monkeypatch.setattr(parser, "_read", pretend)
    (heard,) = parser.parse_many(["i lsot my crad"], [()])
    assert heard.wishes[0] == taken
    assert heard.text == "i lsot my crad"
    assert heard.read_as == ("i lost my card" if heard.intents == second.intents else "")
    assert read[1:] in ([], [["i lost my card"]])


def test_values_stay_where_and_as_the_customer_wrote_them(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = Entity("name", 0, 4, "Dnaa", "Dnaa", 0.9)
    pair = iter([understood("remark", 0.4, name), understood("inform", 0.9)])
    monkeypatch.setattr(parser, "_read", lambda texts, contexts: [replace(next(pair), text=texts[0])])
    (heard,) = parser.parse_many(["Dnaa lsot her crad"], [()])
    assert (heard.text, heard.wishes, heard.entities) == ("Dnaa lsot her crad", ("inform",), (name,))


def test_without_a_pack_nothing_is_respelt(model: NluModel, splitter: PieceSplitter) -> None:
    assert Parser(model, splitter, Calibration(), None).speller is None


def test_a_pack_without_sentences_respells_nothing(
    model: NluModel, splitter: PieceSplitter, pack: Pack, tmp_path: Path
) -> None:
    bare = pack.model_copy(update={"folder": tmp_path})
    assert Parser(model, splitter, Calibration(), bare).speller is None
