"""What a conversation's past tells: built from data, misheard in training, understood in evaluation."""

from pathlib import Path

import pytest

from nlu.data import Example, Span, load_data
from nlu.evaluate import parse_all
from nlu.labels import LabelMap
from nlu.past import NO_PAST, Past
from nlu.understanding import Entity, IntentScore, Understanding

HEADER = "conversationId\tturnNumber\tutteranceId\tutterance\tslot-labels\tintent\n"


def test_slots_and_intents_are_told_once_in_the_order_in_which_they_came() -> None:
    past = NO_PAST.after(["transfer_money"], ["name"]).after(["inform"], ["ssn", "name"])
    assert past == Past(("transfer_money", "inform"), ("name", "ssn"))
    assert past.told == ("transfer money, inform: name, ssn",)
    assert NO_PAST.told == ()
    assert Past((), ("ssn",)).told == ("ssn",)


def test_only_the_latest_of_a_long_past_are_told() -> None:
    past = NO_PAST.after([], [f"s{n}" for n in range(20)])
    assert past.told == ("s12, s13, s14, s15, s16, s17, s18, s19",)


def test_a_row_knows_what_the_rows_of_its_conversation_before_it_gave(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    path.write_text(
        HEADER + "c1\t0\t0\tsend money\tO O\ttransfermoney\n"
        "c2\t0\t0\tmy balance\tO O\tcheckbalance\n"
        "c1\t2\t1\tann 1234\tname ssn\tcontentonly\n"
        "c1\t4\t2\t9876\taccount\tcontentonly\n"
    )
    rows = load_data(str(path), "multidogo", LabelMap()).examples
    assert [row.past for row in rows] == [
        NO_PAST,
        NO_PAST,
        Past(("transfermoney",)),
        Past(("transfermoney", "contentonly"), ("name", "ssn")),
    ]
    assert rows[3].heard[0] == "transfermoney, contentonly: name, ssn"


class Echo:
    """Understands a number as an account number once a Social Security number was given, as told."""

    pack = None

    def told(self, past: Past) -> tuple[str, ...]:
        return past.told

    def parse_many(self, texts: list[str], contexts: list[tuple[str, ...]]) -> list[Understanding]:
        heard = []
        for text, context in zip(texts, contexts, strict=True):
            slot = "account" if any("ssn" in line for line in context[:1]) else "ssn"
            entities = (Entity(slot, 0, len(text), text, None, 1.0),) if text.isdigit() else ()
            heard.append(Understanding(text, (IntentScore("inform", 1.0),), ("inform",), entities, 0.0))
        return heard


def test_in_evaluation_the_past_is_what_was_understood_not_what_is_true() -> None:
    wrong = (Span(0, 4, "card"),)
    rows = [
        Example(text, ("inform",), wrong, conversation=name, past=Past((), ("card",)))
        for name, text in (("a", "1234"), ("b", "1111"), ("a", "5678"), ("b", "ok"), ("b", "2222"))
    ]
    found = parse_all(Echo(), rows)  # type: ignore[arg-type]
    slots = [[entity.slot for entity in heard.entities] for heard in found]
    assert slots == [["ssn"], ["ssn"], ["account"], [], ["account"]]


@pytest.mark.parametrize("names", [("a", "b"), ("", "")])
def test_messages_of_other_conversations_or_of_none_have_no_past(names: tuple[str, str]) -> None:
    rows = [
        Example(text, ("inform",), (), conversation=n) for n, text in zip(names, ("12", "34"), strict=True)
    ]
    slots = [heard.entities[0].slot for heard in parse_all(Echo(), rows)]  # type: ignore[arg-type]
    assert slots == ["ssn", "ssn"]
