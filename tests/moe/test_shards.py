import json
from pathlib import Path

import pytest
import torch

from moe.quantisation import dequantise
from moe.shards import INDEX, ShardError, load_shards, save_shards

STATE = {
    f"layer{n}.weight": torch.randn(64, 32, generator=torch.Generator().manual_seed(n)) for n in range(4)
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_shards(STATE, tmp_path, largest=5000)
    return tmp_path


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def test_weights_come_back_from_several_files_as_near_as_eight_bits_allow(folder: Path) -> None:
    assert len(shards(folder)) > 1
    assert all(path.stat().st_size < 6000 for path in shards(folder))
    for name, weight in dequantise(load_shards(folder)).items():
        assert (weight - STATE[name]).abs().max() <= STATE[name].abs().max() / 127
    assert dequantise(load_shards(folder)).keys() == STATE.keys()


def test_a_shard_that_is_missing_or_cut_short_is_named(folder: Path) -> None:
    first = shards(folder)[0]
    content = first.read_bytes()
    first.write_bytes(content[: len(content) // 2])
    with pytest.raises(ShardError, match=rf"{first.name}: missing or cut short .* shipped folder"):
        load_shards(folder)
    first.unlink()
    with pytest.raises(ShardError, match=first.name):
        load_shards(folder)


def test_a_shard_of_another_model_is_named(folder: Path) -> None:
    first, second, *_ = shards(folder)
    first.write_bytes(second.read_bytes())
    with pytest.raises(ShardError, match=rf"{first.name}: does not hold layer0"):
        load_shards(folder)


def test_a_folder_without_an_index_is_named(folder: Path) -> None:
    (folder / INDEX).write_text(json.dumps({}))
    with pytest.raises(ShardError, match=rf"{INDEX}: cannot be read"):
        load_shards(folder)
