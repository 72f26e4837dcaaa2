"""The generator in this process."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Protocol

from chatbot.wording.claims import ASKS
from chatbot.wording.constraint import Constraint, Mask, Pieces
from chatbot.wording.generator import GeneratorMissing, UnfitRequest, WordingError
from chatbot.wording.request import Request
from chatbot.wording.tokens import PLACEHOLDER, Tokens, TokensError

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
LONGEST = 160
"""Tokens of a reply."""
SENTENCE_ENDS = (".", "!")


class Engine(Protocol):
    """moe.decoding.GeneratorEngine, or what stands in for it."""

    def generate(
        self,
        prompt: Sequence[int],
        limit: int,
        end: int,
        allowed: Callable[[Sequence[int]], Mask] | None = None,
    ) -> Iterator[int]: ...


class LocalGenerator:
    name = "moe"

    def __init__(self, engine: Engine, tokens: Tokens, positions: int) -> None:
        self._engine, self._tokens, self._positions = engine, tokens, positions
        self._pieces = Pieces(tokens)

    def word(self, request: Request, until: float) -> str:
        prompt = self._tokens.prompt(request)
        if len(prompt) + LONGEST > self._positions:
            raise UnfitRequest(f"a prompt of {len(prompt)} tokens is too long")
        constraint = Constraint(self._pieces, request)
        written: list[int] = []
        with closing(self._engine.generate(prompt, LONGEST, self._tokens.end, constraint)) as steps:  # type: ignore[type-var]
            for token in steps:
                written.append(token)
                if request.finished and self._takes_up(written, request):
                    return f"{self._tokens.decode(written)} {request.say}"
                if time.monotonic() > until:
                    raise WordingError(f"time ran out after {len(written)} tokens")
        if len(written) == LONGEST:
            raise UnfitRequest(f"no end after {LONGEST} tokens")
        return self._tokens.decode(written)

    def _takes_up(self, written: Sequence[int], request: Request) -> bool:
        """Whether a first sentence has ended that says nothing of what a question in `say` asks for.

        Then the question follows as it stands: it need not be worded, which halves the time.
        """
        if self._tokens.pieces[written[-1]] not in SENTENCE_ENDS or not request.say.endswith("?"):
            return False
        text = self._tokens.decode(written)
        return not ASKS.search(text) and not PLACEHOLDER.search(text)


def open_generator(folder: Path, threads: int = 2) -> LocalGenerator:
    """The generator in `folder`. Raises GeneratorMissing."""
    from moe.generator import GeneratorConfig  # takes seconds, and not every server has a generator
    from moe.shards import ShardError, load_shards

    remedy = "take the shipped folder again, train one (chatbot train generator), or serve --reply template"
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        names = {field.name for field in fields(GeneratorConfig)}
        config = GeneratorConfig(**{name: value for name, value in content.items() if name in names})
    except OSError as error:
        raise GeneratorMissing(f"{folder / CONFIG}: {error.strerror}; {remedy}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise GeneratorMissing(
            f"{folder / CONFIG}: no configuration of a generator ({error}); {remedy}"
        ) from error
    from moe.decoding import GeneratorEngine

    try:
        tokens = Tokens(folder / TOKENIZER)
        engine = GeneratorEngine(config, load_shards(folder), threads)
    except (TokensError, ShardError) as error:
        raise GeneratorMissing(f"{error}, or serve --reply template") from error
    except (KeyError, RuntimeError, ValueError) as error:
        raise GeneratorMissing(
            f"{folder}: weights and configuration do not fit ({error!r}); {remedy}"
        ) from error
    if tokens.size != config.vocabulary:
        raise GeneratorMissing(
            f"{folder}: {tokens.size} tokens, but weights for {config.vocabulary}; {remedy}"
        )
    return LocalGenerator(engine, tokens, config.positions)
