"""The trained policy beside the rules and beside their imitation, in conversations that none has practised.

    python -m benchmarks.policy [--runs runs/policy] [--seeds 5] [--episodes 1000] [--out FILE]

Each seed is a policy of its own, trained from nothing with varied customers (`chatbot train policy --seed N`;
one that lies in --runs is taken from there). All meet the same customers: the default population, with the
errors measured on the shipped NLU and with uniform rates. Intervals are over the seeds.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.server import write
from dialog_policy.env import DialogueEnv
from dialog_policy.evaluate import evaluate
from dialog_policy.policy import LearnedPolicy, Policy, RulePolicy, load_policy, save_policy
from dialog_policy.population import load_population
from dialog_policy.train import TrainConfig, demonstrate, export, train
from dialog_policy.varied import VariedEnv
from domains.loader import load_pack
from nlu.errors import NluErrors, load_errors

ROOT = Path(__file__).parents[1]
MEASURED = "measured"
ERRORS: tuple[str | float, ...] = (MEASURED, 0.0, 0.1, 0.2, 0.3)
TEST_SEED = 400
"""Plus the policy's own."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=Path, default=Path("runs/policy"))
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--episodes", type=int, default=1000)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = arguments.parse_args()
    cells = [(options.runs, seed, options.episodes) for seed in range(options.seeds)]
    with ProcessPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        found = list(pool.map(measure, *zip(*cells, strict=True)))
    rows = [row for rows in found for row in rows]
    write(options.out, {"seeds": options.seeds, "episodes": options.episodes, "errors": summarise(rows)})


def measure(runs: Path, seed: int, episodes: int) -> list[dict[str, Any]]:
    """Rows of one seed: by error rate and policy."""
    pack = load_pack(ROOT / "domains" / "banking")
    population = load_population("default", pack)
    measured = load_errors(ROOT / "models" / "nlu")

    def practice(number: int) -> VariedEnv:
        return VariedEnv(pack, population, measured, number)

    def trained(folder: Path, steps: int) -> LearnedPolicy:
        if not (folder / "config.json").exists():
            start, config = time.perf_counter(), TrainConfig(steps=steps, seed=seed)
            shown = demonstrate(RulePolicy(pack), practice(seed), config.imitated_episodes, seed + 77)
            model = train(practice, config, folder, shown)
            spent = {"seconds": round(time.perf_counter() - start)}
            save_policy(export(model, practice(seed), f"seed-{seed}"), folder, spent)
        return load_policy(folder, pack)

    policies: dict[str, Policy] = {
        "rules": RulePolicy(pack),
        "imitation": trained(runs / f"imitation-{seed}", 0),
        "trained": trained(runs / f"seed-{seed}", TrainConfig.steps),
    }
    rows = []
    for error in ERRORS:
        errors = measured if error == MEASURED else NluErrors.uniform(float(error), list(pack.intents))
        env = DialogueEnv(pack, population, errors)
        for name, policy in policies.items():
            figures = evaluate(policy, env, episodes, TEST_SEED + seed)
            rows.append({**figures, "error": error, "seed": seed, "policy": name})
    return rows


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """By error rate: each policy's figures, and what the trained one gains, paired by seed."""
    summary: dict[str, Any] = {}
    for error in ERRORS:
        mine = [row for row in rows if row["error"] == error]
        by_policy = {
            name: [row for row in mine if row["policy"] == name] for name in ("rules", "imitation", "trained")
        }
        summary[str(error)] = {
            **{
                name: {
                    key: round(float(np.mean([row[key] for row in some])), 4)
                    for key in ("success_rate", "mean_turns", "mean_reward", "handoff_rate", "left_rate")
                }
                | {"wrong_executions": sum(row["wrong_executions"] for row in some)}
                for name, some in by_policy.items()
            },
            "gain": {
                f"{key} over {other}": _paired(by_policy["trained"], by_policy[other], key)
                for other in ("rules", "imitation")
                for key in ("success_rate", "mean_turns")
            },
        }
    return summary


def _paired(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], key: str) -> list[float]:
    """Mean difference and the half of its 95 % interval (Student's t over the seeds)."""
    gains = np.array([a[key] - b[key] for a, b in zip(ours, theirs, strict=True)])
    quantile = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}.get(len(gains), 1.96)
    spread = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else 0.0
    return [round(float(gains.mean()), 4), round(float(quantile * spread), 4)]


if __name__ == "__main__":
    main()
