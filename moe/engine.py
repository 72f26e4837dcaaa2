"""The encoder for serving, from the very weights that lie on disk: 8-bit matrices on ONNX Runtime."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from onnx import TensorProto
from torch import Tensor, nn
from torch.nn import functional as F

from moe.encoder import EncoderConfig, MixtureEncoder
from moe.graph import EXTENSIONS, Graph
from moe.quantisation import SCALE, dequantise

EPSILON = 1e-12
"""The encoder's layer norms add it to the variance."""
LARGE = 256
"""Word pieces of a batch, padding included, from which it is a large one."""
GRAIN = 16
"""Large batches have a multiple of this many messages and pieces."""
EVERY = slice(None)


class EncoderEngine(nn.Module):
    """Takes the place of a trained MixtureEncoder; gives its features up to rounding, without gradients.

    A large batch goes another way where the processor multiplies matrices in bfloat16 (AMX): there
    PyTorch is faster, while for one message its calls cost more than their work.
    """

    def __init__(
        self, config: EncoderConfig, packed: Mapping[str, Tensor], threads: int, *, matrix_unit: bool
    ) -> None:
        """`packed` is the encoder's state as `quantise` gives it."""
        super().__init__()
        self.config = config
        self.words = _Words(packed, torch.float32)
        self._session = _Builder(config, packed).graph().session("features", threads)
        self._packed, self._matrix_unit = packed, matrix_unit

    @cached_property
    def large(self) -> MixtureEncoder:
        """Made when the first large batch comes: a server that answers one message at a time needs none."""
        return _bfloat16_encoder(self.config, self._packed)

    def forward(self, pieces: Tensor, segments: Tensor, mask: Tensor) -> Tensor:
        """Word pieces, segment ids, mask, each (batch, seq) → features (batch, seq, width)."""
        if self._matrix_unit and pieces.numel() >= LARGE:
            rows, length = pieces.shape
            padded = [round_up(values) for values in (pieces, segments, mask)]
            features: Tensor = self.large(*padded)[:rows, :length].float()
            return features
        inputs = {"words": self.words(pieces).numpy(), "segments": segments.numpy(), "mask": mask.numpy()}
        return torch.from_numpy(self._session.run(None, inputs)[0])


class _Words(nn.Module):
    """The largest table stays 8-bit: only the rows that are looked up become floats."""

    def __init__(self, packed: Mapping[str, Tensor], dtype: torch.dtype) -> None:
        super().__init__()
        self.rows, self.scales = packed["words.weight"], packed["words.weight" + SCALE]
        self.dtype = dtype

    def forward(self, pieces: Tensor) -> Tensor:
        """pieces (batch, seq) → (batch, seq, width)"""
        return (self.rows[pieces] * self.scales[pieces]).to(self.dtype)


def round_up(values: Tensor) -> Tensor:
    """Zeros behind the first two dimensions up to multiples of GRAIN.

    For every shape of a product PyTorch keeps a kernel; without this, memory would grow with each new one.
    """
    first, second = (-size % GRAIN for size in values.shape[:2])
    rest = [0, 0] * (values.ndim - 2)
    return F.pad(values, (*rest, 0, second, 0, first))


def _bfloat16_encoder(config: EncoderConfig, packed: Mapping[str, Tensor]) -> MixtureEncoder:
    plain = dequantise({name: t for name, t in packed.items() if not name.startswith("words.")})
    with torch.device("meta"):
        encoder = MixtureEncoder(config)
    encoder.words = _Words(packed, torch.bfloat16)  # type: ignore[assignment]
    encoder.load_state_dict({name: t.bfloat16() for name, t in plain.items()}, assign=True)
    return encoder.eval().requires_grad_(False)


@dataclass(frozen=True)
class _Tokens:
    """Values of a graph as 8-bit whole numbers."""

    whole: str
    """(…, width)"""
    step: str
    """(…, 1) what one whole number stands for, token by token."""


