"""What the bot hears of a simulated customer: the meant message, with the NLU's errors."""

import random
from collections.abc import Mapping, Sequence

from domains.schema import OUT_OF_SCOPE, Pack
from nlu.errors import NluErrors
from nlu.understanding import Entity, IntentScore, Understanding
from nlu.values import InvalidValue, normalise

UNSAID = "…"
"""Text of messages whose words do not matter; it is no value of any slot."""


class NoisyEar:
    """Turns meant intents and values into an Understanding, erring as often as the NLU does."""

    def __init__(self, pack: Pack, errors: NluErrors, rng: random.Random) -> None:
        self.pack, self.errors, self.rng = pack, errors, rng
        self._requests = [name for name, intent in pack.intents.items() if intent.kind != "social"]
        self._alike = {
            slot: [
                other
                for other in pack.slots
                if other != slot and pack.slots[other].type == pack.slots[slot].type
            ]
            for slot in pack.slots
        }

    def hear(self, intents: Sequence[str], values: Mapping[str, str], text: str = UNSAID) -> Understanding:
        """The message as understood. `text` matters where words decide: a yes, an "instead", a bare value."""
        scores, wishes, outside = self._intents(intents)
        entities = tuple(
            e for e in (self._entity(slot, value) for slot, value in values.items()) if e is not None
        )
        return Understanding(text, scores, wishes, entities, outside)

    def clearly(self, intent: str, text: str) -> Understanding:
        """A pressed button: nothing to mishear."""
        return Understanding(text, (IntentScore(intent, 1.0),), (intent,), (), 0.0)

    def _intents(self, meant: Sequence[str]) -> tuple[tuple[IntentScore, ...], tuple[str, ...], float]:
        taken, scores = [], []
        outside = 0.0
        for intent in meant:
            heard = self._confuse(intent)
            right = heard == intent
            probability = self._draw(self.errors.right_confidence if right else self.errors.wrong_confidence)
            if heard == OUT_OF_SCOPE:
                outside = max(outside, probability)
            else:
                taken.append(heard)
                scores.append(IntentScore(heard, probability))
            rest = 1 - probability
            second = self.rng.choice(self._requests) if right or intent == OUT_OF_SCOPE else intent
            scores.append(IntentScore(second, rest * self.rng.uniform(0.3, 0.9)))
        scores.sort(key=lambda score: -score.probability)
        return tuple(scores), tuple(dict.fromkeys(taken)), outside

    def _confuse(self, intent: str) -> str:
        row = self.errors.intents.get(intent)
        if not row:
            return intent
        return self.rng.choices(list(row), weights=list(row.values()))[0]

    def _entity(self, slot: str, value: str) -> Entity | None:
        chance = self.rng.random()
        if chance < self.errors.slot_missed:
            return None
        if chance >= self.errors.slot_missed + self.errors.slot_wrong:
            return Entity(slot, 0, len(value), value, value, self._draw(self.errors.slot_confidence))
        confidence = self._draw(self.errors.slot_wrong_confidence)
        if self._alike[slot] and self.rng.random() < 0.5:
            other = self.rng.choice(self._alike[slot])
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
