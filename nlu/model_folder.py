"""The files of a trained model: weights, configuration, tokeniser."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from moe.quantisation import quantise

WEIGHTS, CONFIG, PIECES = "model.safetensors", "config.json", "tokenizer.json"


def missing_file(folder: Path) -> Path | None:
    """The first of the files that is not there."""
    return next((folder / name for name in (CONFIG, WEIGHTS, PIECES) if not (folder / name).exists()), None)


def write_model(
    folder: Path, state: Mapping[str, Tensor], config: Mapping[str, Any], tokenizer_file: Path
) -> None:
    """Write the weights as int8, the configuration and a copy of the tokeniser."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(quantise(state), folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (folder / PIECES).write_bytes(tokenizer_file.read_bytes())
