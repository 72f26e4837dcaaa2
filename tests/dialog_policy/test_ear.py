"""What is heard of a meant message, at the error rates that were measured."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from dialog_policy.ear import MISHEARD_BY_TYPOS, MISSED_BY_TYPOS, NoisyEar
from dialog_policy.meaning import Meaning
from domains.schema import OUT_OF_SCOPE, Pack
from nlu.errors import NluErrors
from nlu.understanding import IntentScore
from storage.state import DialogueState

NOWHERE = DialogueState()
"""What was said before does not matter to this ear."""


def make_ear(pack: Pack, rate: float, typos: float = 0.0, **changes: float) -> NoisyEar:
    errors = NluErrors.uniform(rate, [*pack.intents, OUT_OF_SCOPE])
    return NoisyEar(pack, replace(errors, **changes), random.Random(0), typos)  # type: ignore[arg-type]


def test_that_without_errors_everything_is_heard_as_it_was_meant(pack: Pack) -> None:
    ear = make_ear(pack, 0.0)
    for intent in ("transfer_money", "check_balance", "inform"):
        heard = ear.hear(Meaning(intent, {"transfer_amount": "20.00", "ssn": "4821"}, "text"), NOWHERE)
        assert heard.wishes == (intent,)
        assert heard.text == "text"
        assert {e.slot: e.value for e in heard.entities} == {"transfer_amount": "20.00", "ssn": "4821"}
        assert heard.out_of_scope == 0.0
        probabilities = [score.probability for score in heard.intents]
        assert probabilities == sorted(probabilities, reverse=True)
        assert all(0 <= p <= 1 for p in probabilities)


def test_that_what_is_out_of_scope_is_heard_as_such(pack: Pack) -> None:
    heard = make_ear(pack, 0.0).hear(Meaning(OUT_OF_SCOPE), NOWHERE)
    assert heard.wishes == ()
    assert heard.out_of_scope >= 0.5


def test_that_intents_are_misheard_at_the_rate_of_the_table(pack: Pack) -> None:
    ear = make_ear(pack, 0.3)
    heard = [ear.hear(Meaning("transfer_money"), NOWHERE) for _ in range(2000)]
    assert sum(h.wishes != ("transfer_money",) for h in heard) / 2000 == pytest.approx(0.3, abs=0.04)
    assert len({h.wishes for h in heard}) > 50, "errors go everywhere"


def test_that_values_are_missed_and_garbled_at_the_rates_of_the_table(pack: Pack) -> None:
    ear = make_ear(pack, 0.0, slot_missed=0.2, slot_wrong=0.3)
    kinds: Counter[str] = Counter()
    for _ in range(2000):
        entities = ear.hear(Meaning("inform", {"charge_amount": "123.45"}), NOWHERE).entities
        if not entities:
            kinds["missed"] += 1
        elif (entities[0].slot, entities[0].value) == ("charge_amount", "123.45"):
            kinds["right"] += 1
        else:
            kinds["other slot" if entities[0].slot != "charge_amount" else "garbled"] += 1
    assert kinds["missed"] / 2000 == pytest.approx(0.2, abs=0.03)
    assert kinds["right"] / 2000 == pytest.approx(0.5, abs=0.04)
    assert kinds["garbled"] / 2000 == pytest.approx(0.15, abs=0.03)
    assert kinds["other slot"] / 2000 == pytest.approx(0.15, abs=0.03)


def test_that_a_garbled_value_that_is_none_comes_with_the_reason(pack: Pack) -> None:
    ear = make_ear(pack, 0.0, slot_missed=0.0, slot_wrong=1.0)
    heard = [ear.hear(Meaning("inform", {"ssn": "4821"}), NOWHERE).entities[0] for _ in range(20)]
    assert all(e.value is None and e.problem and len(e.text) == 3 for e in heard)


def test_that_a_pressed_button_cannot_be_misheard(pack: Pack) -> None:
    heard = make_ear(pack, 1.0).hear(Meaning("affirm", words="Yes, go ahead", pressed=True), NOWHERE)
    assert heard.intents == (IntentScore("affirm", 1.0),)
    assert heard.wishes == ("affirm",)


def test_that_typing_errors_make_more_misheard_and_missed(pack: Pack) -> None:
    ear = make_ear(pack, 0.0, typos=1.0)
    heard = [ear.hear(Meaning("transfer_money", {"ssn": "4821"}), NOWHERE) for _ in range(2000)]
    misheard = sum(h.wishes != ("transfer_money",) for h in heard) / 2000
    assert misheard == pytest.approx(MISHEARD_BY_TYPOS, abs=0.04)
    assert sum(not h.entities for h in heard) / 2000 == pytest.approx(MISSED_BY_TYPOS, abs=0.04)
