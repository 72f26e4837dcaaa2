"""How intents are learnt from few sentences."""

import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from domains.schema import OUT_OF_SCOPE
from nlu.contrast import (
    NEVER,
    Contrast,
    Sentence,
    contrastive_loss,
    fit_likeness,
    pull_together,
    sentences,
)
from nlu.data import Example
from nlu.model import NluModel
from nlu.parser import Parser
from nlu.pieces import PieceSplitter
from nlu.recipe import TrainConfig
from nlu.train import Trainer, new_model
from tests.nlu.conftest import TINY

KNOWN = [
    *(Sentence(f"please send {n} dollars to my account", "transfer_money") for n in (5, 60, 700)),
    *(Sentence(f"what is the balance of account {n}", "check_balance") for n in (1, 2, 3)),
]
BRIEF = Contrast(steps=25, batch_size=6, rate=3e-3, dropped_words=0.0)


def test_that_the_loss_equals_its_definition_pair_by_pair() -> None:
    torch.manual_seed(0)
    features = F.normalize(torch.randn(6, 4), dim=-1)
    intents = ["a", "b", "a", "c", "b", "a"]  # c is alone: it counts only as one from whom others are told
    temperature = 0.3
    sums = []
    for i in range(6):
        weights = [math.exp(float(features[i] @ features[j]) / temperature) for j in range(6)]
        others = sum(weights) - weights[i]
        pairs = [j for j in range(6) if j != i and intents[j] == intents[i]]
        if pairs:
            sums.append(-sum(math.log(weights[j] / others) for j in pairs) / len(pairs))
    expected = sum(sums) / len(sums)
    assert float(contrastive_loss(features, intents, temperature)) == pytest.approx(expected, rel=1e-5)


def test_that_names_of_intents_count_as_sentences_where_they_have_words() -> None:
    examples = [
        Example("where is it", ("card-arrival",)),
        Example("hm", ("intent_7",)),
        Example("so", ("42",)),
        Example("both", ("card-arrival", "42")),
        Example("weather", (OUT_OF_SCOPE,)),
    ]
    found = sentences(examples)
    assert Sentence("card arrival", "card-arrival") in found
    assert Sentence("intent 7", "intent_7") in found
    assert [s for s in found if s.intent == "42"] == [Sentence("so", "42")]
    assert [s for s in found if s.intent == OUT_OF_SCOPE] == [Sentence("weather", OUT_OF_SCOPE)]
    assert all(s.text != "both" for s in found)


def gap(model: NluModel, splitter: PieceSplitter) -> float:
    """By how much sentences of an intent are more alike than those of two."""
    model.eval()
    with torch.no_grad():
        features = F.normalize(model.embed(splitter([s.text for s in KNOWN], [()] * 6)), dim=-1)
    alike = features @ features.T
    within = torch.cat([alike[:3, :3], alike[3:, 3:]]).mean()
    return float(within - alike[:3, 3:].mean())


def test_that_sentences_of_an_intent_come_to_lie_closer(model: NluModel, splitter: PieceSplitter) -> None:
    before, words = gap(model, splitter), model.encoder.words.weight.clone()
    model.encoder.words.weight.requires_grad_(False)
    pull_together(model, splitter, KNOWN, BRIEF, seed=0)
    assert gap(model, splitter) > before + 0.3
    assert torch.equal(model.encoder.words.weight, words)


def test_that_sentences_out_of_scope_are_not_pulled_together(
    model: NluModel, splitter: PieceSplitter
) -> None:
    before = [p.clone() for p in model.encoder.parameters()]
    strangers = [Sentence(f"what {n}", OUT_OF_SCOPE) for n in range(3)]
    pull_together(model, splitter, [*KNOWN[:3], *strangers], BRIEF, seed=0)
    assert all(torch.equal(p, q) for p, q in zip(before, model.encoder.parameters(), strict=True))


def test_that_a_regression_tells_the_known_sentences_apart(model: NluModel, splitter: PieceSplitter) -> None:
    third = [Sentence("i lost the card", "inform"), Sentence("stolen card", "inform")]
    for known in ([*KNOWN, *third], KNOWN):  # two intents are a case of their own
        fit_likeness(model, splitter, known, strength=1000.0)
        with torch.no_grad():
            features = model.embed(splitter([s.text for s in known], [()] * len(known)))
            scores = model.likeness(features) if model.likeness else torch.empty(0)
        assert [model.config.intents[i] for i in scores.argmax(-1)] == [s.intent for s in known]
    assert model.likeness is not None
    assert float(model.likeness.bias.detach()[model.config.intents.index("inform")]) == NEVER


def test_that_a_model_of_few_sentences_has_its_intents_from_the_contrast_alone(
    splitter: PieceSplitter, tmp_path: Path
) -> None:
    examples = [Example(s.text, (s.intent,), ()) for s in KNOWN]
    config = TrainConfig(epochs=2, batch_size=4, held_out=0.0, contrast=BRIEF)
    trainer = Trainer(examples, None, splitter, config)
    model = new_model(trainer, TINY, lstm_width=8)
    parser = trainer.run(model, tmp_path)
    assert not model.intent_head.weight.any()
    assert not any(p.requires_grad for p in model.encoder.parameters())
    assert accuracy(parser) == 1.0

    again = new_model(trainer, TINY, lstm_width=8)
    assert accuracy(trainer.run(again, tmp_path)) == 1.0, "a finished run is loaded, contrast and all"
    for name, weight in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name


def accuracy(parser: Parser) -> float:
    found = [parser.parse(s.text).intents[0].intent for s in KNOWN]
    return sum(a == s.intent for a, s in zip(found, KNOWN, strict=True)) / len(KNOWN)
