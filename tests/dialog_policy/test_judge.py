"""Judging from logs, beside values that are known exactly."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from dialog_policy.env import Reward
from dialog_policy.experience import Experience
from dialog_policy.features import feature_names
from dialog_policy.fitted_evaluation import Values, evaluate_fitted
from dialog_policy.judge import Estimate, JudgeConfig, judge
from dialog_policy.log_reward import CONTENT, LogReward
from dialog_policy.offline_evaluation import (
    Ratios,
    coverage,
    doubly_robust,
    effective_size,
    importance_sampled,
    trust,
)
from dialog_policy.policy import LearnedPolicy, actor
from dialog_policy.rules import action_set
from domains.schema import Pack

LENGTH = 3
REWARDS = np.array([[1.0, -1.0], [0.0, 2.0], [-3.0, 3.0]])
"""(step, action): what each is worth; the next step depends on nothing."""


def game(
    explore: float, chance: float, conversations: int, seed: int = 0, best: tuple[int, ...] = (0, 0, 0)
) -> Experience:
    """Three steps with two actions each; the live policy takes `best`, and explores in some conversations."""
    rng = np.random.default_rng(seed)
    explored = rng.random(conversations) < explore
    other = explored[:, None] & (rng.random((conversations, LENGTH)) < chance)
    actions = np.where(other, 1 - np.array(best), np.array(best))
    probabilities = np.where(explored[:, None], np.where(other, chance, 1 - chance), 1.0)
    rewards = REWARDS[np.arange(LENGTH), actions] + rng.normal(0, 0.5, (conversations, LENGTH))
    return Experience(
        observations=np.tile(np.eye(LENGTH, dtype=np.float32), (conversations, 1)),
        masks=np.ones((conversations * LENGTH, 2), dtype=bool),
        actions=actions.ravel(),
        probabilities=probabilities.ravel(),
        rewards=rewards.ravel(),
        final=np.tile([False, False, True], conversations),
        first=np.arange(conversations) * LENGTH,
        explored=explored,
        weights=np.ones(conversations),
        conversations=(),
    )


def wanted(experience: Experience, plan: tuple[int, ...]) -> NDArray[np.int64]:
    return np.tile(np.array(plan), len(experience))


def true_value(plan: tuple[int, ...]) -> float:
    return float(REWARDS[np.arange(LENGTH), plan].sum())


@pytest.mark.parametrize("plan", list(itertools.product((0, 1), repeat=LENGTH)))
def test_that_every_plan_has_its_true_value_by_every_method(plan: tuple[int, ...]) -> None:
    experience = game(explore=0.8, chance=0.4, conversations=4000)
    weights = np.ones(len(experience))
    rows = wanted(experience, plan)
    ratios = Ratios.of(experience, rows)
    values = evaluate_fitted(experience, rows, np.ones(len(rows)))
    assert values.wanted[experience.first].mean() == pytest.approx(true_value(plan), abs=0.15)
    assert importance_sampled(experience, ratios, weights) == pytest.approx(true_value(plan), abs=0.3)
    assert doubly_robust(experience, ratios, values, weights) == pytest.approx(true_value(plan), abs=0.15)


def test_that_a_wrong_fit_is_corrected_by_what_the_log_shows() -> None:
    experience = game(explore=1.0, chance=0.4, conversations=8000)
    plan = (1, 1, 1)
    rows = wanted(experience, plan)
    ratios, ones = Ratios.of(experience, rows), np.ones(len(experience))
    wrong = evaluate_fitted(replace(experience, rewards=experience.rewards + 5.0), rows, np.ones(len(rows)))
    assert doubly_robust(experience, ratios, wrong, ones) == pytest.approx(true_value(plan), abs=0.9)


def test_that_a_correction_counts_for_little_where_it_rests_on_a_handful_of_conversations() -> None:
    experience = game(explore=1.0, chance=0.2, conversations=400)
    rows = wanted(experience, (1, 1, 1))
    ratios, ones = Ratios.of(experience, rows), np.ones(len(experience))
    values = evaluate_fitted(experience, rows, np.ones(len(rows)))
    fitted = float(values.wanted[experience.first].mean())
    effective = effective_size(experience, ratios, ones)
    assert 0 < effective < 10
    wrong = Values(values.taken + 50, values.wanted)  # each decision seems fifty worse than expected
    assert 0 < fitted - doubly_robust(experience, ratios, wrong, ones) < 150 * trust(effective) + 1
    assert trust(effective) < 0.5 < trust(1000)


def test_that_the_live_policy_is_worth_what_it_was_seen_to_be_worth() -> None:
    experience = game(explore=0.0, chance=0.4, conversations=500)
    rows = wanted(experience, (0, 0, 0))
    ratios, ones = Ratios.of(experience, rows), np.ones(len(experience))
    values = evaluate_fitted(experience, rows, np.ones(len(rows)))
    assert doubly_robust(experience, ratios, values, ones) == pytest.approx(experience.returns.mean())
    assert effective_size(experience, ratios, ones) == pytest.approx(500)
    assert coverage(experience, ratios, ones) == pytest.approx(1.0)


def test_that_the_log_shows_nothing_of_what_was_never_tried() -> None:
    experience = game(explore=0.0, chance=0.4, conversations=500)
    ratios = Ratios.of(experience, wanted(experience, (0, 0, 1)))
    assert coverage(experience, ratios, np.ones(500)) == 0.0
    assert effective_size(experience, ratios, np.ones(500)) == 0.0


def test_that_known_values_are_taken_as_they_are() -> None:
    experience = game(explore=0.0, chance=0.4, conversations=50)
    rows = wanted(experience, (0, 0, 1))
    known = np.where(rows == 1, -7.0, np.nan)
    values = evaluate_fitted(experience, rows, np.ones(len(rows)), known)
    assert values.wanted[2::3].tolist() == [-7.0] * 50
    assert values.wanted[0] == pytest.approx(1.0 + 0.0 - 7.0, abs=0.3)


# ── verdicts ──


def policies(pack: Pack, *plans: tuple[int, ...]) -> list[LearnedPolicy]:
    """Networks that take `rephrase` (0) or `clarify` (1) by the step that the observation tells."""
    actions = action_set(pack)
    names = feature_names(pack, actions)
    made = []
    for number, plan in enumerate(plans):
        network = actor([len(names), len(actions)])
        weights, bias = network[0].weight.data, network[0].bias.data
        weights.zero_()
        bias.fill_(-100.0)
        for step, action in enumerate(plan):
            for kind in (0, 1):
                weights[kind, step] = 200.0 if action == kind else 0.0
        made.append(LearnedPolicy(network, pack, f"p{number}"))
    return made


def served(pack: Pack, explore: float, conversations: int) -> Experience:
    """The game, in the shape that the pack's policies expect."""
    small = game(explore, 0.4, conversations)
    width, count = len(feature_names(pack, action_set(pack))), len(action_set(pack))
    rows = len(small.actions)
    observations = np.zeros((rows, width), dtype=np.float32)
    observations[:, :LENGTH] = small.observations
    masks = np.zeros((rows, count), dtype=bool)
    masks[:, :2] = True
    return replace(small, observations=observations, masks=masks)


