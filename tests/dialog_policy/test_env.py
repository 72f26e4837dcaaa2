"""The simulated conversations as an environment."""

import random
import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dialog_policy.env import DialogueEnv
from dialog_policy.features import feature_names, observe
from dialog_policy.policy import RulePolicy
from domains.schema import Pack
from storage.state import DialogueState
from tests.dialog_policy.conftest import MakeEnv


def play(env: DialogueEnv, seed: int, rng: random.Random) -> list[tuple[object, ...]]:
    """One conversation with random allowed actions, as rows that can be compared."""
    observation, _ = env.reset(seed=seed)
    rows: list[tuple[object, ...]] = [(observation.tobytes(),)]
    done = False
    while not done:
        pick = rng.choice([i for i, ok in enumerate(env.action_masks()) if ok])
        observation, reward, done, truncated, info = env.step(pick)
        rows.append((pick, observation.tobytes(), reward, done, truncated, repr(info)))
    return rows


def test_that_gymnasiums_own_check_passes(make_env: MakeEnv) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it recommends a symmetric action space
        check_env(make_env(0.1), skip_render_check=True)


def test_that_the_same_seed_brings_the_same_conversation(make_env: MakeEnv) -> None:
    for seed in range(10):
        first = play(make_env(0.2), seed, random.Random(seed))
        assert play(make_env(0.2, seed=99), seed, random.Random(seed)) == first


def test_that_other_seeds_bring_other_conversations(make_env: MakeEnv) -> None:
    env = make_env()
    opened = {env.reset(seed=seed)[0].tobytes() for seed in range(20)}
    assert len(opened) > 10


def test_that_observations_lie_in_their_space_and_have_a_name_each(make_env: MakeEnv, pack: Pack) -> None:
    env = make_env(0.3)
    names = feature_names(pack, env.actions)
    assert len(set(names)) == len(names) == len(observe(DialogueState(), pack, env.actions))
    rng = random.Random(0)
    seen = np.zeros(len(names))
    for seed in range(40):
        observation, _ = env.reset(seed=seed)
        done = False
        while not done:
            assert env.observation_space.contains(observation)
            seen = np.maximum(seen, observation)
            pick = rng.choice([i for i, ok in enumerate(env.action_masks()) if ok])
            observation, _, done, _, _ = env.step(pick)
    assert (seen > 0).mean() > 0.5, "half of the features never had a value"


def test_that_the_first_observation_is_that_of_the_state(make_env: MakeEnv, pack: Pack) -> None:
    env = make_env()
    observation, _ = env.reset(seed=3)
    assert observation.tolist() == observe(env.state, pack, env.actions).tolist()
    assert env.state.turn == 1
    assert observe(DialogueState(), pack, env.actions).sum() == 0


def finish(env: DialogueEnv, seed: int) -> tuple[float, dict[str, object]]:
    """The rules' conversation: its last reward and summary."""
    policy = RulePolicy(env.pack)
    place = {action: index for index, action in enumerate(env.actions)}
    env.reset(seed=seed)
    while True:
        _, reward, done, _, info = env.step(place[policy.choose(env.state).action])
        if done:
            return reward, info


def test_that_a_satisfied_customer_is_rewarded(make_env: MakeEnv) -> None:
    reward, info = finish(make_env(plain={"share": 1, "small_talk": 0}), 0)
    assert info["satisfied"]
    assert reward == 20.0
    assert info["wrong_executions"] == 0


def test_that_a_person_called_without_need_costs(make_env: MakeEnv) -> None:
    env = make_env(plain={"share": 1})
    env.reset(seed=0)
    handoff = next(i for i, action in enumerate(env.actions) if action.kind == "handoff")
    _, reward, done, _, info = env.step(handoff)
    assert done
    assert reward == -20.0
    assert info["handed_over"]
    assert not info["satisfied"]


def test_that_a_person_called_once_all_is_done_costs_as_much(make_env: MakeEnv) -> None:
    env = make_env(plain={"share": 1, "small_talk": 0})
    env.reset(seed=0)
    rules = RulePolicy(env.pack)
    while env.customer.tasks:
        env.step(env.actions.index(rules.choose(env.state).action))
    _, reward, done, _, info = env.step(next(i for i, a in enumerate(env.actions) if a.kind == "handoff"))
    assert done
    assert info["satisfied"]
    assert reward == env.reward.satisfied + env.reward.needless_handoff


@pytest.mark.parametrize(
    ("kind", "handed_over"),
    [
        ({"share": 1, "wants_person": True}, True),
        ({"share": 1, "wrong_credentials": True, "small_talk": 0, "patience": (9, 9)}, True),
        ({"share": 1, "tasks": (0, 0), "out_of_scope": True, "small_talk": 0}, False),
    ],
)
def test_that_customers_who_cannot_be_served_are_content_with_the_right_refusal(
    make_env: MakeEnv, kind: dict[str, object], handed_over: bool
) -> None:
    env = make_env(special=kind)
    ends = [finish(env, seed)[1] for seed in range(10)]
    assert all(info["satisfied"] for info in ends)
    # A stranger, too, gets what takes no authentication.
    assert sum(bool(info["handed_over"]) for info in ends) in (range(8, 11) if handed_over else [0])


def test_that_a_customer_whose_patience_ends_leaves(make_env: MakeEnv) -> None:
    env = make_env(plain={"share": 1, "small_talk": 0, "volunteers": 0, "patience": (2, 2)})
    env.reset(seed=0)
    rephrase = next(i for i, action in enumerate(env.actions) if action.kind == "rephrase")
    rewards = []
    done = False
    while not done:
        _, reward, done, _, info = env.step(rephrase)
        rewards.append(reward)
    assert info["left"]
    assert rewards == [env.reward.message, env.reward.message, env.reward.left]
