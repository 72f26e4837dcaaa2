"""How much of what there is to gain retraining gains, from the database alone, when customers have changed.

    python -m benchmarks.retraining [--out DIR] [--seeds 5] [--sizes 100 300 1000 2000] [--shifts NAME …]
        [--beginner CONVERSATIONS]

For each shift the shipped policy holds conversations, exploring in half of them, and is retrained from what
the database then holds. The candidate, the live policy and one trained on directly with the shifted customers
themselves are measured by further simulated conversations, the same ones for all. Each cell is a file in
--out; an interrupted run goes on. The summary is printed and kept in `summary.json` there. With --beginner
the live policy is one that has seen so many conversations of the rules and no more, and has a lot to learn.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.policy_judge import ROOT
from dialog_policy.env import DialogueEnv
from dialog_policy.fine_tuning import FineTuneConfig, fine_tune
from dialog_policy.fitted_population import Fitted
from dialog_policy.policy import LearnedPolicy, RulePolicy, load_policy
from dialog_policy.population import Population, load_population
from dialog_policy.rehearsal import rehearse
from dialog_policy.retraining import RetrainConfig, retrain
from dialog_policy.simulation import SimulationConfig, simulate
from dialog_policy.train import TrainConfig, demonstrate, export, train
from dialog_policy.varied import VariedEnv
from domains.loader import load_pack
from domains.schema import Pack
from nlu.errors import NluErrors, load_errors
from storage.database import open_database
from storage.migration import upgrade

MISHEARD = ("transfer_money", "report_lost_card", "dispute_charge")
KINDS: Mapping[str, Mapping[str, Any]] = {
    "all at once": {"volunteers": 1.0, "correction": 0.6},
    "impatient": {"patience": (2, 3), "questions": (1, 2)},
}
TEST_SEED = 900


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(""))
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--sizes", type=int, nargs="*", default=[2000, 1000, 300, 100])
    arguments.add_argument("--shifts", nargs="*", default=["misheard", *KINDS])
    arguments.add_argument(
        "--beginner", type=int, help="Conversations of the rules that the live policy knows."
    )
    arguments.add_argument(
        "--test", type=int, default=1000, help="Conversations by which policies are measured."
    )
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    pack = load_pack(ROOT / "domains" / "banking")
    measured = load_errors(ROOT / "models" / "nlu")
    if options.beginner:
        live = beginner(pack, measured, options.beginner)
    else:
        live = load_policy(ROOT / "models" / "policy", pack)
    for seed in range(options.seeds):
        for size in options.sizes:
            for shift in options.shifts:
                cell = options.out / f"{shift.replace(' ', '-')}-{size}-{seed}.json"
                if not cell.exists():
                    env = shifted(shift, pack, measured)
                    bounds = _bounds(options.out, shift, seed, env, live, options.test)
                    found = _retrained(env, pack, live, measured, size, seed, options.test)
                    cell.write_text(json.dumps({**bounds, **found}, indent=1) + "\n")
                    print(cell.stem, json.dumps({**bounds, **found}), flush=True)
    summary = summarise(options.out)
    (options.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps(summary, indent=1))


def beginner(pack: Pack, errors: NluErrors, conversations: int) -> LearnedPolicy:
    """A policy that imitates the rules after that many conversations."""
    population = load_population("default", pack)

    def practice(seed: int) -> VariedEnv:
        return VariedEnv(pack, population, errors, seed)

    shown = demonstrate(RulePolicy(pack), practice(3), conversations, 5)
    with TemporaryDirectory() as folder:
        model = train(practice, TrainConfig(steps=0), Path(folder), shown)
        return export(model, practice(3), "beginner")


def shifted(shift: str, pack: Pack, measured: NluErrors) -> DialogueEnv:
    default = load_population("default", pack)
    if shift == "misheard":
        rows = dict(measured.intents)
        for place, intent in enumerate(MISHEARD):
            others = [other for other in MISHEARD if other != intent]
            rows[intent] = {intent: 0.5, others[place % 2]: 0.3, "check_balance": 0.2}
        return DialogueEnv(pack, default, replace(measured, intents=rows))
    kinds = {name: kind.model_copy(update=KINDS[shift]) for name, kind in default.kinds.items()}
    return DialogueEnv(pack, Population(kinds=kinds), measured)


def _bounds(
    out: Path, shift: str, seed: int, env: DialogueEnv, live: LearnedPolicy, test: int
) -> dict[str, Any]:
    """The live policy, and one that practised with the shifted customers themselves."""
    path = out / f"bounds-{shift.replace(' ', '-')}-{seed}.json"
    if not path.exists():
        itself = Fitted(env.population, env.errors, {}, {})
        direct, _ = fine_tune(live, itself, "direct", FineTuneConfig(steps=120_000, leash=0.0, seed=seed))
        figures = {"live": _measure(env, live, test), "direct": _measure(env, direct, test)}
        path.write_text(json.dumps(figures, indent=1) + "\n")
    return dict(json.loads(path.read_text()))


def _retrained(
    env: DialogueEnv, pack: Pack, live: LearnedPolicy, measured: NluErrors, size: int, seed: int, test: int
) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{folder}/chatbot.db")
        upgrade(engine)
        simulate(engine, env, live, SimulationConfig(size, seed=seed + 50, explore=0.5))
        config = RetrainConfig(tuning=FineTuneConfig(seed=seed))
        run = retrain(engine, pack, live, measured, config)
        engine.dispose()
    return {
        "proposed": run.proposed.method if run.proposed else None,
        "verdict": run.best.judgement.verdict,
        "best": run.best.method,
        "candidates": {
            attempt.method: {
                **_measure(env, attempt.policy, test),
                "judged_gain": attempt.judgement.gain.value,
                "judged_low": attempt.judgement.gain.low,
                "verdict": attempt.judgement.verdict,
            }
            for attempt in run.attempts
        },
    }


def _measure(env: DialogueEnv, policy: LearnedPolicy, episodes: int) -> dict[str, float]:
    returns = rehearse(env, policy, episodes, TEST_SEED).returns
    return {"reward": float(returns.mean()), "half": float(1.96 * returns.std() / np.sqrt(episodes))}


def summarise(out: Path) -> dict[str, Any]:
    """By shift and size: rewards, and the share of the gap that the best candidate closes."""
    cells: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(out.glob("*-*-*.json")):
        if not path.name.startswith("bounds"):
            cells.setdefault(path.stem.rpartition("-")[0], []).append(json.loads(path.read_text()))
    summary = {}
    for name, rows in cells.items():
        live = float(np.mean([row["live"]["reward"] for row in rows]))
        direct = float(np.mean([row["direct"]["reward"] for row in rows]))
        best = float(np.mean([row["candidates"][row["best"]]["reward"] for row in rows]))
        summary[name] = {
            "seeds": len(rows),
            "live": live,
            "direct": direct,
            "best_candidate": best,
            "gap_closed": (best - live) / (direct - live) if direct > live else None,
            "proposed": sum(row["proposed"] is not None for row in rows),
            "proposed_and_worse": sum(
                row["proposed"] is not None
                and row["candidates"][row["proposed"]]["reward"] < row["live"]["reward"] - row["live"]["half"]
                for row in rows
            ),
        }
    return summary


if __name__ == "__main__":
    main()