REWARD = LogReward(Reward(), CONTENT)


@pytest.mark.parametrize(
    ("plan", "explore", "conversations", "verdict"),
    [
        ((0, 0, 1), 0.5, 2000, "better"),
        ((0, 1, 0), 0.5, 2000, "better"),
        ((1, 0, 0), 0.5, 2000, "not better"),
        ((0, 0, 0), 0.5, 2000, "not better"),
        ((0, 0, 1), 0.0, 2000, "not enough data"),
        ((0, 0, 1), 0.5, 40, "not enough data"),
    ],
)
def test_that_the_verdict_is_what_the_log_can_tell(
    pack: Pack, plan: tuple[int, ...], explore: float, conversations: int, verdict: str
) -> None:
    live, candidate = policies(pack, (0, 0, 0), plan)
    found = judge(served(pack, explore, conversations), candidate, live, REWARD, JudgeConfig(resamples=20))
    assert found.verdict == verdict, found.words
    if explore and conversations > 100:
        assert found.gain.low - 0.1 <= true_value(plan) - true_value((0, 0, 0)) <= found.gain.high + 0.1
    if verdict == "not enough data":
        assert "CHATBOT_EXPLORE" in found.words if not explore else "more" in found.words


def test_that_an_interval_covers_what_resampling_does_not_show() -> None:
    estimate = Estimate.of(1.0, 0.0, 3.0)
    assert (estimate.low, estimate.high) == (-2.0, 4.0)
