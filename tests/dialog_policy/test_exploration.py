"""Exploration: allowed actions near the best, with exact probabilities, for a share of conversations."""

import random
from collections import Counter

import numpy as np
import pytest
import torch

from dialog_policy.exploration import FINAL, Exploration, Exploring, lot
from dialog_policy.features import feature_names
from dialog_policy.policy import LearnedPolicy, actor
from dialog_policy.rules import action_set
from domains.schema import Pack
from storage.state import DialogueState

STATE = DialogueState(
    turn=2, task="transfer_money", failures=1, alternatives=("transfer_money", "check_balance")
)


@pytest.fixture
def policy(pack: Pack) -> LearnedPolicy:
    torch.manual_seed(1)
    actions = action_set(pack)
    return LearnedPolicy(actor([len(feature_names(pack, actions)), 8, len(actions)]), pack, "v1")


def test_that_what_is_logged_is_how_often_it_happens(policy: LearnedPolicy) -> None:
    exploring = Exploring(policy, Exploration(1.0, chance=0.3), random.Random(0))
    choices = [exploring.choose(STATE) for _ in range(4000)]
    counts = Counter(choice.action for choice in choices)
    told = {choice.action: choice.probability for choice in choices}
    assert len(told) > 1
    assert sum(told.values()) == pytest.approx(1.0)
    for action, count in counts.items():
        assert count / len(choices) == pytest.approx(told[action], abs=0.03)
    assert told[policy.choose(STATE).action] == pytest.approx(0.7)


def test_that_only_what_the_rules_allow_and_what_ends_nothing_is_tried(policy: LearnedPolicy) -> None:
    exploring = Exploring(policy, Exploration(1.0, chance=0.4), random.Random(0))
    best = policy.choose(STATE).action
    for _ in range(500):
        choice = exploring.choose(STATE)
        assert choice.mask[policy.actions.index(choice.action)]
        assert choice.action == best or choice.action.kind not in FINAL


def test_that_actions_far_from_the_best_are_not_tried(policy: LearnedPolicy) -> None:
    with torch.no_grad():
        last = policy.network[-1]
        assert isinstance(last, torch.nn.Linear)
        last.weight *= 1000
    exploring = Exploring(policy, Exploration(1.0, chance=0.4), random.Random(0))
    choices = [exploring.choose(STATE) for _ in range(200)]
    assert {choice.action for choice in choices} == {policy.choose(STATE).action}
    assert {choice.probability for choice in choices} == {1.0}


def test_that_a_share_of_the_conversations_explores_and_always_the_same_ones() -> None:
    exploration = Exploration(0.2)
    names = [f"c{number}" for number in range(2000)]
    exploring = [exploration.explores(name) for name in names]
    assert 0.17 < np.mean(exploring) < 0.23
    assert [exploration.explores(name) for name in names] == exploring
    assert not any(Exploration().explores(name) for name in names)
    assert lot("a", "c") != lot("b", "c")


@pytest.mark.parametrize("given", [{"share": 1.5}, {"chance": 0.5}, {"near": 0.0}])
def test_that_exploration_that_would_not_be_safe_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="lie between"):
        Exploration(**given)
