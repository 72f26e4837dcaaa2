"""Conversations with simulated customers, written down as if they had been served."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from dialog_policy.env import DialogueEnv
from dialog_policy.exploration import Exploration, Exploring
from dialog_policy.policy import LearnedPolicy, Policy
from dialog_policy.rules import concrete
from storage.actions import Action
from storage.batch import HeldConversation, write_conversations
from storage.faults import StorageError
from storage.records import Decision, Draft, Execution, TurnRecord

BATCH = 200
MESSAGE = timedelta(seconds=20)
"""Between two messages."""
SETTLED = timedelta(hours=1)
"""How long the last of the conversations has been over."""


@dataclass(frozen=True)
class SimulationConfig:
    episodes: int
    seed: int = 0
    explore: float = 0.0
    """Share of the conversations in which the policy explores."""
    ratings: float = 0.5
    """Share of the customers who rate the last reply: by whether they got what they came for."""
    days: float = 7.0
    """Over which the conversations are spread, up to an hour ago."""


def simulate(
    engine: Engine, env: DialogueEnv, policy: LearnedPolicy, config: SimulationConfig
) -> dict[str, Any]:
    """Let `policy` hold conversations and write them to the database. Returns what became of them."""
    satisfied = explored = messages = 0
    conversations = hold(env, policy, config)
    while held := list(islice(conversations, BATCH)):
        try:
            write_conversations(engine, env.pack.name, [conversation for conversation, _ in held])
        except IntegrityError as error:
            raise StorageError(
                f"The database holds simulated conversations of seed {config.seed} already; "
                "give another --seed"
            ) from error
        satisfied += sum(info["satisfied"] for _, info in held)
        messages += sum(info["turns"] for _, info in held)
        explored += sum(conversation.turns[0].decisions[0].explored for conversation, _ in held)
    return {
        "policy": policy.version,
        "episodes": config.episodes,
        "explored": explored,
        "success_rate": satisfied / config.episodes,
        "mean_turns": messages / config.episodes,
    }


def hold(
    env: DialogueEnv, policy: LearnedPolicy, config: SimulationConfig
) -> Iterator[tuple[HeldConversation, dict[str, Any]]]:
    """Each conversation with the simulator's own account of it, which the log does not hold."""
    exploration = Exploration(share=config.explore)
    first = datetime.now(UTC) - SETTLED - timedelta(days=config.days)
    for episode in range(config.episodes):
        seed = config.seed * 1_000_003 + episode
        rng = random.Random(f"simulation:{seed}")
        name = f"{rng.getrandbits(128):032x}"
        chooser = Exploring(policy, exploration, rng) if exploration.explores(name) else policy
        turns, info = _converse(env, chooser, seed, name)
        ended = first + (episode + 1) / config.episodes * timedelta(days=config.days)
        rated = rng.random() < config.ratings
        yield (
            HeldConversation(
                opening=Draft("…"),
                turns=turns,
                visitor=f"simulated-{config.seed}-{episode}",
                began=ended - 2 * len(turns) * MESSAGE,
                ended=ended,
                rating=(1 if info["satisfied"] else -1) if rated else 0,
                id=name,
            ),
            info,
        )


def _converse(
    env: DialogueEnv, policy: Policy, seed: int, name: str
) -> tuple[tuple[TurnRecord, ...], dict[str, Any]]:
    place = {action: index for index, action in enumerate(env.actions)}
    env.begin(seed)
    turns: list[TurnRecord] = []
    done, info = False, dict[str, Any]()
    while not done:
        heard = env.heard
        actions: list[Action] = []
        decisions: list[Decision] = []
        executions: list[Execution] = []
        while not (actions and actions[-1].waits):
            choice = policy.choose(env.state)
            actions.append(concrete(choice.action, env.state))
            decisions.append(choice.logged(actions[-1], policy.version))
            done, info = env.advance(place[choice.action])[1:]
            if actions[-1].kind in ("authenticate", "execute"):
                key = f"{name}:{len(turns) + 1}:{len(executions) + 1}"
                executions.append(replace(env.executed, idempotency_key=key))
        reply = Draft(" ".join(map(str, actions)), made_by="simulation")
        turns.append(TurnRecord(heard.text, heard, tuple(decisions), tuple(executions), (reply,), env.spoken))
    return tuple(turns), info
