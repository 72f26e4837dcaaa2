"""From logged conversations to a candidate: learn in several ways, judge each, propose one or none."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Engine

from dialog_policy.env import DialogueEnv, Reward
from dialog_policy.evaluate import evaluate
from dialog_policy.experience import Experience, gather, sift, summary
from dialog_policy.exploration import lot
from dialog_policy.fine_tuning import FineTuneConfig, fine_tune
from dialog_policy.fitted_population import FitConfig, Fitted, fit_population
from dialog_policy.judge import JudgeConfig, Judgement, judge, wanted_by
from dialog_policy.log_reward import Ending, LogReward, count_endings
from dialog_policy.offline_learning import (
    ConservativeConfig,
    ImitationConfig,
    imitate_corrections,
    learn_conservatively,
)
from dialog_policy.policy import LearnedPolicy
from domains.schema import Pack
from nlu.errors import NluErrors
from storage.logs import LogError, packs, read_conversations

logger = logging.getLogger(__name__)

Trained = tuple[LearnedPolicy, list[float]]
EXAMPLES = 3
"""Conversations named for each kind of difference."""


@dataclass(frozen=True)
class RetrainConfig:
    held_out: float = 0.4
    """Share of the conversations that nothing learns from, by which candidates are judged."""
    fit: FitConfig = field(default_factory=FitConfig)
    imitation: ImitationConfig = field(default_factory=ImitationConfig)
    conservative: ConservativeConfig = field(default_factory=ConservativeConfig)
    tuning: FineTuneConfig = field(default_factory=FineTuneConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    simulated: int = 300
    """Conversations by kind of customer, for the report."""


TRIAL = RetrainConfig(
    fit=FitConfig(episodes=2, steps=200),
    imitation=ImitationConfig(steps=20),
    conservative=ConservativeConfig(steps=30),
    tuning=FineTuneConfig(steps=256, environments=2, rollout=128, rehearsed=5),
    judge=JudgeConfig(resamples=4),
    simulated=10,
)
"""Small enough to see in seconds that all of it works; what it says is worth nothing."""


@dataclass(frozen=True)
class Difference:
    """What a candidate does in place of what the live policy does, in held-out conversations."""

    live: str
    candidate: str
    decisions: int
    conversations: tuple[str, ...]
    """Some of those in which it is so."""


@dataclass(frozen=True)
class Attempt:
    method: str
    policy: LearnedPolicy = field(repr=False)
    curve: list[float] = field(repr=False)
    judgement: Judgement
    differences: tuple[Difference, ...] = field(repr=False)
    simulated: Mapping[str, Any] = field(repr=False)
    """Figures with the fitted population, by kind of customer."""


@dataclass(frozen=True)
class Retraining:
    live: str
    data: Mapping[str, Any]
    anomalies: tuple[str, ...]
    endings: Mapping[Ending, int]
    content: Mapping[Ending, float]
    """Share of content customers by ending."""
    fitted: Fitted
    live_simulated: Mapping[str, Any]
    attempts: tuple[Attempt, ...]
    held_out: int

    @property
    def proposed(self) -> Attempt | None:
        """The surest of those that are better; else none."""
        better = [attempt for attempt in self.attempts if attempt.judgement.verdict == "better"]
        return max(better, key=lambda attempt: attempt.judgement.gain.low, default=None)

    @property
    def best(self) -> Attempt:
        """What to look at: the proposed one, else the one that promises most, judged and simulated.

        Where the log shows little of what is new, judged gains are all near nought.
        """
        return self.proposed or max(
            self.attempts, key=lambda a: a.judgement.gain.value + a.simulated["mean_reward"]
        )


def retrain(
    engine: Engine,
    pack: Pack,
    live: LearnedPolicy,
    measured: NluErrors,
    config: RetrainConfig,
    since: datetime | None = None,
    tell: Callable[[str], None] = logger.info,
) -> Retraining:
    """Read, sift, learn and judge. Changes nothing. Raises LogError where the log is not fit for it."""
    experience, reward, anomalies = read_log(engine, pack, since)
    tell(f"{len(experience)} conversations read")
    held = np.array([lot("held out", c.id) < config.held_out for c in experience.conversations])
    train, test = experience.select(~held), experience.select(held)
    fitted = fit_population(train.conversations, live, measured, pack, config.fit)
    tell("customers fitted")
    env = DialogueEnv(pack, fitted.population, fitted.errors)
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    ways: dict[str, Callable[[str], Trained | None]] = {
        "leashed": lambda version: fine_tune(live, fitted, version, config.tuning),
        "conservative": lambda version: learn_conservatively(train, live, version, config.conservative),
        "corrected": lambda version: imitate_corrections(train, live, version, config.imitation),
    }
    attempts = []
    for method, learn in ways.items():
        trained = learn(f"{method}-{stamp}")
        if trained is None:
            tell(f"{method}: nothing to learn from")
            continue
        policy, curve = trained
        judgement = judge(test, policy, live, reward, config.judge)
        tell(f"{method}: {judgement.words}")
        attempts.append(
            Attempt(
                method,
                policy,
                curve,
                judgement,
                differences(test, policy, live),
                evaluate(policy, env, config.simulated, 1),
            )
        )
    return Retraining(
        live=live.version,
        data=summary(experience),
        anomalies=anomalies,
        endings=count_endings(experience.conversations),
        content=reward.content,
        fitted=fitted,
        live_simulated=evaluate(live, env, config.simulated, 1),
        attempts=tuple(attempts),
        held_out=len(test),
    )


def read_log(
    engine: Engine, pack: Pack, since: datetime | None = None, now: datetime | None = None
) -> tuple[Experience, LogReward, tuple[str, ...]]:
    """What can be learnt from, its rewards, and what was found wrong. Raises LogError."""
    found = packs(engine)
    if pack.name not in found:
        others = ", ".join(f"{count} of '{name}'" for name, count in found.items()) or "none at all"
        raise LogError(
            f"The database holds no conversation of pack '{pack.name}' ({others}); "
            "look at --database and --domain"
        )
    sifted = sift(read_conversations(engine, pack.name, since), pack, now or datetime.now(UTC))
    experience, reward = gather(sifted, pack, Reward())
    return experience, reward, sifted.anomalies


def differences(
    experience: Experience, candidate: LearnedPolicy, live: LearnedPolicy, most: int = 15
) -> tuple[Difference, ...]:
    """Where the two would act differently, the most frequent first."""
    theirs, ours = wanted_by(candidate, experience), wanted_by(live, experience)
    counts: Counter[tuple[int, int]] = Counter()
    where: dict[tuple[int, int], dict[str, None]] = {}
    owner = experience.owner
    for row in np.flatnonzero(theirs != ours):
        pair = (int(ours[row]), int(theirs[row]))
        counts[pair] += 1
        where.setdefault(pair, {})[experience.conversations[owner[row]].id] = None
    return tuple(
        Difference(
            str(live.actions[pair[0]]),
            str(live.actions[pair[1]]),
            count,
            tuple(list(where[pair])[:EXAMPLES]),
        )
        for pair, count in counts.most_common(most)
    )


def figures(attempt: Attempt) -> dict[str, Any]:
    """What the registry keeps of a candidate."""
    return {"method": attempt.method, **asdict(attempt.judgement)}
