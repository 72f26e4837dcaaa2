"""Weights as 8-bit integers on disk: one scale a row, symmetric."""

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = ".scale"


def quantise(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Floating matrices become int8 rows with a float scale beside them; vectors stay as they are."""
    packed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.ndim != 2 or not tensor.is_floating_point():
            packed[name] = tensor.contiguous()
            continue
        scale = tensor.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
        packed[name] = (tensor / scale).round().clamp(-127, 127).to(torch.int8).contiguous()
        packed[name + SCALE] = scale.to(torch.float32).contiguous()
    return packed


def dequantise(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `quantise`, up to rounding: |error| ≤ half a step, 1/254 of a row's largest weight."""
    state: dict[str, Tensor] = {}
    for name, tensor in packed.items():
        if name.endswith(SCALE):
            continue
        scale = packed.get(name + SCALE)
        state[name] = tensor if scale is None else tensor.to(torch.float32) * scale
    return state
