"""The generator for serving: greedy, a token at a time, for several callers at once."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe.generator import GeneratorConfig, MixtureGenerator, rope_angles
from moe.kernels import Floats, Matrix, Sizes, Weights, step
from moe.processor import has_matrix_unit
from moe.prompt_reader import PromptReader
from moe.quantisation import SCALE, dequantise
from moe.slots import Slot, Slots

Allowed = Callable[[Sequence[int]], NDArray[np.bool_]]
"""The tokens so far → (vocabulary,) which ones may come next."""

CALLERS = 16
"""Sequences held at a time: those in work, and earlier ones whose beginnings may be used again."""
TOGETHER = 4
"""Sequences that take a step in one call."""
LONG = 32
"""Tokens of a prompt from which on a processor with a matrix unit reads them in bfloat16."""


class PromptError(ValueError):
    """The prompt is not one that the generator can read; says why."""


class GeneratorEngine:
    """Takes the place of a trained MixtureGenerator. Any number of threads may call `generate`."""

    def __init__(
        self,
        config: GeneratorConfig,
        weights: Mapping[str, Tensor],
        threads: int = 2,
        *,
        matrix_unit: bool | None = None,
    ) -> None:
        """`weights` as `quantise` gives them, or in full precision; `threads` calls take steps at a time.

        The first engine on a machine compiles for some seconds; what comes out is kept beside the code.
        Raises ValueError for weights of another configuration.
        """
        matrix_unit = has_matrix_unit() if matrix_unit is None else matrix_unit
        check_fit(config, weights)
        self.config = config
        self._reader = PromptReader(config, weights) if matrix_unit else None
        self._slots = Slots(config, CALLERS)
        self._steps = _Steps(config, arrange(config, weights), self._slots, threads)
        for _ in self.generate([0, 0], 1, end=0):  # compiles
            pass

    def generate(
        self, prompt: Sequence[int], limit: int, end: int, allowed: Allowed | None = None
    ) -> Iterator[int]:
        """The most likely tokens, one by one, up to `limit` or before `end`. Raises PromptError."""
        size, room = self.config.vocabulary, self.config.positions
        if not prompt or not all(0 <= token < size for token in prompt):
            raise PromptError(
                f"a prompt needs tokens between 0 and {size - 1}: give it those of its tokeniser"
            )
        if len(prompt) + limit > room:
            raise PromptError(
                f"{len(prompt)} tokens of prompt and {limit} of reply do not fit the {room} positions of the "
                "generator: shorten the prompt"
            )
        return self._generate(list(prompt), limit, end, allowed)

    def _generate(self, prompt: list[int], limit: int, end: int, allowed: Allowed | None) -> Iterator[int]:
        found: list[int] = []
        with self._slots.take(prompt) as slot:
            start = len(slot.tokens)
            unread = prompt[start:]
            if self._reader and len(unread) > LONG:
                self._reader.read(unread[:-1], start, self._slots.states, slot.number)
                slot.tokens.extend(unread[:-1])
                unread = unread[-1:]
            while len(found) < limit:
                logits = self._steps.take(slot, unread)
                if allowed is not None:
                    logits = self._mask(logits, allowed(found))
                token = int(logits.argmax())
                if token == end:
                    return
                found.append(token)
                unread = [token]
                yield token

    def _mask(self, logits: Floats, permitted: NDArray[np.bool_]) -> Floats:
        if permitted.shape != logits.shape or not permitted.any():
            raise ValueError(
                f"`allowed` must permit at least one of {len(logits)} tokens, "
                f"not {permitted.sum()} of {permitted.shape}"
            )
        return np.where(permitted, logits, np.float32(-np.inf))


@dataclass(eq=False)
class _Wish:
    slot: Slot
    tokens: Sequence[int]
    """That follow on those of the slot: one, or a prompt's."""
    done: threading.Event = field(default_factory=threading.Event)
    logits: Floats | None = None


