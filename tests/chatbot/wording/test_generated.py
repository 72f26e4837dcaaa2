"""Whatever the generator does, the customer gets a right reply, and the log says how it was made."""

import time
from collections.abc import Callable

import pytest

from chatbot.reply import MissingFact, TemplateReply
from chatbot.wording.generated import GeneratedReply
from chatbot.wording.generator import UnfitRequest, WordingError
from chatbot.wording.request import Request
from domains.schema import Pack, Wording
from storage.actions import Action
from storage.state import DialogueState, Result

TRANSFER = Action("execute", "transfer_money")
FACTS = {"amount": "$50.00", "target": "account ··7324", "balance": "$1,200.00", "reference": "TR-48213"}
GOOD = "Done: [1] went to [2]. That leaves [3], and your reference is [4]."


def done(facts: dict[str, str] = FACTS, **known: object) -> DialogueState:
    return DialogueState(results=(Result("transfer_money", "done", facts),), customer_id="1", **known)  # type: ignore[arg-type]


class Scripted:
    """Answers in turn what it is given, and notes what it was asked."""

    name = "scripted"

    def __init__(self, *answers: str | Exception | Callable[[Request], str]) -> None:
        self.answers, self.asked = list(answers), list[Request]()

    def word(self, request: Request, until: float) -> str:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


@pytest.fixture(scope="module")
def live(pack: Pack) -> Pack:
    wording = Wording(tone="warm", generated=("transfer_money.done", "confirm.transfer_money", "ask.name"))
    return pack.model_copy(update={"domain": pack.domain.model_copy(update={"wording": wording})})


def template(pack: Pack) -> str:
    return TemplateReply(pack).write([TRANSFER], done(), 0).text


def test_a_wording_that_passes_is_sent_with_the_facts_in_their_places(live: Pack) -> None:
    draft = GeneratedReply(live, Scripted(GOOD)).write([TRANSFER], done(), 0)
    text = "Done: $50.00 went to account ··7324. That leaves $1,200.00, and your reference is TR-48213."
    assert (draft.text, draft.made_by) == (text, "scripted")


def test_the_generator_sees_no_values_and_only_the_facts_that_are_said(live: Pack) -> None:
    generator = Scripted(GOOD)
    GeneratedReply(live, generator).write([TRANSFER], done(recent=("send it",)), 0)
    (request,) = generator.asked
    assert request.say == "Done: [1] went to [2]. Your balance is now [3], and the reference is [4]."
    assert request.facts == tuple(FACTS.values())
    assert request.customer == "send it"


def test_a_faulty_wording_is_made_once_more_from_another_phrasing(live: Pack) -> None:
    generator = Scripted(
        "All done, 7 times!", "I have sent [1] to [2]. That leaves [3]. Your reference is [4]."
    )
    draft = GeneratedReply(live, generator).write([TRANSFER], done(), 0)
    assert draft.text.startswith("I have sent $50.00")
    assert draft.made_by.startswith("scripted after check: a fact is missing")
    assert generator.asked[0].say != generator.asked[1].say
    assert [request.careful for request in generator.asked] == [False, True]


def test_two_faulty_wordings_leave_the_template_and_the_reasons(live: Pack) -> None:
    draft = GeneratedReply(live, Scripted(f"{GOOD} Fee: 0.", f"{GOOD} On Friday.")).write(
        [TRANSFER], done(), 0
    )
    assert draft.text == template(live)
    assert draft.made_by.startswith("template after check: ")
    assert "a number that is not given" in draft.made_by
    assert "a time that is not given" in draft.made_by
    assert "Friday" not in draft.made_by


def test_what_is_not_live_in_the_pack_is_never_generated(live: Pack) -> None:
    generator = Scripted()
    draft = GeneratedReply(live, generator).write(
        [Action("greet"), Action("answer", "age_limit")], DialogueState(), 0
    )
    assert draft.made_by == "template"
    assert live.topics["age_limit"].text in draft.text
    assert not generator.asked


