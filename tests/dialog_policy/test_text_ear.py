"""Simulated customers who write: what they can say, and what the NLU is asked."""

import random
from collections.abc import Callable, Sequence
from datetime import date

import pytest

from dialog_policy.evaluate import evaluate
from dialog_policy.goals import random_value
from dialog_policy.meaning import INSTEAD, Meaning
from dialog_policy.phrasebook import Phrasebook
from dialog_policy.policy import RulePolicy
from dialog_policy.population import Population
from dialog_policy.text_ear import TextEar, TextEnv, Writer
from domains.schema import OUT_OF_SCOPE, Pack
from nlu.data import Example, Span
from nlu.past import NO_PAST, Past
from nlu.sentences import load_pack_examples
from nlu.understanding import Entity, IntentScore, Understanding
from nlu.values import normalise
from storage.slots import SlotValue
from storage.state import DialogueState
from tests.dialog_policy.conftest import KINDS
from tests.shipped import shipped_models

MakeWriter = Callable[..., Writer]


@pytest.fixture(scope="module")
def own(pack: Pack) -> Phrasebook:
    """The pack's own sentences."""
    return Phrasebook(pack, load_pack_examples(pack, random.Random(0)))


@pytest.fixture
def writer(own: Phrasebook) -> MakeWriter:
    def make(seed: int = 0, typos: float = 0.0, *books: Phrasebook) -> Writer:
        return Writer(books or [own], random.Random(seed), typos)

    return make


def labelled(text: str, intent: str, **values: str) -> Example:
    spans = (Span(text.index(value), text.index(value) + len(value), slot) for slot, value in values.items())
    return Example(text, (intent,), tuple(spans))


def test_that_a_message_is_labelled_with_all_that_is_meant_and_with_nothing_else(
    pack: Pack, writer: MakeWriter
) -> None:
    rng = random.Random(3)
    for seed in range(200):
        slots = rng.sample(list(pack.slots), rng.randint(0, 4))
        values = {slot: random_value(pack.slots[slot], rng) for slot in slots}
        intent = rng.choice([*pack.tasks.keys() & pack.intents.keys(), "inform"]) if slots else "thanks"
        message = writer(seed).write(Meaning(intent, values))
        assert message.intents == (intent,)
        assert message.spans is not None
        written = {span.slot: message.text[span.start : span.end] for span in message.spans}
        assert written.keys() == values.keys()
        for slot, value in values.items():
            assert normalise(pack.slots[slot], written[slot]) == value, message.text


def test_that_values_are_written_in_several_ways_that_all_mean_the_same(pack: Pack, own: Phrasebook) -> None:
    rng = random.Random(0)
    values = {
        "charge_amount": "50.00",
        "check_quantity": "2",
        "charge_date": date.today().isoformat(),
        "account_type": "savings",
    }
    for slot, value in values.items():
        ways = {own.write(slot, value, rng) for _ in range(100)}
        assert len(ways) > 2, ways
        assert all(normalise(pack.slots[slot], way) == value for way in ways)


def test_that_customers_have_the_names_of_people_and_come_as_the_same_ones(
    pack: Pack, own: Phrasebook
) -> None:
    people = {normalise(pack.slots["name"], name) for name in ("Helena Brandt", "marcus oyelaran")}
    drawn = {own.draw_value("name", random.Random(seed)) for seed in range(400)}
    assert people < drawn
    for slot in pack.slots:
        ours, theirs = random.Random(7), random.Random(7)
        own.draw_value(slot, ours)
        random_value(pack.slots[slot], theirs)
        assert ours.random() == theirs.random(), "goals drawn later are the same at both levels"


def test_that_words_which_decide_are_said(writer: MakeWriter) -> None:
    for seed in range(20):
        assert writer(seed).write(Meaning("check_balance", words=INSTEAD)).text.endswith(" instead")
        correction = writer(seed).write(Meaning("inform", {"charge_amount": "20.00"}, "no"))
        assert correction.text.startswith("no, ")
        assert (
            writer(seed).write(Meaning("affirm", words="Yes, go ahead", pressed=True)).text == "Yes, go ahead"
        )


def test_that_a_number_among_other_values_is_not_left_without_a_word(writer: MakeWriter) -> None:
    values = {"ssn": "4821", "check_quantity": "3", "charge_amount": "20.00", "card_number": "9931"}
    for seed in range(30):
        message = writer(seed).write(Meaning("inform", values))
        assert sum(word.isalpha() for word in message.text.split()) >= 4, message.text


