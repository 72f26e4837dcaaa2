"""From dense feed-forward blocks to mixtures of experts (sparse upcycling, arXiv:2212.05055)."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from moe.encoder import MixtureEncoder


def load_bert(encoder: MixtureEncoder, weights: Mapping[str, Tensor], seed: int = 0) -> None:
    """Fill `encoder` from a BERT checkpoint of the same sizes, its neurons dealt out to the experts.

    Raises KeyError for a checkpoint with other names, RuntimeError for one with other sizes.
    """
    config = encoder.config
    state: dict[str, Tensor] = {
        "words.weight": weights["embeddings.word_embeddings.weight"],
        "positions.weight": weights["embeddings.position_embeddings.weight"],
        "segments.weight": weights["embeddings.token_type_embeddings.weight"],
        "norm.weight": weights["embeddings.LayerNorm.weight"],
        "norm.bias": weights["embeddings.LayerNorm.bias"],
    }
    generator = torch.Generator().manual_seed(seed)
    for layer in range(config.layers):
        source, target = f"encoder.layer.{layer}", f"blocks.{layer}"
        attention = [f"{source}.attention.self.{name}" for name in ("query", "key", "value")]
        for kind in ("weight", "bias"):
            state[f"{target}.attention.query_key_value.{kind}"] = torch.cat(
                [weights[f"{a}.{kind}"] for a in attention]
            )
            state[f"{target}.attention.output.{kind}"] = weights[f"{source}.attention.output.dense.{kind}"]
            state[f"{target}.attention_norm.{kind}"] = weights[f"{source}.attention.output.LayerNorm.{kind}"]
            state[f"{target}.mixture_norm.{kind}"] = weights[f"{source}.output.LayerNorm.{kind}"]
        up, down = weights[f"{source}.intermediate.dense.weight"], weights[f"{source}.output.dense.weight"]
        order = deal_neurons(up, down, config.shared, config.experts, generator)
        state[f"{target}.mixture.up.weight"] = up[order]
        state[f"{target}.mixture.up.bias"] = weights[f"{source}.intermediate.dense.bias"][order]
        state[f"{target}.mixture.down.weight"] = down[:, order]
        state[f"{target}.mixture.down.bias"] = weights[f"{source}.output.dense.bias"]
        experts = up[order[config.shared :]].unflatten(0, (config.experts, config.expert_width))
        state[f"{target}.mixture.router.affinity.weight"] = 0.5 * F.normalize(experts.mean(1), dim=-1)
        state[f"{target}.mixture.router.bias"] = torch.zeros(config.experts)
    encoder.load_state_dict(state)


def deal_neurons(up: Tensor, down: Tensor, shared: int, experts: int, generator: torch.Generator) -> Tensor:
    """An order of the neurons: the strongest are shared, the others grouped by what they respond to.

    up (neurons, width), down (width, neurons) → indices (neurons,): `shared` shared ones, then the experts'
    equal groups, one after the other. Strength is the product of a neuron's norms; groups are balanced
    k-means over the directions of the input weights (as MoEfication does, arXiv:2110.01786).
    """
    strength = up.norm(dim=1) * down.norm(dim=0)
    ranked = strength.argsort(descending=True)
    common, rest = ranked[:shared], ranked[shared:]
    directions = F.normalize(up[rest], dim=-1)  # (routed, width)
    size = len(rest) // experts
    centres = directions[torch.randperm(len(rest), generator=generator)[:experts]]
    groups = _balanced_groups(directions @ centres.T, size)
    for _ in range(10):
        centres = F.normalize(torch.stack([directions[groups == e].mean(0) for e in range(experts)]), dim=-1)
        groups = _balanced_groups(directions @ centres.T, size)
    return torch.cat([common, *(rest[groups == e] for e in range(experts))])


def _balanced_groups(similarity: Tensor, size: int) -> Tensor:
    """similarity (neurons, groups) → group of each neuron; the closest pairs first, `size` to a group."""
    neurons, count = similarity.shape
    groups = torch.full((neurons,), -1)
    room = [size] * count
    for flat in similarity.flatten().argsort(descending=True).tolist():
        neuron, group = divmod(flat, count)
        if groups[neuron] < 0 and room[group]:
            groups[neuron] = group
            room[group] -= 1
    return groups
