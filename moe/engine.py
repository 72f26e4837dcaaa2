"""The encoder for serving: 8-bit matrices on ONNX Runtime, from the very weights that lie on disk."""

from collections.abc import Mapping

import numpy as np
import torch
from onnx import TensorProto
from torch import Tensor, nn

from moe.encoder import EncoderConfig
from moe.graph import EXTENSIONS, Graph
from moe.quantisation import SCALE, dequantise

EPSILON = 1e-12
"""The encoder's layer norms add it to the variance."""


class EncoderEngine(nn.Module):
    """Takes the place of a trained MixtureEncoder; gives its features up to rounding, without gradients."""

    def __init__(self, config: EncoderConfig, packed: Mapping[str, Tensor], threads: int) -> None:
        """`packed` is the encoder's state as `quantise` gives it."""
        super().__init__()
        self.config = config
        # The largest table stays 8-bit, and here: only the rows that are looked up become floats.
        self.words, self.word_scales = packed["words.weight"], packed["words.weight" + SCALE]
        self._session = _Builder(config, packed).graph().session("features", threads)

    def forward(self, pieces: Tensor, segments: Tensor, mask: Tensor) -> Tensor:
        """Word pieces, segment ids, mask, each (batch, seq) → features (batch, seq, width)."""
        words = self.words[pieces] * self.word_scales[pieces]  # (batch, seq, width)
        inputs = {"words": words.numpy(), "segments": segments.numpy(), "mask": mask.numpy()}
        return torch.from_numpy(self._session.run(None, inputs)[0])


class _Builder:
    """moe.encoder and moe.layers once more, as operations of a graph."""

    def __init__(self, config: EncoderConfig, packed: Mapping[str, Tensor]) -> None:
        self.config, self.packed = config, packed
        self.plain = dequantise({n: t for n, t in packed.items() if not n.startswith("words.")})
        self.into = Graph()

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
            hidden = self._output(f"{block}.attention.output", seen, hidden, f"{block}.attention_norm")
            neurons = self._neurons(f"{block}.mixture", hidden)
            hidden = self._output(f"{block}.mixture.down", neurons, hidden, f"{block}.mixture_norm")
        into.name(hidden, "features")
        return into

    def _rows(self, name: str, numbers: str) -> str:
        return self.into.add("Gather", self.into.constant(self.plain[name]), numbers)

    def _norm(self, name: str) -> tuple[str, str]:
        return self.into.constant(self.plain[f"{name}.weight"]), self.into.constant(
            self.plain[f"{name}.bias"]
        )

    def _output(self, name: str, values: str, hidden: str, norm: str) -> str:
        """The last product of a half block, its residual and its layer norm."""
        change, bias = self._product(name, values), self._bias(name)
        inputs = (change, hidden, *self._norm(norm), bias)
        return self.into.add("SkipLayerNormalization", *inputs, domain=EXTENSIONS, epsilon=EPSILON)

    def _attention(self, name: str, hidden: str, mask: str) -> str:
        parts = self._product(f"{name}.query_key_value", hidden)
        query, key, value = self.into.add_several(3, "Split", parts, axis=-1, num_outputs=3)
        bias = self._bias(f"{name}.query_key_value")
        heads = self.config.heads
        return self.into.add(
            "MultiHeadAttention", query, key, value, bias, mask, domain=EXTENSIONS, num_heads=heads
        )

    def _neurons(self, name: str, hidden: str) -> str:
        """The experts' neurons, scaled by the gates."""
        up = self._product(f"{name}.up", hidden)
        neurons = self.into.add("BiasGelu", up, self._bias(f"{name}.up"), domain=EXTENSIONS)
        return self.into.add("Mul", neurons, self._factors(f"{name}.router", hidden))

    def _factors(self, name: str, hidden: str) -> str:
        """What each neuron is multiplied by: 1 for the shared ones, its expert's gate for a routed one."""
        into, config = self.into, self.config
        affinities = into.constant(self.plain[f"{name}.affinity.weight"].t())
        scores = into.add("Sigmoid", into.add("MatMul", hidden, affinities))  # (batch, seq, experts)
        biased = into.add("Add", scores, into.constant(self.plain[f"{name}.bias"]))
        _, chosen = into.add_several(2, "TopK", biased, into.constant([config.top_k]), axis=-1)
        kept = into.add("GatherElements", scores, chosen, axis=-1)  # (batch, seq, top_k)
        total = into.add("ReduceSum", kept, into.constant([-1]), keepdims=1)
        shares = into.add("Div", kept, into.add("Max", total, into.constant(1e-9)))
        nothing = into.add("Mul", scores, into.constant(0.0))
        gates = into.add("ScatterElements", nothing, chosen, shares, axis=-1)  # (batch, seq, experts)
        routed = torch.eye(config.experts).repeat_interleave(config.expert_width, dim=1) * config.top_k
        spread = torch.cat([torch.zeros(config.experts, config.shared), routed], dim=1)  # (experts, neurons)
        common = (spread.sum(0) == 0).float()
        return into.add("Add", into.add("MatMul", gates, into.constant(spread)), into.constant(common))

    def _bias(self, name: str) -> str:
        return self.into.constant(self.plain[f"{name}.bias"])

    def _product(self, name: str, values: str) -> str:
        """values (…, width) times the 8-bit matrix, without its bias: each token has a scale of its own.

        Thus what a message gives does not depend on those beside it in a batch, as it would with
        DynamicQuantizeMatMul, which has one scale for all. Unsigned values with 128 for zero, as the
        processor's 8-bit instructions take unsigned times signed.
        """
        into = self.into
        largest = into.add("ReduceMax", into.add("Abs", values), into.constant([-1]), keepdims=1)
        step = into.add("Mul", into.add("Max", largest, into.constant(1e-9)), into.constant(1 / 127))
        one, zero = into.constant(1.0), into.constant(np.array(128, np.uint8))
        whole = into.add("QuantizeLinear", into.add("Div", values, step), one, zero)
        weight, scale = self.packed[f"{name}.weight"].t(), self.packed[f"{name}.weight" + SCALE].flatten()
        product = into.add(
            "MatMulIntegerToFloat",
            whole,
            into.constant(weight),
            one,
            into.constant(scale),
            zero,
            domain=EXTENSIONS,
        )
        return into.add("Mul", product, step)
