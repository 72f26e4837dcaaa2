"""From a dense model to a mixture of experts (sparse upcycling, arXiv:2212.05055)."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from moe.encoder import EncoderConfig, MixtureEncoder
from moe.generator import GeneratorConfig, MixtureGenerator
from moe.layers import Inputs

REGROUPINGS = 10
RIDGE = 1e-3
"""Share of the inputs' mean square by which the router's fit is held back."""
AFFINITY = 0.3
"""Logits a standard deviation of an expert's strength: small, so that the gates start near one."""


def load_bert(dense: MixtureEncoder, weights: Mapping[str, Tensor]) -> None:
    """Fill a `dense_twin` from a BERT checkpoint of the same sizes.

    Raises KeyError for a checkpoint with other names, RuntimeError for one with other sizes.
    """
    state: dict[str, Tensor] = {
        "words.weight": weights["embeddings.word_embeddings.weight"],
        "positions.weight": weights["embeddings.position_embeddings.weight"],
        "segments.weight": weights["embeddings.token_type_embeddings.weight"],
        "norm.weight": weights["embeddings.LayerNorm.weight"],
        "norm.bias": weights["embeddings.LayerNorm.bias"],
    }
    for layer in range(dense.config.layers):
        source, target = f"encoder.layer.{layer}", f"blocks.{layer}"
        attention = [f"{source}.attention.self.{name}" for name in ("query", "key", "value")]
        for kind in ("weight", "bias"):
            state[f"{target}.attention.query_key_value.{kind}"] = torch.cat(
                [weights[f"{a}.{kind}"] for a in attention]
            )
            state[f"{target}.attention.output.{kind}"] = weights[f"{source}.attention.output.dense.{kind}"]
            state[f"{target}.attention_norm.{kind}"] = weights[f"{source}.attention.output.LayerNorm.{kind}"]
            state[f"{target}.mixture.up.{kind}"] = weights[f"{source}.intermediate.dense.{kind}"]
            state[f"{target}.mixture.down.{kind}"] = weights[f"{source}.output.dense.{kind}"]
            state[f"{target}.mixture_norm.{kind}"] = weights[f"{source}.output.LayerNorm.{kind}"]
        router = dense.mixtures()[layer].router
        state[f"{target}.mixture.router.affinity.weight"] = torch.zeros_like(router.affinity.weight)
        state[f"{target}.mixture.router.bias"] = torch.zeros_like(router.bias)
    dense.load_state_dict(state)


@torch.no_grad()
def upcycle(
    dense: MixtureEncoder, config: EncoderConfig, inputs: Iterable[Inputs], seed: int = 0
) -> MixtureEncoder:
    """A mixture with the neurons of `dense`, dealt out and routed by what they do on `inputs`.

    A few hundred typical messages are enough; it still needs healing (moe/healing.py).
    """
    generator = torch.Generator().manual_seed(seed)
    mixture = MixtureEncoder(config)
    state = {name: tensor for name, tensor in dense.state_dict().items() if "router" not in name}
    for layer, (hidden, neurons) in enumerate(_watch(dense, inputs)):
        down = state[f"blocks.{layer}.mixture.down.weight"]
        order, affinity = _deal(hidden, neurons, down, config, generator)
        _rearrange(state, layer, order, affinity, ("up.weight", "up.bias"))
    mixture.load_state_dict(state)
    return mixture