class _Builder:
    """moe.encoder and moe.layers once more, as operations of a graph."""

    def __init__(self, config: EncoderConfig, packed: Mapping[str, Tensor]) -> None:
        self.config, self.packed = config, packed
        self.plain = dequantise({n: t for n, t in packed.items() if not n.startswith("words.")})
        self.into = Graph()
        self.one = self.into.constant(1.0)
        self.zero = self.into.constant(np.array(128, np.uint8))

    def graph(self) -> Graph:
        into = self.into
        words = into.take("words", "float32", "batch", "seq", self.config.hidden_width)
        segments = into.take("segments", "int64", "batch", "seq")
        mask = into.take("mask", "bool", "batch", "seq")
        length = into.add("Gather", into.add("Shape", mask), into.constant(1))
        places = into.add("Range", into.constant(0), length, into.constant(1))
        hidden = into.add("Add", words, self._rows("positions.weight", places))
        hidden = into.add("Add", hidden, self._rows("segments.weight", segments))
        hidden = into.add("LayerNormalization", hidden, *self._norm("norm"), epsilon=EPSILON)
        real = into.add("Cast", mask, to=TensorProto.INT32)
        for number in range(self.config.layers):
            block = f"blocks.{number}"
            seen = self._attention(f"{block}.attention", hidden, real)
            hidden = self._output(
                seen, self._bias(f"{block}.attention.output"), hidden, f"{block}.attention_norm"
            )
            added = self._mixture(f"{block}.mixture", hidden)
            hidden = self._output(added, self._bias(f"{block}.mixture.down"), hidden, f"{block}.mixture_norm")
        into.name(hidden, "features")
        return into

    def _rows(self, name: str, numbers: str) -> str:
        return self.into.add("Gather", self.into.constant(self.plain[name]), numbers)

    def _norm(self, name: str) -> tuple[str, str]:
        return self.into.constant(self.plain[f"{name}.weight"]), self.into.constant(
            self.plain[f"{name}.bias"]
        )

    def _output(self, change: str, bias: str, hidden: str, norm: str) -> str:
        """The end of a half block: bias, residual, norm. Their fused operator takes several times as long."""
        changed = self.into.add("Add", self.into.add("Add", change, bias), hidden)
        return self.into.add("LayerNormalization", changed, *self._norm(norm), epsilon=EPSILON)

    def _attention(self, name: str, hidden: str, mask: str) -> str:
        width, tokens = self.config.hidden_width, self._quantised(hidden)
        parts = f"{name}.query_key_value"
        places = [slice(number * width, (number + 1) * width) for number in range(3)]
        query, key, value = [self._product(parts, tokens, outputs=place) for place in places]
        mixed = self.into.add(
            "MultiHeadAttention",
            query,
            key,
            value,
            self._bias(parts),
            mask,
            domain=EXTENSIONS,
            num_heads=self.config.heads,
        )
        return self._product(f"{name}.output", self._quantised(mixed))

    def _mixture(self, name: str, hidden: str) -> str:
        """Shared and routed neurons apart, so that gates meet the routed ones alone."""
        tokens, shared = self._quantised(hidden), self.config.shared
        neurons = shared + self.config.experts * self.config.expert_width
        common = self._neurons(name, tokens, slice(0, shared))
        routed = self._neurons(name, tokens, slice(shared, neurons))
        apart = self.into.constant([0, 0, self.config.experts, self.config.expert_width])
        joined = self.into.constant([0, 0, neurons - shared])
        routed = self.into.add("Reshape", routed, apart)
        routed = self.into.add("Mul", routed, self._gates(f"{name}.router", hidden))
        routed = self.into.add("Reshape", routed, joined)
        return self.into.add(
            "Add",
            self._product(f"{name}.down", self._quantised(common), inputs=slice(0, shared)),
            self._product(f"{name}.down", self._quantised(routed), inputs=slice(shared, neurons)),
        )

    def _neurons(self, name: str, tokens: _Tokens, which: slice) -> str:
        up = self._product(f"{name}.up", tokens, outputs=which)
        bias = self.into.constant(self.plain[f"{name}.up.bias"][which])
        return self.into.add("BiasGelu", up, bias, domain=EXTENSIONS)

    def _gates(self, name: str, hidden: str) -> str:
        """(batch, seq, experts, 1): what the neurons of each routed expert are multiplied by."""
        into, config = self.into, self.config
        affinities = into.constant(self.plain[f"{name}.affinity.weight"].t())
        scores = into.add("Sigmoid", into.add("MatMul", hidden, affinities))  # (batch, seq, experts)
        biased = into.add("Add", scores, into.constant(self.plain[f"{name}.bias"]))
        _, chosen = into.add_several(2, "TopK", biased, into.constant([config.top_k]), axis=-1)
        kept = into.add("GatherElements", scores, chosen, axis=-1)  # (batch, seq, top_k)
        total = into.add("ReduceSum", kept, into.constant([-1]), keepdims=1)
        shares = into.add("Div", kept, into.add("Max", total, into.constant(1e-9)))
        shares = into.add("Mul", shares, into.constant(float(config.top_k)))
        nothing = into.add("Mul", scores, into.constant(0.0))
        gates = into.add("ScatterElements", nothing, chosen, shares, axis=-1)  # (batch, seq, experts)
        return into.add("Unsqueeze", gates, into.constant([-1]))

    def _bias(self, name: str) -> str:
        return self.into.constant(self.plain[f"{name}.bias"])

    def _quantised(self, values: str) -> _Tokens:
        """values (…, width) as whole numbers: each token has a scale of its own.

        Thus what a message gives does not depend on those beside it in a batch, as it would with
        DynamicQuantizeMatMul, which has one scale for all. Unsigned with 128 for zero, as the
        processor's 8-bit instructions take unsigned times signed.
        """
        into = self.into
        highest = into.add("ReduceMax", values, into.constant([-1]), keepdims=1)
        lowest = into.add("ReduceMin", values, into.constant([-1]), keepdims=1)
        largest = into.add("Max", highest, into.add("Neg", lowest), into.constant(1e-9))
        step = into.add("Mul", largest, into.constant(1 / 127))
        scaled = into.add("Mul", values, into.add("Reciprocal", step))
        return _Tokens(into.add("QuantizeLinear", scaled, self.one, self.zero), step)

    def _product(self, name: str, tokens: _Tokens, outputs: slice = EVERY, inputs: slice = EVERY) -> str:
        """tokens times the 8-bit matrix, or the named part of it, without its bias."""
        weight = self.packed[f"{name}.weight"][outputs, inputs].t()
        scale = self.packed[f"{name}.weight" + SCALE].flatten()[outputs]
        product = self.into.add(
            "MatMulIntegerToFloat",
            tokens.whole,
            self.into.constant(weight),
            self.one,
            self.into.constant(scale),
            self.zero,
            domain=EXTENSIONS,
        )
        return self.into.add("Mul", product, tokens.step)
