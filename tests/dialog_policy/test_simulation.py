"""Simulated conversations in the log, as if they had been served."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from sqlalchemy import Engine

from dialog_policy.env import DialogueEnv
from dialog_policy.experience import gather, sift
from dialog_policy.features import feature_names
from dialog_policy.policy import LearnedPolicy, RulePolicy, actor, load_policy
from dialog_policy.rehearsal import rehearse
from dialog_policy.rules import action_set
from dialog_policy.simulation import SimulationConfig, hold, simulate
from domains.schema import Pack
from storage.database import open_database
from storage.faults import StorageError
from storage.logs import read_conversations
from storage.migration import check, upgrade
from tests.dialog_policy.conftest import MakeEnv
from tests.shipped import SETTINGS


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'chatbot.db'}")
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def policy(pack: Pack) -> LearnedPolicy:
    return load_policy(SETTINGS.models / "policy", pack)


@pytest.fixture
def env(make_env: MakeEnv) -> DialogueEnv:
    return make_env(0.15)


def test_that_what_is_logged_is_in_order_and_worth_what_the_simulator_says(
    engine: Engine, env: DialogueEnv, policy: LearnedPolicy, pack: Pack
) -> None:
    config = SimulationConfig(60, seed=3, explore=0.5, ratings=1.0)
    told = simulate(engine, env, policy, config)
    assert check(engine) == []
    conversations = list(read_conversations(engine, pack.name))
    assert len(conversations) == told["episodes"] == 60
    experience, _ = gather(sift(conversations, pack, datetime.now(UTC)), pack)
    assert experience.explored.sum() > 5
    contents = [info["satisfied"] for _, info in hold(env, policy, config)]
    right = [(c.rating > 0) == content for c, content in zip(conversations, contents, strict=True)]
    assert all(right)
    replies = [sum(1 for turn in c.turns if turn.decisions) for c in conversations]
    for value, count, content in zip(experience.returns, replies, contents, strict=True):
        assert value == pytest.approx(-4.0 * (count - 1) + (20 if content else -20))


def test_that_without_exploration_every_probability_is_one(
    engine: Engine, env: DialogueEnv, policy: LearnedPolicy, pack: Pack
) -> None:
    simulate(engine, env, policy, SimulationConfig(10, ratings=0.0))
    for conversation in read_conversations(engine, pack.name):
        assert conversation.rating == 0
        assert {(d.probability, d.explored) for d in conversation.decisions} == {(1.0, False)}


def test_that_the_same_seed_twice_is_refused(engine: Engine, env: DialogueEnv, policy: LearnedPolicy) -> None:
    simulate(engine, env, policy, SimulationConfig(3, seed=1))
    with pytest.raises(StorageError, match="give another --seed"):
        simulate(engine, env, policy, SimulationConfig(3, seed=1))


def test_that_a_rehearsal_is_what_the_simulator_pays(env: DialogueEnv, pack: Pack) -> None:
    shown = rehearse(env, RulePolicy(pack), 10, 0)
    assert shown.final.sum() == len(shown) == 10
    assert set(shown.rewards[~shown.final]) <= {0.0, env.reward.message}
    assert set(shown.rewards[shown.final]) <= {20.0, -20.0}


def test_that_a_network_of_another_size_is_no_matter_to_the_log(
    engine: Engine, env: DialogueEnv, pack: Pack
) -> None:
    actions = action_set(pack)
    torch.manual_seed(0)
    small = LearnedPolicy(actor([len(feature_names(pack, actions)), 4, len(actions)]), pack, "small")
    simulate(engine, env, small, SimulationConfig(3, explore=1.0))
    (first, *_) = read_conversations(engine, pack.name)
    assert first.turns[0].decisions[0].policy_version == "small"
