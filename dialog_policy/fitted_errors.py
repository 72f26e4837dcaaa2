"""How often the NLU erred in logged conversations, where nobody labelled them: by likelihood.

A message was either understood, with a confidence as right readings have it, or misheard, with the
confidence of wrong ones; then what was meant is taken to be the second best reading. Expectation and
maximisation (Dempster et al. 1977) divide the messages between the two, beginning with the measured errors.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dialog_policy.experience import general
from domains.schema import OUT_OF_SCOPE, Pack
from nlu.errors import QUANTILES, NluErrors
from nlu.understanding import Understanding
from storage.logs import LoggedConversation

UNSEEN = 0.001
"""Share below which a confusion counts as never measured."""
ROUNDS = 30
BINS = 20
PRIOR_MESSAGES = 4.0
"""How many messages of an intent the measured errors weigh as much as."""
PRIOR_CONFIDENCES = 300.0
"""Likewise for the confidences. Held firmly: if they could move far, errors would explain right readings."""


@dataclass(frozen=True)
class Reading:
    """The first wish of a message as it was taken."""

    heard: str
    confidence: float
    second: str


def fit_errors(conversations: Iterable[LoggedConversation], measured: NluErrors, pack: Pack) -> NluErrors:
    """The errors under which the log is likeliest, close to `measured` where it tells little."""
    readings: list[Reading] = []
    found: list[float] = []
    answers = missed = 0
    for conversation in conversations:
        asked = ""
        for turn in conversation.turns:
            reading = _read(turn.heard)
            if reading is not None:
                readings.append(reading)
            found += [entity.confidence for entity in turn.heard.entities if entity.confidence < 1]
            if asked.startswith("ask(") and "inform" in turn.heard.wishes:
                answers += 1
                missed += not turn.heard.entities
            asked = general(turn.decisions[-1].action) if turn.decisions else ""
    fitted = _fit_intents(readings, measured, pack) if readings else measured
    wrong = _share(found, measured.slot_confidence, measured.slot_wrong_confidence, measured.slot_wrong)
    before = 50.0  # answers that the measured share of missed values weighs as much as
    return replace(
        fitted,
        slot_missed=(missed + before * measured.slot_missed) / (answers + before),
        slot_wrong=wrong,
    )


def _read(heard: Understanding) -> Reading | None:
    """None where nothing can be told: a pressed button, or a single reading."""
    taken = heard.wishes[0] if heard.wishes else OUT_OF_SCOPE
    others = [score for score in heard.intents if score.intent not in heard.wishes]
    if not others or len(heard.wishes) > 1:
        return None
    own = {score.intent: score.probability for score in heard.intents}
    confidence = own.get(taken, heard.out_of_scope)
    return Reading(taken, min(confidence, 0.9999), others[0].intent)


def _fit_intents(readings: Sequence[Reading], measured: NluErrors, pack: Pack) -> NluErrors:
    names = [*dict.fromkeys((*pack.intents, OUT_OF_SCOPE))]
    place = {name: index for index, name in enumerate(names)}
    known = [r for r in readings if r.heard in place and r.second in place]
    heard = np.array([place[r.heard] for r in known])
    second = np.array([place[r.second] for r in known])
    at = np.minimum((np.array([r.confidence for r in known]) * BINS).astype(int), BINS - 1)
    before = _confusions(measured.intents, names)
    requests = np.array([name == OUT_OF_SCOPE or pack.intents[name].kind != "social" for name in names])
    # How likely this second reading is beside a right one: any other request will do, no remark or yes.
    chance = 0.9 * requests[second] / requests.sum() + 0.1 * before[heard, second]
    pairs = np.zeros_like(before)  # (meant, heard), were all of them misheard
    np.add.at(pairs, (second, heard), 1.0)
    by_chance = pairs.sum(axis=0) / requests.sum()
    striking = (before > UNSEEN) | (pairs > by_chance + 2 * np.sqrt(by_chance) + 2)
    np.fill_diagonal(striking, False)
    often = np.bincount(heard, minlength=len(names)) / len(heard)
    confused, meant = before, np.full(len(names), 1 / len(names))
    right, wrong = _histogram(measured.right_confidence), _histogram(measured.wrong_confidence)
    right_before, wrong_before = right, wrong
    for _ in range(ROUNDS):
        as_right = meant[heard] * confused[heard, heard] * right[at] * chance
        as_wrong = meant[second] * confused[second, heard] * wrong[at]
        misheard = as_wrong / (as_right + as_wrong)
        counts = PRIOR_MESSAGES * before
        np.add.at(counts, (heard, heard), 1 - misheard)
        np.add.at(counts, (second, heard), misheard)
        meant = (counts - PRIOR_MESSAGES * before).sum(axis=1) + 0.1
        meant /= meant.sum()
        # Errors of which no pair stands out are the same for all intents: each pair alone would be chance.
        scattered = ~striking & ~np.eye(len(names), dtype=bool)
        level = counts[scattered].sum() / counts.sum()
        kept = np.where(scattered, 0.0, counts)
        confused = (1 - level) * kept / kept.sum(axis=1, keepdims=True) + level * often
        right = PRIOR_CONFIDENCES * right_before + np.bincount(at, 1 - misheard, BINS)
        wrong = PRIOR_CONFIDENCES * wrong_before + np.bincount(at, misheard, BINS)
        right, wrong = right / right.sum(), wrong / wrong.sum()
    return replace(
        measured,
        intents={
            name: {other: float(share) for other, share in zip(names, row, strict=True) if share > 1e-4}
            for name, row in zip(names, confused, strict=True)
        },
        right_confidence=_quantiles(right),
        wrong_confidence=_quantiles(wrong),
    )


def _confusions(rows: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> NDArray[np.float64]:
    """(meant, heard) shares; a hundredth goes to what was never seen."""
    place = {name: index for index, name in enumerate(names)}
    table = np.full((len(names), len(names)), 0.01 / len(names))
    for name in names:
        for other, share in rows.get(name, {name: 1.0}).items():
            if other in place:
                table[place[name], place[other]] += 0.99 * share
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def _histogram(quantiles: Sequence[float]) -> NDArray[np.float64]:
    """Shares of equal bins between 0 and 1, smoothed."""
    draws = np.interp(np.linspace(0, 1, 2000), np.linspace(0, 1, len(quantiles)), quantiles)
    counts = np.histogram(draws, BINS, (0, 1))[0] + 2.0
    return np.asarray(counts / counts.sum())


def _quantiles(shares: NDArray[np.float64]) -> tuple[float, ...]:
    up_to = np.concatenate([[0], np.cumsum(shares)])
    edges = np.linspace(0, 1, len(up_to))
    return tuple(float(value) for value in np.interp(np.linspace(0.002, 0.998, QUANTILES), up_to, edges))


def _share(found: Sequence[float], right: Sequence[float], wrong: Sequence[float], before: float) -> float:
    """The share of wrong ones among confidences, given how both kinds are spread."""
    if not found:
        return before
    at = np.minimum((np.array(found) * BINS).astype(int), BINS - 1)
    as_right, as_wrong = _histogram(right)[at], _histogram(wrong)[at]
    share, prior = before, 50.0
    for _ in range(ROUNDS):
        likely = share * as_wrong / (share * as_wrong + (1 - share) * as_right)
        share = float((likely.sum() + prior * before) / (len(found) + prior))
    return share


def by_intent(errors: NluErrors) -> dict[str, float]:
    """How often each intent is misheard."""
    shares: dict[str, float] = defaultdict(float)
    for name, row in errors.intents.items():
        shares[name] = 1 - row.get(name, 0.0)
    return dict(shares)
