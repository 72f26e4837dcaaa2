"""Figures of a policy over simulated conversations."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from dialog_policy.env import DialogueEnv
from dialog_policy.policy import Policy

Conversation = dict[str, Any]
"""What became of one: its kind of customer, whether that one is satisfied, turns, reward."""


def evaluate(policy: Policy, env: DialogueEnv, episodes: int, seed: int) -> dict[str, Any]:
    """Run `episodes` conversations; the same seed brings the same customers to every policy."""
    rows = converse(policy, env, episodes, seed)
    kinds: dict[str, list[Conversation]] = defaultdict(list)
    for row in rows:
        kinds[row["kind"]].append(row)
    return {
        "policy": policy.version,
        **figures(rows),
        "kinds": {k: figures(v) for k, v in sorted(kinds.items())},
    }


def converse(policy: Policy, env: DialogueEnv, episodes: int, seed: int) -> list[Conversation]:
    place = {action: index for index, action in enumerate(env.actions)}
    rows: list[Conversation] = []
    for episode in range(episodes):
        env.begin(seed * 1_000_003 + episode)
        total, done, info = 0.0, False, dict[str, Any]()
        while not done:
            choice = policy.choose(env.state)
            reward, done, info = env.advance(place[choice.action])
            total += reward
        rows.append({**info, "reward": total})
    return rows


def figures(rows: Sequence[Conversation]) -> dict[str, Any]:
    count = len(rows)
    successes = sum(row["satisfied"] for row in rows)
    low, high = wilson(successes, count)
    return {
        "episodes": count,
        "success_rate": successes / count,
        "success_interval": [low, high],
        "mean_turns": sum(row["turns"] for row in rows) / count,
        "mean_reward": sum(row["reward"] for row in rows) / count,
        "wrong_executions": sum(row["wrong_executions"] for row in rows),
        "handoff_rate": sum(row["handed_over"] for row in rows) / count,
        "left_rate": sum(row["left"] for row in rows) / count,
    }


def wilson(successes: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927)."""
    share = successes / count
    centre = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return (centre - half) / scale, (centre + half) / scale
