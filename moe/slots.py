"""Room for the keys and values of several sequences; what an earlier prompt left there is used again."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from moe.generator import GeneratorConfig
from moe.kernels import States


@dataclass
class Slot:
    number: int
    tokens: list[int] = field(default_factory=list)
    """Whose keys and values it holds, first position first."""


class Slots:
    """The memory is only taken when it is written to: a position costs 27 kB in the shipped sizes."""

    def __init__(self, config: GeneratorConfig, count: int) -> None:
        shape = (count, config.layers, config.key_value_heads, config.positions, config.head_width)
        self.states = States(np.empty(shape, np.float32), np.empty(shape, np.float32))
        self._free = [Slot(number) for number in range(count)]  # the longest unused first
        self._busy: list[Slot] = []
        self._change = threading.Condition()

    @contextmanager
    def take(self, prompt: Sequence[int]) -> Iterator[Slot]:
        """A slot that already holds the longest beginning of the prompt that any slot holds.

        Waits while all are taken. The prompt's last token is never held: its step gives the first logits.
        """
        with self._change:
            self._change.wait_for(lambda: self._free)
            slot = self._free.pop(0)
            self._fill(slot, prompt[:-1])
            self._busy.append(slot)
        try:
            yield slot
        finally:
            with self._change:
                self._busy.remove(slot)
                self._free.append(slot)
                self._change.notify()

    def _fill(self, slot: Slot, prompt: Sequence[int]) -> None:
        """Copied under the lock, so that no one takes the other slot meanwhile; a millisecond at most."""
        nearest = max([slot, *self._free, *self._busy], key=lambda s: common_length(s.tokens, prompt))
        length = common_length(nearest.tokens, prompt)
        if nearest is not slot:
            for states in self.states:
                states[slot.number, :, :, :length] = states[nearest.number, :, :, :length]
        slot.tokens = list(prompt[:length])


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """Of the tokens with which both begin."""
    pairs = zip(first, second, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
