"""How long training a policy from nothing and retraining it take, and how much of that is the simulator's.

    python -m benchmarks.policy_training [--steps 600000] [--conversations 2000] [--out FILE.json]

One thread each, as `chatbot train policy` and `chatbot retrain` run them.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.policy_judge import ROOT
from benchmarks.server import write
from dialog_policy.env import DialogueEnv, Observation
from dialog_policy.policy import RulePolicy, load_policy
from dialog_policy.population import load_population
from dialog_policy.retraining import RetrainConfig, retrain
from dialog_policy.simulation import SimulationConfig, simulate
from dialog_policy.train import TrainConfig, demonstrate, train
from dialog_policy.varied import VariedEnv
from domains.loader import load_pack
from nlu.errors import load_errors
from storage.database import open_database
from storage.migration import upgrade


class TimedEnv(VariedEnv):
    """Counts the seconds that are spent in the simulator, in all environments together."""

    seconds = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        with _counted():
            return super().reset(seed=seed, options=options)

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        with _counted():
            return super().step(action)

    def action_masks(self) -> NDArray[np.bool_]:
        with _counted():
            return super().action_masks()


@contextmanager
def _counted() -> Iterator[None]:
    start = time.perf_counter()
    yield
    TimedEnv.seconds += time.perf_counter() - start


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments.add_argument("--steps", type=int, default=TrainConfig.steps)
    arguments.add_argument("--conversations", type=int, default=2000)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    pack = load_pack(ROOT / "domains" / "banking")
    population, measured = load_population("default", pack), load_errors(ROOT / "models" / "nlu")
    start, config = time.perf_counter(), TrainConfig(steps=options.steps)
    practice = VariedEnv(pack, population, measured)
    shown = demonstrate(RulePolicy(pack), practice, config.imitated_episodes, 77)
    imitated = time.perf_counter()
    with TemporaryDirectory() as folder:
        train(lambda seed: TimedEnv(pack, population, measured, seed), config, Path(folder), shown)
    trained = time.perf_counter()
    live = load_policy(ROOT / "models" / "policy", pack)
    with TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{folder}/chatbot.db")
        upgrade(engine)
        env = DialogueEnv(pack, population, measured)
        simulate(engine, env, live, SimulationConfig(options.conversations, explore=0.5))
        begun = time.perf_counter()
        retrain(engine, pack, live, measured, RetrainConfig())
        retrained = time.perf_counter() - begun
        engine.dispose()
    figures = {
        "steps": options.steps,
        "demonstrations_seconds": round(imitated - start, 1),
        "training_seconds": round(trained - imitated, 1),
        "share_in_environment": round(TimedEnv.seconds / (trained - imitated), 3),
        "conversations": options.conversations,
        "retraining_seconds": round(retrained, 1),
    }
    write(options.out, figures)


if __name__ == "__main__":
    main()
