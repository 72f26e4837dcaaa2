"""The learner on a public kind of task, from nothing: success and stability over seeds after few dialogues.

    python -m benchmarks.learner [--dialogues 4000] [--errors 0.15,0.3] [--seeds 5] [--out FILE]

The task is benchmarks/slot_filling.py. `learner` is dialog_policy.train with the number of dialogues and a
seed, all else as it chooses; `unexplored` the same without its additional exploration at the beginning;
`untuned` is MaskablePPO with its own defaults; `handmade` the thresholds that are best of a grid, found on
other dialogues.
"""

import argparse
import itertools
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3.common.callbacks import StopTrainingOnMaxEpisodes

from benchmarks.results import Results
from benchmarks.slot_filling import SUCCESS, Observation, SlotFillingEnv, handcrafted
from dialog_policy.train import SHORT, TrainConfig, train

SCORED = 500
LEARNERS = ("handmade", "untuned", "unexplored", "learner")

Choose = Callable[[SlotFillingEnv, Observation], int]


def score(choose: Choose, error: float, episodes: int, seed: int) -> tuple[float, float]:
    """Share of successes, and mean turns."""
    env = SlotFillingEnv(error)
    ended: list[dict[str, Any]] = []
    for episode in range(episodes):
        seen, _ = env.reset(seed=seed * 100_003 + episode)
        done = False
        while not done:
            seen, _, done, _, info = env.step(choose(env, seen))
        ended.append(info)
    return statistics.mean(e["success"] for e in ended), statistics.mean(e["turns"] for e in ended)


def handmade(error: float) -> Choose:
    """The best thresholds of a grid."""

    def value(thresholds: tuple[float, float]) -> float:
        success, turns = score(lambda env, _: handcrafted(env, *thresholds), error, SCORED, seed=5)
        return SUCCESS * success - turns

    best = max(itertools.product((0.0, 0.4, 0.6, 0.7, 0.8), (0.2, 0.4)), key=value)
    return lambda env, _: handcrafted(env, *best)


def learnt(name: str, error: float, dialogues: int, seed: int) -> Choose:
    def make(number: int) -> SlotFillingEnv:
        return SlotFillingEnv(error, number)

    if name == "untuned":
        model = MaskablePPO("MlpPolicy", make(seed), seed=seed, device="cpu")
        model.learn(10**9, callback=StopTrainingOnMaxEpisodes(dialogues))
    else:
        pace = None if name == "learner" else replace(SHORT, exploration=0.0)
        with TemporaryDirectory() as folder:
            model = train(make, TrainConfig(dialogues=dialogues, seed=seed, pace=pace), Path(folder))

    def choose(env: SlotFillingEnv, seen: Observation) -> int:
        return int(model.predict(seen, action_masks=env.action_masks(), deterministic=True)[0])

    return choose


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--dialogues", type=int, default=4000)
    arguments.add_argument("--errors", default="0.15,0.3")
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = arguments.parse_args()
    torch.set_num_threads(1)
    errors = [float(error) for error in options.errors.split(",")]
    cells = [
        (error, name, seed)
        for error in errors
        for name in LEARNERS
        for seed in range(1 if name == "handmade" else options.seeds)
    ]
    results = Results(options.out, ("error", "policy", "seed"), cells)
    for error, name, seed in results.missing():
        choose = handmade(error) if name == "handmade" else learnt(name, error, options.dialogues, seed)
        success, turns = score(choose, error, SCORED, seed=9)
        results.add(
            {
                "error": error,
                "policy": name,
                "seed": seed,
                "success": success,
                "turns": turns,
                "reward": SUCCESS * success - turns,
                "dialogues": 0 if name == "handmade" else options.dialogues,
            }
        )
    for error, name in itertools.product(errors, LEARNERS):
        found = [r["success"] for r in results.rows if (r["error"], r["policy"]) == (error, name)]
        print(f"{error:.2f} {name:10} mean {np.mean(found):.3f} lowest {min(found):.3f}")


if __name__ == "__main__":
    main()
