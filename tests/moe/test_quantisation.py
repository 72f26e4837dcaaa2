"""Weights as int8 and back."""

import torch

from moe.quantisation import SCALE, dequantise, quantise


def test_that_a_round_trip_errs_by_at_most_half_a_step_of_the_row() -> None:
    torch.manual_seed(0)
    for spread in (1e-4, 1.0, 300.0):
        weight = spread * torch.randn(20, 33) * torch.rand(20, 1)
        packed = quantise({"layer.weight": weight})
        assert packed["layer.weight"].dtype is torch.int8
        error = (dequantise(packed)["layer.weight"] - weight).abs()
        bound = weight.abs().amax(dim=1, keepdim=True) / 254
        assert (error <= bound * (1 + 1e-4)).all()


def test_that_the_largest_weight_of_a_row_survives_exactly() -> None:
    weight = torch.tensor([[0.5, -2.0, 1.0], [1e-3, 0.0, -1e-4]])
    restored = dequantise(quantise({"w": weight}))["w"]
    torch.testing.assert_close(restored[0, 1], torch.tensor(-2.0))
    torch.testing.assert_close(restored[1, 0], torch.tensor(1e-3))


def test_that_vectors_and_whole_numbers_stay_untouched() -> None:
    state = {
        "norm.weight": torch.randn(7),
        "count": torch.tensor(3),
        "ids": torch.arange(6).view(2, 3),
        "cube": torch.randn(2, 2, 2),
    }
    packed = quantise(state)
    assert packed.keys() == state.keys()
    restored = dequantise(packed)
    assert all(torch.equal(restored[name], tensor) for name, tensor in state.items())


def test_that_a_row_of_zeros_stays_zero() -> None:
    weight = torch.tensor([[0.0, 0.0], [1.0, -1.0]])
    torch.testing.assert_close(dequantise(quantise({"w": weight}))["w"], weight)


def test_that_names_come_back_without_the_scales() -> None:
    packed = quantise({"a.weight": torch.randn(3, 3), "a.bias": torch.randn(3)})
    assert f"a.weight{SCALE}" in packed
    assert dequantise(packed).keys() == {"a.weight", "a.bias"}
