"""The state of a training run on disk."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from nlu.parser import ModelError

CHECKPOINT = "checkpoint.pt"


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """A stop while writing leaves the old one."""
    new = path.with_suffix(".new")
    torch.save(dict(state), new)
    new.replace(path)


def read_checkpoint(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """What was saved by the same run; None where it was another."""
    try:
        saved: dict[str, Any] = torch.load(path, weights_only=True)
    except (RuntimeError, EOFError, UnpicklingError) as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise ModelError(f"{path}: broken checkpoint ({reason}); delete it to train anew") from error
    return saved if saved.get("run") == fingerprint else None
