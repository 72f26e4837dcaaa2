from pathlib import Path

import pytest

from chatbot.wording.sgd import Pair, load_sgd
from nlu.text_files import DataError
from tests.chatbot.wording.conftest import system, user, write_dialogues


def only(path: Path, *turns: dict[str, object]) -> Pair:
    (pair,) = load_sgd(write_dialogues(path / "d.jsonl.gz", [*turns]))
    return pair


def test_acts_become_plain_sentences_and_values_placeholders(tmp_path: Path) -> None:
    pair = only(
        tmp_path,
        user("How much do I have?"),
        system(
            "Your savings account has $40.", ("INFORM", "balance", ["$40"]), ("INFORM", "type", ["savings"])
        ),
    )
    assert pair.request.say == "banks: balance is [1], type is [2]."
    assert pair.request.facts == ("$40", "savings")
    assert pair.request.customer == "How much do I have?"
    assert pair.reply == "Your [2] account has [1]."
    assert pair.text == "Your savings account has $40."


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (("REQUEST", "account_type", []), "banks: which account type?"),
        (("REQUEST", "account_type", ["savings", "checking"]), "banks: which account type [1] or [2]?"),
        (("CONFIRM", "amount", ["$5"]), "banks: please confirm that amount is [1]?"),
        (("OFFER_INTENT", "intent", ["TransferMoney"]), "banks: shall I transfer money?"),
        (("INFORM", "has_wifi", ["True"]), "banks: has wifi is yes."),
        (("INFORM", "seats", ["1"]), "banks: seats is [1] (one)."),
        (("INFORM_COUNT", "count", ["3"]), "banks: I found [1]."),
        (("NOTIFY_SUCCESS", "", []), "banks: it is done."),
        (("REQ_MORE", "", []), "banks: anything else?"),
    ],
)
def test_every_act_has_its_sentence(tmp_path: Path, action: tuple[str, str, list[str]], said: str) -> None:
    assert only(tmp_path, system("…", action)).request.say == said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("There are two of them.", "a value is not in the text"),
        ("3 of them, yes 3.", "a value stands twice"),
        ("There are 3, from 9 am on.", "another number is left"),
    ],
)
def test_a_text_that_does_not_say_just_the_facts_teaches_no_reply(
    tmp_path: Path, text: str, why: str
) -> None:
    pair = only(tmp_path, system(text, ("INFORM_COUNT", "count", ["3"])))
    assert pair.reply is None, why
    assert pair.text == text


def test_equal_values_of_two_slots_keep_a_placeholder_each(tmp_path: Path) -> None:
    pair = only(
        tmp_path, system("3 beds and 3 baths.", ("INFORM", "beds", ["3"]), ("INFORM", "baths", ["3"]))
    )
    assert pair.request.say == "banks: beds is [1], baths is [2]."
    assert pair.reply is None


def test_a_value_is_not_found_inside_a_word(tmp_path: Path) -> None:
    assert only(tmp_path, system("Cartoons.", ("INFORM", "kind", ["art"]))).reply is None


def test_a_file_that_holds_no_dialogues_is_refused_with_its_line(tmp_path: Path) -> None:
    plain = tmp_path / "plain.jsonl.gz"
    plain.write_text("{}")
    with pytest.raises(DataError, match=r"plain\.jsonl\.gz: cannot be read as gzip"):
        list(load_sgd(plain))
    broken = write_dialogues(tmp_path / "broken.jsonl.gz", [user("hi")], [{"speaker": "SYSTEM"}])
    with pytest.raises(DataError, match=r"broken\.jsonl\.gz:2: not a dialogue with acts"):
        list(load_sgd(broken))