@torch.no_grad()
def upcycle_generator(
    dense: MixtureGenerator, config: GeneratorConfig, inputs: Iterable[tuple[Tensor, Tensor]], seed: int = 0
) -> MixtureGenerator:
    """The same for a generator; inputs are tokens and mask, each (batch, seq)."""
    generator = torch.Generator().manual_seed(seed)
    mixture = MixtureGenerator(config)
    state = {name: tensor for name, tensor in dense.state_dict().items() if "router" not in name}
    dense.eval()
    read: list[list[Tensor]] = [[] for _ in dense.mixtures()]
    for tokens, mask in inputs:
        hooks = [
            block.register_forward_pre_hook(lambda _, args, kept=kept, real=mask: kept.append(args[0][real]))
            for block, kept in zip(dense.mixtures(), read, strict=True)
        ]
        dense(tokens, mask)
        for hook in hooks:
            hook.remove()
    for layer, (kept, block) in enumerate(zip(read, dense.mixtures(), strict=True)):
        hidden = torch.cat(kept)  # (tokens, width)
        order, affinity = _deal(hidden, block.activate(hidden), block.down.weight, config, generator)
        _rearrange(state, layer, order, affinity, ("gate.weight", "up.weight"))
    mixture.load_state_dict(state)
    return mixture


def _rearrange(
    state: dict[str, Tensor], layer: int, order: Tensor, affinity: Tensor, inner: tuple[str, ...]
) -> None:
    """Put a block's neurons into their new `order`, and a router with these affinities before them."""
    name = f"blocks.{layer}.mixture"
    state[f"{name}.router.affinity.weight"] = affinity
    state[f"{name}.router.bias"] = torch.zeros(len(affinity))
    for part in inner:
        state[f"{name}.{part}"] = state[f"{name}.{part}"][order]
    state[f"{name}.down.weight"] = state[f"{name}.down.weight"][:, order]


