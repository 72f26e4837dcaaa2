"""The generator's vocabulary: byte-level BPE cut down to what customer service needs, and its control tokens.

A placeholder is one token together with the space before it, so that a fact costs one step.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from chatbot.wording.request import Request

PLACEHOLDERS = tuple(f"[{number}]" for number in range(1, 17))
PLACEHOLDER = re.compile(r"\[(\d+)\]")
END, CUSTOMER, SAY, REPLY = CONTROLS = ("<|end|>", "<|customer|>", "<|say|>", "<|reply|>")
ADDED = (*CONTROLS, *(f" {name}" for name in PLACEHOLDERS))
CUSTOMER_LIMIT = 48
"""Tokens of the customer's message that the generator reads: its end."""
NO_SPACE_AFTER = re.compile(r"([(“‘\"'$£€#/-]) (\[\d+\])")


class TokensError(Exception):
    """The tokeniser is missing or is not the generator's."""


class Tokens:
    """Raises TokensError, naming the file and the remedy."""

    def __init__(self, path: Path) -> None:
        remedy = "take the shipped models/generator or train one: chatbot train generator"
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exceptions
            raise TokensError(f"{path}: cannot be read as a tokeniser ({error}); {remedy}") from error
        known: dict[str, int] = self._tokenizer.get_vocab()
        missing = [name for name in ADDED if name not in known]
        if missing:
            raise TokensError(f"{path}: not the generator's tokeniser, {missing[0]} is missing; {remedy}")
        ids = [known[name] for name in ADDED]
        self.end, self._customer, self._say, self._reply, *placeholders = ids
        self.placeholders: tuple[int, ...] = tuple(placeholders)
        self.size: int = self._tokenizer.get_vocab_size()
        controls = {*ids[: len(CONTROLS)]}
        self.pieces: tuple[str, ...] = tuple(
            "" if number in controls else self._text([number]) for number in range(self.size)
        )

    def encode(self, text: str) -> list[int]:
        """A text with placeholders. It begins with a space, as each word after another does."""
        spaced = re.sub(r"(?<! )(\[\d+\])", r" \1", f" {text.strip()}")
        ids: list[int] = self._tokenizer.encode(spaced, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        return NO_SPACE_AFTER.sub(r"\1\2", self._text(ids)).strip()

    def prompt(self, request: Request, customer_limit: int = CUSTOMER_LIMIT) -> list[int]:
        """What the generator reads; a customer who types a placeholder or a control token types letters."""
        typed = request.customer.replace("[", "(").replace("]", ")").replace("<|", "(")
        customer = [] if request.careful else self.encode(typed)[-customer_limit:]
        return [self._customer, *customer, self._say, *self.encode(request.say), self._reply]

    def _text(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False)
        return text


def prune(full: Mapping[str, Any], kept: Iterable[str]) -> tuple[dict[str, Any], list[int]]:
    """A byte-level BPE tokeniser with only the tokens in `kept`, what they are merged from, and all bytes.

    `full` and the result are the content of a tokenizer.json. Also returns the old id of each new one; the
    control tokens and placeholders follow after them.
    """
    vocabulary: dict[str, int] = full["model"]["vocab"]
    pairs = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in full["model"]["merges"]]
    made_of = {first + second: (first, second) for first, second in reversed(pairs)}
    wanted = {token for token in vocabulary if len(token) == 1}
    open_ends = [token for token in kept if token in vocabulary]
    while open_ends:
        token = open_ends.pop()
        if token not in wanted:
            wanted.add(token)
            open_ends.extend(made_of.get(token, ()))
    names = sorted(wanted, key=vocabulary.__getitem__)
    model = {
        **full["model"],
        "vocab": {name: new for new, name in enumerate(names)},
        "merges": [list(p) for p in pairs if p[0] in wanted and p[1] in wanted and p[0] + p[1] in wanted],
    }
    tokenizer = Tokenizer.from_str(json.dumps({**full, "model": model, "added_tokens": []}))
    tokenizer.add_tokens([AddedToken(name, normalized=False, special=False) for name in ADDED])
    return json.loads(tokenizer.to_str()), [vocabulary[name] for name in names]
