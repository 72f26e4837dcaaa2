from pathlib import Path

import pytest

from chatbot.wording.evaluation import Wording, sample_turns, score, slot_errors, word_all
from chatbot.wording.phrasing import fill
from chatbot.wording.request import Request
from chatbot.wording.sgd import Pair
from nlu.text_files import DataError
from tests.chatbot.wording.conftest import system, user, write_dialogues

REQUEST = Request("INFORM", "balance is [1], type is [2].", ("$40", "savings"), "")


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("Your [2] account has [1].", 0),
        ("It has [1].", 1),
        ("It has [1], yes [1], in [2].", 1),
        ("It has [1] and [3] in [2].", 1),
        ("It is fine.", 2),
    ],
)
def test_missing_repeated_and_invented_facts_are_counted(text: str, errors: int) -> None:
    assert slot_errors(text, REQUEST) == errors


def test_facts_are_put_in_as_they_are() -> None:
    assert fill("Your [2] has [1].", REQUEST.facts) == "Your savings has $40."


def test_a_reply_at_fault_is_replaced_and_counted() -> None:
    good = Wording(REQUEST, "Your [2] has [1].", "Your [2] has [1].", 6, 0.1, ())
    bad = Wording(REQUEST, "Your [2] has it.", "Your [2] has it.", 6, 0.1, ("a fact is missing",))
    report = score([good, bad], ["Your savings has $40."] * 2)
    assert (report.slot_error, report.slot_error_checked, report.template_share) == (0.25, 0, 0.5)
    assert bad.reply == "balance is $40, type is savings."
    assert report.tokens_per_second == pytest.approx(60)


def test_what_is_said_as_people_said_it_has_the_full_score() -> None:
    text = "Your savings account at the bank has $40."
    exact = Wording(REQUEST, "", "Your [2] account at the bank has [1].", 8, 0.1, ())
    assert score([exact], [text]).bleu == pytest.approx(100)
    other = Wording(REQUEST, "", "There is [1] in it, the [2] one.", 8, 0.1, ())
    assert score([other], [text]).bleu < 20


def test_every_pair_is_generated_and_checked() -> None:
    pair = Pair(REQUEST, None, "It has $40.")
    (worded,) = word_all([pair], lambda r: (r.say.upper(), 3), lambda text, _: [text])
    assert worded.faults == ("BALANCE IS [1], TYPE IS [2].",)


def test_a_word_too_many_is_worded_once_more_and_lost_content_is_not() -> None:
    pair = Pair(REQUEST, None, "It has $40.")

    def generate(request: Request) -> tuple[str, int]:
        return ("The [2] one has [1]." if request.careful else "It has [1] a day, the [2] one."), 9

    def check(text: str, _: Request) -> list[str]:
        return ["a time that is not given"] if "day" in text else []

    (worded,) = word_all([pair], generate, check)
    assert (worded.first, worded.reply) == ("It has [1] a day, the [2] one.", "The savings one has $40.")
    report = score([worded], ["It has $40."])
    assert (report.again_share, report.template_share) == (1, 0)
    (lost,) = word_all([pair], generate, lambda *_: ["lost a negation"])
    assert lost.first == lost.text
    assert lost.reply == "balance is $40, type is savings."


def test_a_sample_is_the_same_for_a_seed_and_needs_turns(tmp_path: Path) -> None:
    turns = [system(f"Hello {n}.", ("GOODBYE", "", [])) for n in range(30)]
    path = write_dialogues(tmp_path / "d.jsonl.gz", turns)
    assert sample_turns(path, 5, seed=0) == sample_turns(path, 5, seed=0)
    assert len(sample_turns(path, 100, seed=0)) == 30
    empty = write_dialogues(tmp_path / "e.jsonl.gz", [user("hi")])
    with pytest.raises(DataError, match=r"e\.jsonl\.gz:1: no turn of a system"):
        sample_turns(empty, 5, seed=0)