def test_that_given_sentences_come_first_and_the_packs_own_join_where_they_are_few(
    pack: Pack, own: Phrasebook, writer: MakeWriter
) -> None:
    many = [labelled(f"my balance, number {'x' * n}", "check_balance") for n in range(10)]
    few = [labelled("shut account 4821 now", "close_account", account_number="4821")]
    given = Phrasebook(pack, [*many, *few])
    told = [writer(seed, 0.0, given, own).write(Meaning("check_balance")).text for seed in range(50)]
    assert all(text.startswith("my balance, number") for text in told)
    closing = Meaning("close_account", {"account_number": "5310077722"})
    told = [writer(seed, 0.0, given, own).write(closing).text for seed in range(100)]
    assert "shut account 5310077722 now" in told
    assert len(set(told)) > 5


@pytest.mark.parametrize(
    "example",
    [
        Example("i want to change my address", ("remark",)),
        Example("yes I filed the report on Monday", ("affirm",)),
        Example("ssn 4821 and credit card 3632", ("inform",), (Span(4, 8, "ssn"),)),
    ],
)
def test_that_sentences_of_other_conversations_are_left_out_where_they_say_more_than_is_meant(
    pack: Pack, example: Example
) -> None:
    slots = [span.slot for span in example.spans or ()]
    assert Phrasebook(pack, [example]).sentences(example.intents[0], slots)
    assert not Phrasebook(pack, [example], foreign=True).sentences(example.intents[0], slots)


def test_that_a_remark_is_none_that_could_be_read_as_a_yes(pack: Pack) -> None:
    book = Phrasebook(pack, [Example("hm ok", ("remark",)), Example("hmm", ("remark",))])
    assert [sentence.pieces for sentence in book.sentences("remark", [])] == [("hmm",)]


def test_that_typing_errors_are_in_words_and_not_in_values(pack: Pack, writer: MakeWriter) -> None:
    meaning = Meaning("inform", {"name": "Helena Brandt", "ssn": "4821"})
    clean, sloppy = ([writer(seed, t).write(meaning) for seed in range(60)] for t in (0.0, 1.0))
    assert {message.text for message in clean} != {message.text for message in sloppy}
    for message in sloppy:
        values = {s.slot: message.text[s.start : s.end] for s in message.spans or ()}
        assert {slot: normalise(pack.slots[slot], text) for slot, text in values.items()} == meaning.values


class Attentive:
    """Stands in for the NLU: notes what it is asked, and hears a question about the balance."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Sequence[str], str | None, Past]] = []

    def parse(
        self, text: str, context: Sequence[str] = (), asked: str | None = None, past: Past = NO_PAST
    ) -> Understanding:
        self.asked.append((text, context, asked, past))
        found = Entity("ssn", len(text) - 4, len(text), text[-4:], text[-4:], 0.9)
        scores = (IntentScore("remark", 0.6), IntentScore("check_balance", 0.4))
        return Understanding(text, scores, ("remark", "check_balance"), (found,), 0.0)


def test_that_the_nlu_is_told_of_the_conversation_as_in_service(writer: MakeWriter) -> None:
    nlu = Attentive()
    slots = {"name": SlotValue("Helena Brandt", 0.9, 1)}
    state = DialogueState(task="check_balance", slots=slots, asked="ssn", recent=("helena brandt",))
    heard = TextEar(nlu, writer()).hear(Meaning("inform", {"ssn": "4821"}), state)  # type: ignore[arg-type]
    assert nlu.asked == [(heard.text, ("helena brandt",), "ssn", Past(("check_balance",), ("name",)))]


def test_that_the_errors_of_what_was_written_are_counted(pack: Pack, own: Phrasebook) -> None:
    population = Population.model_validate({"kinds": {"plain": {"share": 1}}})
    env = TextEnv(pack, population, Attentive(), [own])  # type: ignore[arg-type]
    ear = env.listen(population.kinds["plain"])
    for intent in ("check_balance", "check_balance", "thanks"):
        ear.hear(Meaning(intent), DialogueState())
    ear.hear(Meaning("thanks", words="Thanks", pressed=True), DialogueState())
    errors = env.errors_heard()
    assert errors.intents["check_balance"].keys() == {"check_balance", OUT_OF_SCOPE}, "the second wish counts"
    assert errors.intents["thanks"].keys() == {"thanks", "remark"}
    assert errors.wrong_confidence[0] == 0.6


@pytest.mark.shipped
def test_that_written_conversations_with_the_shipped_nlu_mostly_succeed(own: Phrasebook) -> None:
    pack, parser, policy = shipped_models()
    env = TextEnv(pack, Population.model_validate({"kinds": KINDS}), parser, [own])
    found = [evaluate(each, env, 25, seed=1) for each in (policy, RulePolicy(pack))]
    assert all(figures["success_rate"] > 0.75 for figures in found)
    messages = [(written, heard) for ear in env.ears for written, heard in ear.heard]
    assert all(heard.text == written.text for written, heard in messages)
    assert len({written.text for written, _ in messages}) > 100
    again = TextEnv(pack, Population.model_validate({"kinds": KINDS}), parser, [own])
    assert evaluate(policy, again, 25, seed=1) == found[0], "the same seed brings the same words"
