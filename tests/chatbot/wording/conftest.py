"""A small byte-level tokeniser, and dialogues as the schema-guided set has them."""

import gzip
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from chatbot.wording.tokens import Tokens, prune
from moe.generator import GeneratorConfig, MixtureGenerator
from moe.shards import save_shards

SENTENCES = [
    "The balance of your account is low. Shall I send the money to your other account?",
    "I found a table for you at the restaurant. Is that right?",
    "Your card is blocked. A new card is on its way. Anything else I can do for you?",
] * 3


@pytest.fixture(scope="session")
def full_tokenizer() -> dict[str, Any]:
    """The content of a tokenizer.json as pretrained models have it."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    content: dict[str, Any] = json.loads(tokenizer.to_str())
    return content


@pytest.fixture(scope="session")
def tokens_file(full_tokenizer: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    pruned, _ = prune(full_tokenizer, full_tokenizer["model"]["vocab"])
    path = tmp_path_factory.mktemp("tokens") / "tokenizer.json"
    path.write_text(json.dumps(pruned), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tokens(tokens_file: Path) -> Tokens:
    return Tokens(tokens_file)


def system(text: str, *actions: tuple[str, str, list[str]], service: str = "Banks_1") -> dict[str, Any]:
    acts = [{"act": act, "slot": slot, "values": values} for act, slot, values in actions]
    return {"speaker": "SYSTEM", "utterance": text, "frames": [{"service": service, "actions": acts}]}


def user(text: str) -> dict[str, Any]:
    return {"speaker": "USER", "utterance": text, "frames": []}


def write_dialogues(path: Path, *dialogues: list[dict[str, Any]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for turns in dialogues:
            file.write(json.dumps({"id": "1", "services": ["Banks_1"], "turns": turns}) + "\n")
    return path


@pytest.fixture(scope="session")
def generator_folder(tokens: Tokens, tokens_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator that has learnt nothing, as `chatbot train generator` writes one."""
    torch.manual_seed(0)
    config = GeneratorConfig(
        vocabulary=tokens.size,
        hidden_width=32,
        layers=2,
        heads=4,
        key_value_heads=2,
        shared=16,
        experts=4,
        expert_width=8,
        top_k=2,
        positions=256,
    )
    folder = tmp_path_factory.mktemp("generator")
    save_shards(MixtureGenerator(config).state_dict(), folder)
    (folder / "config.json").write_text(json.dumps(asdict(config)), encoding="utf-8")
    (folder / "tokenizer.json").write_text(tokens_file.read_text(encoding="utf-8"), encoding="utf-8")
    return folder
