"""The guard of a canary: whether its conversations go worse than those of the live policy."""

import math
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from storage.outcomes import Outcomes, count_outcomes
from storage.policies import PolicyVersion

FEWEST = 30
"""Conversations of each before anything is concluded."""
CERTAIN = 2.6
"""Standard errors between the two; more than the usual two, as one looks again and again."""
BEFORE = timedelta(days=7)
"""How far back the live policy's conversations count."""
FIGURES = {
    "handed over to a person": "handed_over",
    "left by the customer": "left",
    "rated with thumbs down": "thumbs_down",
}


def find_fault(engine: Engine, canary: PolicyVersion, live: str, now: datetime | None = None) -> str:
    """Which guard figure has fallen, in words; empty where none has."""
    since = canary.served_at or datetime.now(UTC)
    mine = count_outcomes(engine, canary.pack, canary.version, since, now)
    others = count_outcomes(engine, canary.pack, live, since - BEFORE, now)
    return compare(mine, others)


def compare(canary: Outcomes, live: Outcomes) -> str:
    if min(canary.conversations, live.conversations) < FEWEST:
        return ""
    for words, name in FIGURES.items():
        bad, usual = getattr(canary, name), getattr(live, name)
        share, before = bad / canary.conversations, usual / live.conversations
        both = (bad + usual) / (canary.conversations + live.conversations)
        spread = math.sqrt(both * (1 - both) * (1 / canary.conversations + 1 / live.conversations))
        if share - before > CERTAIN * spread:
            return (
                f"{share:.1%} of its {canary.conversations} conversations were {words}, "
                f"{before:.1%} of the live policy's {live.conversations}"
            )
    return ""
