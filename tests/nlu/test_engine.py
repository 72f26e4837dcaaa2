"""The serving engine beside the model in full precision."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from moe.engine import LARGE
from moe.quantisation import dequantise, quantise
from nlu.engine import LstmEngine, WeightsError, serving_model
from nlu.model import NluModel
from nlu.pieces import Batch, PieceSplitter

TEXTS = ["my card", "i lost the card please send money to my account", "how much", "4821"]
CONTEXTS = [["what"], [], ["send money to the account", "my name is dana"], ["card number"]]


@pytest.fixture
def batch(splitter: PieceSplitter) -> Batch:
    return splitter(TEXTS, CONTEXTS)


@pytest.fixture
def rounded(model: NluModel) -> NluModel:
    """The model as it comes back from disk."""
    model.load_state_dict(dequantise(quantise(model.state_dict())))
    return model


@torch.inference_mode()
def test_that_the_engine_scores_as_the_model_does(rounded: NluModel, batch: Batch) -> None:
    served = serving_model(rounded.config, quantise(rounded.state_dict()), threads=1, matrix_unit=False)
    expected, found = rounded(batch), served(batch)
    for name in ("intents", "several", "emissions"):
        first, second = getattr(expected, name), getattr(found, name)
        assert (first - second).abs().max() < 0.02 * max(first.std().item(), 1e-3) + 0.005, name
    assert torch.equal(expected.mask, found.mask)


@torch.inference_mode()
def test_that_a_large_batch_scores_as_in_the_model_where_there_is_a_matrix_unit(
    rounded: NluModel, splitter: PieceSplitter
) -> None:
    texts, contexts = 30 * TEXTS, 30 * CONTEXTS[: len(TEXTS)]
    batch = splitter(texts, contexts)
    assert batch.pieces.numel() >= LARGE
    served = serving_model(rounded.config, quantise(rounded.state_dict()), threads=1, matrix_unit=True)
    expected, found = rounded(batch), served(batch)
    assert not torch.equal(expected.intents, found.intents)
    spread = expected.intents.std()
    assert (expected.intents - found.intents).abs().max() < 0.05 * spread + 0.01
    assert (expected.emissions - found.emissions)[expected.mask].abs().max() < 0.05


@torch.inference_mode()
def test_that_a_message_is_scored_the_same_alone_and_beside_others(
    model: NluModel, splitter: PieceSplitter, batch: Batch
) -> None:
    served = serving_model(model.config, quantise(model.state_dict()), threads=1)
    together = served(batch)
    for row, (text, context) in enumerate(zip(TEXTS, CONTEXTS, strict=True)):
        alone = served(splitter([text], [context]))
        length = alone.emissions.shape[1]
        torch.testing.assert_close(together.intents[row], alone.intents[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(together.emissions[row, :length], alone.emissions[0], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_that_two_runs_give_the_very_same_scores(model: NluModel, batch: Batch) -> None:
    packed = quantise(model.state_dict())
    first, second = (serving_model(model.config, packed, threads=1)(batch) for _ in range(2))
    assert torch.equal(first.intents, second.intents)
    assert torch.equal(first.emissions, second.emissions)


@torch.inference_mode()
@pytest.mark.parametrize("changes", [{"experts": 6, "expert_width": 5}, {"shared": 7}, {"top_k": 4}])
def test_that_any_mixture_can_be_served(
    model: NluModel, splitter: PieceSplitter, changes: dict[str, int]
) -> None:
    torch.manual_seed(2)
    config = replace(model.config, encoder=replace(model.config.encoder, **changes), lstm_width=5)
    other = NluModel(config).eval()
    for mixture in other.encoder.mixtures():
        mixture.router.bias.uniform_(-0.3, 0.3)
    other.load_state_dict(dequantise(quantise(other.state_dict())))
    batch = splitter(TEXTS, CONTEXTS)
    features = serving_model(config, quantise(other.state_dict()), threads=1).encoder(
        batch.pieces, batch.segments, batch.mask
    )
    expected = other.encoder(batch.pieces, batch.segments, batch.mask)
    assert (features - expected)[batch.mask].abs().max() < 0.05


def read(lstm: nn.Module, steps: Tensor, lengths: Tensor) -> PackedSequence:
    packed = pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
    found: PackedSequence = lstm(packed)[0]
    return found


@torch.inference_mode()
@pytest.mark.parametrize("lengths", [[1], [5], [3, 1, 6, 6, 2]])
def test_that_the_lstm_reads_as_pytorchs_does(lengths: list[int]) -> None:
    torch.manual_seed(3)
    lstm = nn.LSTM(4, 3, batch_first=True, bidirectional=True)
    steps = torch.randn(len(lengths), max(lengths), 4)
    found = read(LstmEngine(lstm, threads=1, matrix_unit=True), steps, torch.tensor(lengths))
    expected = read(lstm, steps, torch.tensor(lengths))
    assert torch.equal(found.batch_sizes, expected.batch_sizes)
    torch.testing.assert_close(found.data, expected.data, atol=1e-5, rtol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("matrix_unit", [False, True])
def test_that_the_lstm_reads_a_large_batch_of_any_lengths_as_pytorchs_does(matrix_unit: bool) -> None:
    torch.manual_seed(3)
    lstm = nn.LSTM(4, 3, batch_first=True, bidirectional=True)
    lengths = torch.randint(1, 8, (LARGE,))
    steps = torch.randn(LARGE, int(lengths.max()), 4)
    found = read(LstmEngine(lstm, threads=1, matrix_unit=matrix_unit), steps, lengths)
    expected = read(lstm, steps, lengths)
    assert torch.equal(found.batch_sizes, expected.batch_sizes)
    assert torch.equal(found.data, found.data.bfloat16().float()) == matrix_unit
    tolerance = 0.02 if matrix_unit else 1e-5
    torch.testing.assert_close(found.data, expected.data, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("options", [{"bidirectional": False}, {"num_layers": 2}, {"bias": False}])
def test_that_an_lstm_of_another_kind_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="only bidirectional LSTMs of one layer"):
        LstmEngine(
            nn.LSTM(4, 3, batch_first=True, **{"bidirectional": True, **options}),
            threads=1,
            matrix_unit=False,
        )


@pytest.mark.parametrize("name", ["encoder.norm.weight", "crf.transitions", "encoder.words.weight"])
def test_that_weights_that_are_missing_or_of_another_size_are_named(model: NluModel, name: str) -> None:
    packed = quantise(model.state_dict())
    with pytest.raises(WeightsError, match=rf"{name}: expected \(.*\), found None"):
        serving_model(model.config, {n: t for n, t in packed.items() if n != name})
    with pytest.raises(WeightsError, match=rf"{name}: expected \(.*\), found \(1,\)"):
        serving_model(model.config, {**packed, name: torch.zeros(1)})
