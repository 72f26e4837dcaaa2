"""The vectorised decoder beside pytorch-crf and beside all tag sequences."""

import itertools

import pytest
import torch
from torch import Tensor
from torchcrf import CRF

from nlu.viterbi import best_paths

TAGS = 5


def make(seed: int, rows: int, longest: int, *, whole: bool) -> tuple[CRF, Tensor, Tensor]:
    """A CRF with emissions and mask; in `whole` numbers ties are many and sums exact."""
    torch.manual_seed(seed)
    crf = CRF(TAGS, batch_first=True)
    emissions = torch.randn(rows, longest, TAGS) * 2
    with torch.no_grad():
        for weights in crf.parameters():
            weights.normal_()
            if whole:
                weights.round_()
    lengths = torch.randint(1, longest + 1, (rows,))
    lengths[0] = longest
    mask = torch.arange(longest) < lengths[:, None]
    return crf, emissions.round() if whole else emissions, mask


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("rows", "longest"), [(1, 1), (1, 9), (7, 1), (64, 12)])
def test_that_paths_are_those_of_pytorch_crf(rows: int, longest: int, whole: bool) -> None:
    for seed in range(10):
        crf, emissions, mask = make(seed, rows, longest, whole=whole)
        assert best_paths(crf, emissions, mask) == crf.decode(emissions, mask=mask)


def score(crf: CRF, emissions: Tensor, tags: tuple[int, ...]) -> float:
    total = crf.start_transitions[tags[0]] + crf.end_transitions[tags[-1]]
    total = total + sum(emissions[place, tag] for place, tag in enumerate(tags))
    return float(total + sum(crf.transitions[before, after] for before, after in itertools.pairwise(tags)))


@torch.no_grad()
@pytest.mark.parametrize("whole", [False, True])
def test_that_no_tag_sequence_scores_better(whole: bool) -> None:
    for seed in range(3):
        crf, emissions, mask = make(seed, 4, 4, whole=whole)
        for path, row, length in zip(
            best_paths(crf, emissions, mask), emissions, mask.sum(1).tolist(), strict=True
        ):
            best = max(score(crf, row, tags) for tags in itertools.product(range(TAGS), repeat=length))
            assert score(crf, row, tuple(path)) == pytest.approx(best, abs=1e-4)