def _deal(
    hidden: Tensor,
    neurons: Tensor,
    down: Tensor,
    config: EncoderConfig | GeneratorConfig,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """A block's order of neurons and its router's affinities."""
    order = deal_neurons(neurons, down, config.shared, config.experts, generator)
    groups = order[config.shared :].unflatten(0, (config.experts, config.expert_width))
    strength = torch.stack([(neurons[:, g] @ down[:, g].T).norm(dim=-1) for g in groups], dim=-1)
    return order, fit_router(hidden, strength)


def _watch(dense: MixtureEncoder, inputs: Iterable[Inputs]) -> list[tuple[Tensor, Tensor]]:
    """For each block what its mixture reads (tokens, width) and its neurons' outputs (tokens, neurons)."""
    dense.eval()
    read: list[list[Tensor]] = [[] for _ in dense.mixtures()]
    for pieces, segments, mask in inputs:
        hooks = [
            mixture.up.register_forward_pre_hook(
                lambda _, args, kept=kept, real=mask: kept.append(args[0][real])
            )
            for mixture, kept in zip(dense.mixtures(), read, strict=True)
        ]
        dense(pieces, segments, mask)
        for hook in hooks:
            hook.remove()
    hidden = [torch.cat(kept) for kept in read]
    return [(h, F.gelu(mixture.up(h))) for h, mixture in zip(hidden, dense.mixtures(), strict=True)]


def deal_neurons(
    neurons: Tensor, down: Tensor, shared: int, experts: int, generator: torch.Generator
) -> Tensor:
    """An order of the neurons: the most used are shared, the others grouped by when they are active.

    neurons (tokens, neurons) their outputs, down (width, neurons) → indices (neurons,): `shared` shared ones,
    then the experts' equal groups, one after the other. Use is the mean size of what a neuron adds; groups
    are balanced k-means over the neurons' co-activation (as MoEfication does, arXiv:2110.01786).
    """
    added = neurons.abs() * down.norm(dim=0)  # (tokens, neurons)
    ranked = added.mean(0).argsort(descending=True)
    common, rest = ranked[:shared], ranked[shared:]
    patterns = F.normalize(added[:, rest].T, dim=-1)  # (routed, tokens)
    size = len(rest) // experts
    centres = patterns[torch.randperm(len(rest), generator=generator)[:experts]]
    groups = _balanced_groups(patterns @ centres.T, size)
    for _ in range(REGROUPINGS):
        centres = F.normalize(torch.stack([patterns[groups == e].mean(0) for e in range(experts)]), dim=-1)
        groups = _balanced_groups(patterns @ centres.T, size)
    return torch.cat([common, *(rest[groups == e] for e in range(experts))])


def _balanced_groups(similarity: Tensor, size: int) -> Tensor:
    """similarity (neurons, groups) → group of each neuron; the closest pairs first, `size` to a group."""
    neurons, count = similarity.shape
    groups = [-1] * neurons
    room = [size] * count
    for flat in similarity.flatten().argsort(descending=True).tolist():
        neuron, group = divmod(flat, count)
        if groups[neuron] < 0 and room[group]:
            groups[neuron] = group
            room[group] -= 1
    return torch.tensor(groups)


def fit_router(hidden: Tensor, strength: Tensor) -> Tensor:
    """Affinities that tell from a block's input which experts would add most, by ridge regression.

    hidden (tokens, width), strength (tokens, experts) size of what each expert adds → (experts, width)
    """
    wanted = (strength - strength.mean()) / strength.std()
    square = hidden.T @ hidden  # (width, width)
    square += RIDGE * square.diagonal().mean() * torch.eye(len(square))
    affinity: Tensor = AFFINITY * torch.linalg.solve(square, hidden.T @ wanted).T
    return affinity


def load_llama(
    dense: MixtureGenerator, weights: Mapping[str, Tensor], layers: Sequence[int], tokens: Sequence[int]
) -> None:
    """Fill a `dense_twin` from a Llama checkpoint, keeping only some of its layers and tokens.

    Tokens that the checkpoint does not have come last and start as the mean of all.
    Raises KeyError for a checkpoint with other names, RuntimeError for one with other sizes.
    """
    words = weights["model.embed_tokens.weight"][torch.tensor(tokens)]
    added = dense.config.vocabulary - len(tokens)
    state: dict[str, Tensor] = {
        "words.weight": torch.cat([words, words.mean(0, keepdim=True).expand(added, -1)]),
        "norm.weight": weights["model.norm.weight"],
    }
    for layer, old in enumerate(layers):
        source, target = f"model.layers.{old}", f"blocks.{layer}"
        attention = [weights[f"{source}.self_attn.{name}_proj.weight"] for name in ("q", "k", "v")]
        router = dense.mixtures()[layer].router
        state |= {
            f"{target}.attention.query_key_value.weight": torch.cat(attention),
            f"{target}.attention.output.weight": weights[f"{source}.self_attn.o_proj.weight"],
            f"{target}.attention_norm.weight": weights[f"{source}.input_layernorm.weight"],
            f"{target}.mixture_norm.weight": weights[f"{source}.post_attention_layernorm.weight"],
            f"{target}.mixture.router.affinity.weight": torch.zeros_like(router.affinity.weight),
            f"{target}.mixture.router.bias": torch.zeros_like(router.bias),
        }
        for name in ("gate", "up", "down"):
            state[f"{target}.mixture.{name}.weight"] = weights[f"{source}.mlp.{name}_proj.weight"]
    dense.load_state_dict(state)


@torch.no_grad()
def most_needed(dense: MixtureGenerator, inputs: Iterable[tuple[Tensor, Tensor]], count: int) -> list[int]:
    """The `count` layers that turn what passes through them most (block influence, arXiv:2403.03853).

    Inputs are tokens and mask, each (batch, seq).
    """
    influence = torch.zeros(len(dense.blocks))

    def measure(layer: int, before: Tensor, after: Tensor, real: Tensor) -> None:
        influence[layer] += (1 - F.cosine_similarity(before, after, dim=-1))[real].sum()

    for tokens, mask in inputs:
        real = mask.clone()
        real[:, 0] = False  # the first position turns most in every layer, and says little
        hooks = [
            block.register_forward_hook(
                lambda _, args, out, layer=layer, real=real: measure(layer, args[0], out, real)
            )
            for layer, block in enumerate(dense.blocks)
        ]
        dense(tokens, mask)
        for hook in hooks:
            hook.remove()
    return sorted(influence.topk(count).indices.tolist())
