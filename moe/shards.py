"""Weights on disk in several files, none of them large, read without a copy in memory."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from moe.quantisation import quantise

INDEX = "model.safetensors.index.json"
LARGEST = 40_000_000
"""Bytes of a shard."""


class ShardError(Exception):
    """A file of the weights is missing or broken; names it and the remedy."""


def save_shards(state: Mapping[str, Tensor], folder: Path, largest: int = LARGEST) -> None:
    """Write the weights as int8 rows with their scales, and an index of which file holds which."""
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in quantise(state).items():
        if shards[-1] and size + tensor.nbytes > largest:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += tensor.nbytes
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / file)
        places |= dict.fromkeys(shard, file)
    (folder / INDEX).write_text(json.dumps({"weight_map": places}, indent=0) + "\n", encoding="utf-8")


def load_shards(folder: Path) -> dict[str, Tensor]:
    """The quantised weights, memory-mapped: what is not used is not read. Raises ShardError."""
    remedy = "take the shipped folder again or train anew"
    try:
        places = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ShardError(f"{folder / INDEX}: cannot be read ({error!r}); {remedy}") from error
    state: dict[str, Tensor] = {}
    for file in dict.fromkeys(places.values()):
        path = folder / file
        try:
            with safe_open(path, framework="pt") as shard:
                found = {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ShardError(f"{path}: missing or cut short ({error}); {remedy}") from error
        absent = [name for name, home in places.items() if home == file and name not in found]
        if absent:
            raise ShardError(f"{path}: does not hold {absent[0]}; {remedy}")
        state |= found
    return state
