"""Figures of a policy."""

import pytest

from dialog_policy.evaluate import evaluate, wilson
from dialog_policy.policy import Choice, RulePolicy
from dialog_policy.rules import action_set, allowed
from domains.schema import Pack
from storage.actions import Action
from storage.state import DialogueState
from tests.dialog_policy.conftest import MakeEnv


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),  # Newcombe 1998, Brown et al. 2001
        (1, 10, 0.0179, 0.4042),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (950, 1000, 0.9346, 0.9619),
    ],
)
def test_that_the_interval_is_wilsons(successes: int, count: int, low: float, high: float) -> None:
    assert wilson(successes, count) == pytest.approx((low, high), abs=2e-4)


def test_that_the_interval_holds_the_share_and_shrinks_with_more_conversations() -> None:
    widths = []
    for count in (10, 100, 1000, 10000):
        low, high = wilson(count // 5, count)
        assert 0 <= low < 0.2 < high <= 1
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)


class AlwaysHandsOver:
    version = "nobody"

    def __init__(self, pack: Pack) -> None:
        self.pack, self.actions = pack, action_set(pack)

    def choose(self, state: DialogueState) -> Choice:
        mask = allowed(state, self.pack, self.actions)
        return Choice(Action("handoff"), None, mask, 1.0)  # type: ignore[arg-type]


def test_that_a_policy_that_hands_everybody_over_serves_only_those_who_want_it(
    pack: Pack, make_env: MakeEnv
) -> None:
    env = make_env(plain={"share": 1}, person={"share": 1, "wants_person": True})
    figures = evaluate(AlwaysHandsOver(pack), env, episodes=60, seed=0)
    assert figures["policy"] == "nobody"
    assert figures["handoff_rate"] == 1.0
    assert figures["mean_turns"] == 1.0
    plain, person = figures["kinds"]["plain"], figures["kinds"]["person"]
    assert (plain["success_rate"], person["success_rate"]) == (0.0, 1.0)
    assert (plain["mean_reward"], person["mean_reward"]) == (-20.0, 20.0)
    assert plain["episodes"] + person["episodes"] == figures["episodes"] == 60
    assert figures["success_rate"] == person["episodes"] / 60


def test_that_the_same_seed_brings_the_same_customers_to_every_policy(pack: Pack, make_env: MakeEnv) -> None:
    first = evaluate(RulePolicy(pack), make_env(0.2), episodes=20, seed=3)
    assert evaluate(RulePolicy(pack), make_env(0.2, seed=9), episodes=20, seed=3) == first
    other = evaluate(AlwaysHandsOver(pack), make_env(0.2), episodes=20, seed=3)
    assert {k: v["episodes"] for k, v in other["kinds"].items()} == {
        k: v["episodes"] for k, v in first["kinds"].items()
    }
    assert evaluate(RulePolicy(pack), make_env(0.2), episodes=20, seed=4) != first
