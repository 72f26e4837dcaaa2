"""What a training epoch is made of: every example once, varied, beside others of its length."""

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from domains.schema import OUT_OF_SCOPE, Pack
from nlu.augmentation import exchange, roughen, two_wishes, values_of
from nlu.data import Example
from nlu.parser import question
from nlu.past import NO_PAST, Past

WINDOW = 50
"""Batches among which examples are sorted by length."""


@dataclass(frozen=True)
class Variation:
    """Shares of the examples that are changed in each epoch."""

    two_wishes: float = 0.05
    """Joined messages, where a message may have several intents; they come on top."""
    exchanged: float = 0.4
    """With other values of the same slots."""
    typos: float = 0.12
    bare: float = 0.25
    """Without punctuation."""
    asked: float = 0.5
    """How often a message that gives a value is preceded by the bot's question for it."""
    asked_wrongly: float = 0.08
    context_dropout: float = 0.2
    stray_context: float = 0.3
    """How often a message without a past is given one of another conversation."""
    misheard: float = 0.06
    """How often a slot given before was not noticed, or another one taken for it."""


class Batches:
    def __init__(
        self,
        examples: Sequence[Example],
        pack: Pack | None,
        slots: Sequence[str],
        size: int,
        variation: Variation,
        seed: int,
    ) -> None:
        self.examples, self.pack, self.slots = examples, pack, slots
        self.size, self.variation, self.seed = size, variation, seed
        self.pasts = [(e.context, e.past) for e in examples if e.context]
        self.values = values_of(examples)
        self.requests = frozenset(pack.requests if pack else ())
        self.several = pack is not None or any(len(e.intents) > 1 for e in examples)

    @property
    def count(self) -> int:
        """Batches of an epoch."""
        return -(-(len(self.examples) + self._joined) // self.size)

    @property
    def _joined(self) -> int:
        return int(len(self.examples) * self.variation.two_wishes) if self.several else 0

    def epoch(self, number: int) -> Iterator[list[Example]]:
        """Batches of messages of similar length, in random order; the same for the same seed and number."""
        rng = random.Random(1000 * self.seed + number)
        single = [e for e in self.examples if len(e.intents) == 1]
        pool = [e for e in single if e.intents[0] not in ("remark", OUT_OF_SCOPE)]
        joined = two_wishes(pool, self._joined, rng, self.requests)
        examples = [self._vary(example, rng) for example in (*self.examples, *joined)]
        rng.shuffle(examples)
        batches: list[list[Example]] = []
        for start in range(0, len(examples), self.size * WINDOW):
            window = sorted(examples[start : start + self.size * WINDOW], key=_length)
            batches += [window[i : i + self.size] for i in range(0, len(window), self.size)]
        rng.shuffle(batches)
        yield from batches

    def _vary(self, example: Example, rng: random.Random) -> Example:
        variation = self.variation
        if example.spans and rng.random() < variation.exchanged:
            example = exchange(example, self.values, rng)
        example = roughen(example, rng, variation.typos, variation.bare)
        context, past = example.context, self._misheard(example.past, rng)
        if context and rng.random() < variation.context_dropout:
            context, past = (), NO_PAST
        elif not context and not example.opens and self.pasts and rng.random() < variation.stray_context:
            context, past = rng.choice(self.pasts)
        if self.pack is not None:
            if example.spans and rng.random() < variation.asked:
                context = (question(self.pack, example.spans[0].slot), *context)
            elif rng.random() < variation.asked_wrongly:
                context = (question(self.pack, rng.choice(self.slots)), *context)
        return replace(example, context=context, past=past)

    def _misheard(self, past: Past, rng: random.Random) -> Past:
        """In service the past is what the model itself has understood."""
        slots = []
        for slot in past.slots:
            if rng.random() >= self.variation.misheard:
                slots.append(slot)
            elif rng.random() < 0.5:
                slots.append(rng.choice(self.slots))
        return replace(past, slots=tuple(dict.fromkeys(slots)))


def shuffled_alike(examples: Sequence[Example], seed: int) -> list[Example]:
    """In an order of each example's own: with others added, the same ones are held out.

    A model that learns on would else be calibrated on what it knows already.
    """
    seen: Counter[str] = Counter()
    order = {}
    for place, example in enumerate(examples):
        told = f"{seed} {seen[example.text]} {example.text}"
        order[place] = hashlib.sha256(told.encode()).digest()
        seen[example.text] += 1
    return [examples[place] for place in sorted(order, key=order.__getitem__)]


def _length(example: Example) -> int:
    return len(example.text) + sum(map(len, example.heard))