class _Steps:
    """Takes the steps of all callers: each caller's own thread, and with its own what others wait for."""

    def __init__(self, config: GeneratorConfig, weights: Weights, slots: Slots, threads: int) -> None:
        self.sizes = Sizes(
            config.heads,
            config.key_value_heads,
            config.shared,
            config.experts,
            config.expert_width,
            config.top_k,
            config.norm_epsilon,
        )
        self.weights, self.states = weights, slots.states
        self._turns = threading.Semaphore(threads)
        self._waiting: list[_Wish] = []
        self._lock = threading.Lock()

    def take(self, slot: Slot, tokens: Sequence[int]) -> Floats:
        """More tokens of a sequence → logits (vocabulary,) of the next."""
        wish = _Wish(slot, tokens)
        with self._lock:
            self._waiting.append(wish)
        with self._turns:
            self._take_with_others(wish)
        wish.done.wait()
        if wish.logits is None:
            raise RuntimeError("the step failed in another caller's thread")
        return wish.logits

    def _take_with_others(self, wish: _Wish) -> None:
        with self._lock:
            if wish not in self._waiting:  # another caller has taken it along
                return
            single = [other for other in self._waiting if other is not wish and len(other.tokens) == 1]
            batch = [wish, *single[: TOGETHER - 1]] if len(wish.tokens) == 1 else [wish]
            self._waiting = [other for other in self._waiting if other not in batch]
        try:
            self._run(batch)
        finally:
            for one in batch:
                one.done.set()

    def _run(self, batch: list[_Wish]) -> None:
        """One token of each wish, or all of the only one."""
        logits = np.empty((len(batch), len(self.weights.words)), np.float32)
        rows = [
            (wish.slot.number, position, token)
            for wish in batch
            for position, token in enumerate(wish.tokens, len(wish.slot.tokens))
        ]
        slots, positions, tokens = np.array(rows).T.copy()
        step(self.weights, self.sizes, self.states, slots, positions, tokens, logits)
        for wish, row in zip(batch, logits, strict=True):
            wish.slot.tokens.extend(wish.tokens)
            wish.logits = row


def check_fit(config: GeneratorConfig, weights: Mapping[str, Tensor]) -> None:
    """Raises ValueError that names a weight which is missing, of another form or of no use."""
    with torch.device("meta"):
        wanted = {name: tensor.shape for name, tensor in MixtureGenerator(config).state_dict().items()}
    given = {name: tensor.shape for name, tensor in weights.items() if not name.endswith(SCALE)}
    for name in sorted(wanted.keys() | given.keys()):
        if wanted.get(name) != given.get(name):
            shown = [tuple(found[name]) if name in found else "nothing" for found in (wanted, given)]
            raise ValueError(
                f"the generator's weights do not fit its configuration: {name} is {shown[1]}, not {shown[0]}"
            )


def arrange(config: GeneratorConfig, weights: Mapping[str, Tensor]) -> Weights:
    """A state as the kernels read it, copied: nothing keeps the files of the weights in memory."""

    def vectors(name: str) -> Floats:
        found: Floats = torch.stack([weights[f"blocks.{n}.{name}"] for n in range(config.layers)]).numpy()
        return found

    def matrices(name: str, *, transposed: bool = False) -> tuple[Matrix, Floats]:
        parts = [_matrix(weights, f"blocks.{n}.{name}.weight") for n in range(config.layers)]
        whole = np.stack([np.ascontiguousarray(matrix.T if transposed else matrix) for matrix, _ in parts])
        return whole, np.stack([scale for _, scale in parts])

    routers = dequantise({name: tensor for name, tensor in weights.items() if ".router." in name})
    affinity = [routers[f"blocks.{n}.mixture.router.affinity.weight"] for n in range(config.layers)]
    angles = rope_angles(config, config.positions)
    words, words_scale = (part.copy() for part in _matrix(weights, "words.weight"))
    return Weights(
        words,
        words_scale,
        vectors("attention_norm.weight"),
        *matrices("attention.query_key_value"),
        *matrices("attention.output"),
        vectors("mixture_norm.weight"),
        torch.stack(affinity).numpy(),
        vectors("mixture.router.bias"),
        *matrices("mixture.gate"),
        *matrices("mixture.up"),
        *matrices("mixture.down", transposed=True),
        weights["norm.weight"].numpy().copy(),
        *(angle.numpy() for angle in angles),
    )


def _matrix(weights: Mapping[str, Tensor], name: str) -> tuple[Matrix, Floats]:
    matrix, scale = weights[name], weights.get(name + SCALE)
    scales = torch.ones(len(matrix)) if scale is None else scale.flatten()
    return matrix.contiguous().numpy(), scales.numpy()
