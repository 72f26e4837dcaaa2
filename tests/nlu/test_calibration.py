"""Probabilities that mean what they say."""

from dataclasses import dataclass
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from domains.schema import OUT_OF_SCOPE
from nlu.calibration import (
    Calibration,
    calibrate,
    expected_calibration_error,
    outside_scores,
    strangeness,
)
from nlu.data import Example
from nlu.model import NluConfig, NluModel, Scores
from nlu.pieces import PieceSplitter

INTENTS = ("a", "b", "c", OUT_OF_SCOPE)


@dataclass
class GivenLogits:
    """A model that knows its logits by the message, which is a row's number."""

    logits: Tensor
    config = NluConfig(INTENTS, ())

    def eval(self) -> None: ...

    def __call__(self, texts: list[str]) -> Scores:
        return Scores(self.logits[[int(text) for text in texts]], *(torch.empty(0),) * 3)


def calibrate_on(logits: Tensor, gold: Tensor, usual: float | None = None) -> Calibration:
    examples = [Example(str(row), (INTENTS[intent],)) for row, intent in enumerate(gold.tolist())]
    splitter: Any = lambda texts, contexts: texts  # noqa: E731
    return calibrate(
        cast(NluModel, GivenLogits(logits)), cast(PieceSplitter, splitter), examples, usual=usual
    )


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_that_the_temperature_takes_overconfidence_back(factor: float) -> None:
    torch.manual_seed(0)
    honest = 2 * torch.randn(4000, 4)
    gold = torch.multinomial(honest.softmax(-1), 1).squeeze(-1)
    assert calibrate_on(factor * honest, gold).temperature == pytest.approx(factor, rel=0.1)


def test_that_few_examples_take_the_temperature_less_far_from_the_usual_one_than_many() -> None:
    torch.manual_seed(0)
    honest = 2 * torch.randn(4000, 4)
    gold = torch.multinomial(honest.softmax(-1), 1).squeeze(-1)
    assert calibrate_on(2 * honest, gold, usual=0.5).temperature == pytest.approx(2.0, rel=0.1)
    samples = [slice(start, start + 12) for start in range(0, 600, 12)]
    alone = torch.tensor([calibrate_on(honest[s], gold[s]).temperature for s in samples])
    guided = torch.tensor([calibrate_on(honest[s], gold[s], usual=1.0).temperature for s in samples])
    assert (guided - 1).square().mean() < (alone - 1).square().mean() / 4


def test_that_the_threshold_lets_one_in_a_hundred_of_the_served_messages_be_refused() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1000, 4)
    logits[:, 3] += torch.linspace(-4, 4, 1000)
    found = calibrate_on(logits, torch.zeros(1000, dtype=torch.long))
    outside = outside_scores(logits / found.temperature, INTENTS, found)
    assert (outside > found.out_of_scope_threshold).float().mean().item() == pytest.approx(0.01, abs=0.002)


def test_that_the_threshold_looks_at_served_messages_only() -> None:
    logits = torch.zeros(100, 4)
    logits[:90, 0] = 6.0
    logits[90:, 3] = 6.0
    gold = torch.tensor([0] * 90 + [3] * 10)
    found = calibrate_on(logits, gold)
    outside = outside_scores(logits / found.temperature, INTENTS, found)
    assert (outside[90:] > found.out_of_scope_threshold).all()
    assert not (outside[:90] > found.out_of_scope_threshold).any()


def test_that_a_message_like_nothing_learnt_is_stranger_than_one_between_two_intents() -> None:
    between, unlike, foreign = [5.0, 5.0, -3.0, -3.0], [0.5, -1.0, -3.0, -3.0], [0.5, -1.0, -3.0, 4.0]
    found = strangeness(torch.tensor([between, unlike, foreign]), INTENTS)
    assert found[0] < found[1] < found[2]


def test_that_without_examples_nothing_is_calibrated() -> None:
    assert calibrate_on(torch.empty(0, 4), torch.empty(0)) == Calibration()


def test_that_the_calibration_error_is_nought_for_honest_and_one_for_wholly_wrong_confidences() -> None:
    certain = torch.ones(50)
    assert expected_calibration_error(certain, torch.ones(50, dtype=torch.bool)) == pytest.approx(0.0)
    assert expected_calibration_error(certain, torch.zeros(50, dtype=torch.bool)) == pytest.approx(1.0)


def test_that_the_calibration_error_is_the_gap_weighted_over_the_bins() -> None:
    confidences = torch.tensor([0.9] * 10 + [0.5] * 30)
    right = torch.tensor([True] * 7 + [False] * 3 + [True] * 15 + [False] * 15)
    assert expected_calibration_error(confidences, right) == pytest.approx(0.25 * 0.2)


def test_that_the_calibration_error_lies_between_nought_and_one() -> None:
    torch.manual_seed(0)
    for _ in range(50):
        error = expected_calibration_error(torch.rand(40), torch.rand(40) > 0.5)
        assert 0 <= error <= 1


def test_that_doubt_stands_for_out_of_scope_where_no_example_was() -> None:
    probabilities = torch.tensor([[0.9, 0.05, 0.03, 0.02], [0.2, 0.2, 0.2, 0.4], [0.25, 0.25, 0.49, 0.01]])
    logits = probabilities.log()
    doubts = outside_scores(logits, INTENTS, Calibration(doubt=True))
    torch.testing.assert_close(doubts, torch.tensor([0.1, 0.8, 0.51]))
    torch.testing.assert_close(outside_scores(logits, INTENTS, Calibration()), probabilities[:, 3])


def test_that_doubt_rejects_only_where_no_intent_is_near() -> None:
    logits = torch.zeros(200, 4)
    logits[torch.arange(200), torch.arange(200) % 3] = 2.0
    examples = [Example(str(row), (INTENTS[row % 3],)) for row in range(200)]
    splitter: Any = lambda texts, contexts: texts  # noqa: E731
    found = calibrate(
        cast(NluModel, GivenLogits(logits)), cast(PieceSplitter, splitter), examples, doubt=True
    )
    assert found.doubt
    assert found.out_of_scope_threshold >= 0.75