def test_a_message_of_several_parts_tells_how_each_was_made(live: Pack) -> None:
    writer = GeneratedReply(live, Scripted(GOOD))
    draft = writer.write([TRANSFER, Action("offer_more")], done(turn=2), 0)
    assert draft.made_by == "transfer_money.done: scripted, offer_more: template"


FAILURES = {
    "an engine that raises in the middle": (IndexError("no slot"), "a failure of scripted (IndexError)"),
    "a truncated shard or a lost server": (WordingError("a broken connection"), "a broken connection"),
    "a prompt over the context": (UnfitRequest("a prompt of 2000 tokens is too long"), "is too long"),
}


@pytest.mark.parametrize(("failure", "reason"), FAILURES.values(), ids=FAILURES.keys())
def test_a_generator_that_fails_leaves_the_template_and_the_cause(
    failure: Exception, reason: str, live: Pack
) -> None:
    draft = GeneratedReply(live, Scripted(failure)).write([TRANSFER], done(), 0)
    assert draft.text == template(live)
    assert draft.made_by.startswith("template after ")
    assert reason in draft.made_by


def test_a_generator_that_hangs_costs_no_more_than_the_time_given(live: Pack) -> None:
    hanging = Scripted(lambda request: time.sleep(600) or "")  # type: ignore[func-returns-value]
    writer = GeneratedReply(live, hanging, seconds=0.05)
    draft = writer.write([TRANSFER], done(), 0)
    assert (draft.text, draft.made_by) == (template(live), "template after no answer in 0.05 s")
    again = writer.write([TRANSFER], done(), 0)
    assert again.made_by == "template after scripted rests after a failure"
    assert len(hanging.asked) == 1


def test_a_request_that_does_not_fit_is_no_reason_to_rest(live: Pack) -> None:
    writer = GeneratedReply(live, Scripted(UnfitRequest("too long"), GOOD))
    writer.write([TRANSFER], done(), 0)
    assert writer.write([TRANSFER], done(), 0).made_by == "scripted"


def test_a_fact_that_the_pack_does_not_know_is_not_worded(live: Pack) -> None:
    draft = GeneratedReply(live, Scripted(GOOD)).write([TRANSFER], done({**FACTS, "colour": "red"}), 0)
    assert (draft.text, draft.made_by) == (
        template(live),
        "template after fact 'colour' is unknown to the pack",
    )


def test_an_empty_fact_is_not_worded(live: Pack) -> None:
    draft = GeneratedReply(live, Scripted(GOOD)).write([TRANSFER], done({**FACTS, "amount": " "}), 0)
    assert draft.made_by == "template after fact {amount} is empty"


def test_a_missing_fact_is_refused_as_by_the_template(live: Pack) -> None:
    with pytest.raises(MissingFact):
        GeneratedReply(live, Scripted(GOOD)).write([TRANSFER], done({"amount": "$50.00"}), 0)


def test_an_upset_customer_hears_sorry_once_in_a_conversation(live: Pack) -> None:
    generator = Scripted(f"I'm sorry about this. {GOOD}", GOOD, GOOD)
    writer = GeneratedReply(live, generator)
    first = writer.write([TRANSFER], done(upset=1, angry=True), 0)
    later = writer.write([TRANSFER], done(upset=1), 0)
    writer.write([TRANSFER], done(upset=2, angry=True), 0)
    assert first.text.startswith("I'm sorry about this. Done: ")
    assert "sorry" not in later.text
    assert [request.upset for request in generator.asked] == [True, False, False]
    assert generator.asked[0].say.startswith(live.domain.wording.apology)


def test_a_plain_tone_neither_takes_up_words_nor_apologises(live: Pack) -> None:
    plain = live.domain.wording.model_copy(update={"tone": "plain"})
    pack = live.model_copy(update={"domain": live.domain.model_copy(update={"wording": plain})})
    generator = Scripted(f"Great! {GOOD}", GOOD)
    draft = GeneratedReply(pack, generator).write([TRANSFER], done(upset=1, angry=True, recent=("fool",)), 0)
    assert draft.made_by == "scripted after check: exclaims"
    assert not generator.asked[0].upset
    assert generator.asked[0].customer == ""
