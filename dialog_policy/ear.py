"""What the bot hears of a simulated customer: the meant message, with the NLU's errors."""

import random
from collections.abc import Sequence

from dialog_policy.meaning import Meaning
from domains.schema import OUT_OF_SCOPE, Pack
from nlu.errors import NluErrors
from nlu.understanding import Entity, IntentScore, Understanding
from nlu.values import InvalidValue, normalise
from storage.state import DialogueState

MISHEARD_BY_TYPOS, MISSED_BY_TYPOS = 0.16, 0.02
"""What a typing error in each longer word adds to the share of the messages misheard, and of the values
missed: measured on texts (benchmarks/simulators.py).
"""


class NoisyEar:
    """Turns what is meant into an Understanding, erring as often as the NLU does; fast, for training."""

    def __init__(self, pack: Pack, errors: NluErrors, rng: random.Random, typos: float = 0.0) -> None:
        self.pack, self.errors, self.rng, self.typos = pack, errors, rng, typos

    def hear(self, meaning: Meaning, state: DialogueState) -> Understanding:
        if meaning.pressed:  # nothing to mishear
            certain = (IntentScore(meaning.intent, 1.0),)
            return Understanding(meaning.words, certain, (meaning.intent,), (), 0.0)
        scores, wishes, outside = self._intent(meaning.intent)
        entities = tuple(
            e for e in (self._entity(slot, value) for slot, value in meaning.values.items()) if e is not None
        )
        return Understanding(meaning.words, scores, wishes, entities, outside)

    def _intent(self, meant: str) -> tuple[tuple[IntentScore, ...], tuple[str, ...], float]:
        heard = self._confuse(meant)
        right = heard == meant
        probability = self._draw(self.errors.right_confidence if right else self.errors.wrong_confidence)
        second = self.rng.choice(self.pack.requests) if right or meant == OUT_OF_SCOPE else meant
        other = IntentScore(second, (1 - probability) * self.rng.uniform(0.3, 0.9))
        if heard == OUT_OF_SCOPE:
            return (other,), (), probability
        scores = sorted((IntentScore(heard, probability), other), key=lambda score: -score.probability)
        return tuple(scores), (heard,), 0.0

    def _confuse(self, intent: str) -> str:
        if self.typos and self.rng.random() < self.typos * MISHEARD_BY_TYPOS:
            return self.rng.choice([*self.pack.requests, OUT_OF_SCOPE])
        row = self.errors.intents.get(intent)
        if not row:
            return intent
        return self.rng.choices(list(row), weights=list(row.values()))[0]

    def _entity(self, slot: str, value: str) -> Entity | None:
        chance = self.rng.random()
        missed = self.errors.slot_missed + self.typos * MISSED_BY_TYPOS
        if chance < missed:
            return None
        if chance >= missed + self.errors.slot_wrong:
            return Entity(slot, 0, len(value), value, value, self._draw(self.errors.slot_confidence))
        confidence = self._draw(self.errors.slot_wrong_confidence)
        if self.pack.alike[slot] and self.rng.random() < 0.5:
            other = self.rng.choice(self.pack.alike[slot])
            return Entity(other, 0, len(value), value, value, confidence)
        return self._garbled(slot, value, confidence)

    def _garbled(self, slot: str, value: str, confidence: float) -> Entity:
        """A wrong extent: the value without its first or last character."""
        cut = value[1:] if self.rng.random() < 0.5 else value[:-1]
        try:
            normal: str | None = normalise(self.pack.slots[slot], cut)
            problem = ""
        except InvalidValue as error:
            normal, problem = None, str(error)
        return Entity(slot, 0, len(cut), cut, normal, confidence, problem)

    def _draw(self, quantiles: Sequence[float]) -> float:
        place = self.rng.random() * (len(quantiles) - 1)
        low = int(place)
        high = min(low + 1, len(quantiles) - 1)
        return quantiles[low] + (place - low) * (quantiles[high] - quantiles[low])
