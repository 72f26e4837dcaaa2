"""A long prompt through all blocks at once, for its keys and values, where the processor has a matrix unit.

On others, and for short prompts, the compiled step of moe/kernels.py is faster: it reads 8-bit weights, of
the experts only those that act; this computes all in bfloat16.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from moe.generator import GeneratorBlock, GeneratorConfig, MixtureGenerator, rope_angles, rotate
from moe.kernels import States
from moe.quantisation import SCALE, dequantise

GRAIN = 16
"""Tokens are read in multiples of it: PyTorch keeps a kernel for every new shape."""


class NarrowLinear(nn.Linear):
    """A product in bfloat16 between floats."""

    def forward(self, values: Tensor) -> Tensor:
        return F.linear(values.bfloat16(), self.weight).float()


class PromptReader:
    def __init__(self, config: GeneratorConfig, weights: Mapping[str, Tensor]) -> None:
        """`weights` as `quantise` gives them, or in full precision."""
        with torch.device("meta"):
            model = MixtureGenerator(config)
            for name, module in [*model.named_modules()]:
                if isinstance(module, nn.Linear) and "router" not in name:
                    model.set_submodule(
                        name, NarrowLinear(module.in_features, module.out_features, bias=False)
                    )
        narrow = {f"{name}.weight" for name, m in model.named_modules() if isinstance(m, NarrowLinear)}
        state: dict[str, Tensor] = {}
        for name in weights:  # one at a time: in full precision they take four times the room
            if not name.endswith(SCALE):
                plain = dequantise({n: weights[n] for n in (name, name + SCALE) if n in weights})[name]
                state[name] = plain.bfloat16() if name in narrow else plain.clone()
        model.load_state_dict(state, assign=True)
        self.model = model.eval().requires_grad_(False)
        self.angles = rope_angles(config, config.positions)

    @torch.inference_mode()
    def read(self, tokens: Sequence[int], start: int, states: States, slot: int) -> None:
        """Write keys and values of tokens that follow `start` earlier ones into the slot."""
        length, size = len(tokens), -len(tokens) % GRAIN + len(tokens)
        padded = torch.zeros(size, dtype=torch.long)
        padded[:length] = torch.tensor(tokens)
        places = (start + torch.arange(size)).clamp_max(len(self.angles[0]) - 1)
        angles = self.angles[0][places], self.angles[1][places]
        seen = torch.arange(start + length) <= places.unsqueeze(1)  # (size, start + length)
        hidden = self.model.words(padded)  # (size, width)
        for layer, block in enumerate(self.model.blocks):
            assert isinstance(block, GeneratorBlock)
            keys, values = (torch.from_numpy(part[slot, layer]) for part in states)
            hidden = _read_block(block, hidden, keys, values, start, length, angles, seen)


def _read_block(
    block: GeneratorBlock,
    hidden: Tensor,
    keys: Tensor,
    values: Tensor,
    start: int,
    length: int,
    angles: tuple[Tensor, Tensor],
    seen: Tensor,
) -> Tensor:
    """hidden (size, width), of which `length` are real; keys, values (groups, positions, head) are filled."""
    attention, stop = block.attention, start + length
    parts = attention.query_key_value(block.attention_norm(hidden))
    parts = parts.unflatten(-1, (-1, attention.head_width)).transpose(0, 1)  # (all heads, size, head)
    query, key, value = parts.split([attention.heads, attention.groups, attention.groups])
    keys[:, start:stop] = rotate(key, angles)[:, :length]
    values[:, start:stop] = value[:, :length]
    mixed = F.scaled_dot_product_attention(
        rotate(query, angles)[None], keys[None, :, :stop], values[None, :, :stop], seen, enable_gqa=True
    )[0]  # (heads, size, head)
    hidden = hidden + attention.output(mixed.transpose(0, 1).flatten(1))
    real = torch.ones(len(hidden), dtype=torch.bool)
    mixture: Tensor = block.mixture(block.mixture_norm(hidden), real)
    return hidden + mixture
