"""The joint model: its CRF against all tag sequences, and padding that changes nothing."""

import itertools

import pytest
import torch
from torch import Tensor

from nlu.model import NluConfig, NluModel, Scores
from nlu.pieces import PieceSplitter

LENGTHS = (1, 2, 3, 4)
TAGS = 7


@pytest.fixture
def scores(model: NluModel) -> Scores:
    """Random emissions of four messages, of one to four pieces."""
    torch.manual_seed(1)
    with torch.no_grad():
        for weights in (model.crf.start_transitions, model.crf.end_transitions, model.crf.transitions):
            weights.normal_()
    longest = max(LENGTHS)
    mask = torch.arange(longest) < torch.tensor(LENGTHS)[:, None]
    rows = len(LENGTHS)
    return Scores(torch.zeros(rows, 4), torch.zeros(rows), torch.randn(rows, longest, TAGS), mask)


def sequence_score(model: NluModel, emissions: Tensor, tags: tuple[int, ...]) -> float:
    crf = model.crf
    total = crf.start_transitions[tags[0]] + crf.end_transitions[tags[-1]]
    total = total + sum(emissions[place, tag] for place, tag in enumerate(tags))
    for before, after in itertools.pairwise(tags):
        total = total + crf.transitions[before, after]
    return float(total.item())


def all_scores(model: NluModel, emissions: Tensor) -> dict[tuple[int, ...], float]:
    sequences = itertools.product(range(TAGS), repeat=len(emissions))
    return {tags: sequence_score(model, emissions, tags) for tags in sequences}


def test_that_decoding_finds_the_best_of_all_tag_sequences(model: NluModel, scores: Scores) -> None:
    for path, emissions, length in zip(model.decode(scores), scores.emissions, LENGTHS, strict=True):
        every = all_scores(model, emissions[:length])
        assert tuple(path) == max(every, key=every.__getitem__)


def test_that_the_slot_loss_is_the_likelihood_among_all_sequences_a_piece(
    model: NluModel, scores: Scores
) -> None:
    tags = torch.randint(0, TAGS, scores.mask.shape)
    total = 0.0
    for row, length in enumerate(LENGTHS):
        every = all_scores(model, scores.emissions[row, :length])
        gold = every[tuple(tags[row, :length].tolist())]
        total += torch.tensor(list(every.values())).logsumexp(0).item() - gold
    assert model.slot_loss(scores, tags).item() == pytest.approx(total / sum(LENGTHS), rel=1e-4)


def test_that_tags_behind_the_end_of_a_message_do_not_count(model: NluModel, scores: Scores) -> None:
    tags = torch.randint(0, TAGS, scores.mask.shape)
    other = torch.where(scores.mask, tags, (tags + 1) % TAGS)
    assert not torch.equal(tags, other)
    assert model.slot_loss(scores, tags).item() == model.slot_loss(scores, other).item()


@torch.inference_mode()
def test_that_a_message_scores_the_same_alone_and_beside_longer_ones(
    model: NluModel, splitter: PieceSplitter
) -> None:
    texts = ["my card", "i lost the card please send money to my account", "how much"]
    contexts = [["what"], [], ["send money to the account", "my name is dana"]]
    together = model(splitter(texts, contexts))
    for row, (text, context) in enumerate(zip(texts, contexts, strict=True)):
        alone = model(splitter([text], [context]))
        length = alone.emissions.shape[1]
        for found, expected in (
            (together.intents[row], alone.intents[0]),
            (together.several[row], alone.several[0]),
            (together.emissions[row, :length], alone.emissions[0]),
        ):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        assert together.mask[row].sum() == length


@torch.inference_mode()
def test_that_the_context_counts(model: NluModel, splitter: PieceSplitter) -> None:
    first, second = model(splitter(["4821", "4821"], [["card"], ["name"]])).intents
    assert not torch.allclose(first, second)


def test_that_tags_are_o_and_a_pair_for_each_slot() -> None:
    assert NluConfig(("a",), ("x", "y")).tags == ("O", "B-x", "I-x", "B-y", "I-y")
