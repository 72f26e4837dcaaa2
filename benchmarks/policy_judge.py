"""Whether the judge can be believed: its verdicts beside what simulated customers make of twenty policies.

    python -m benchmarks.policy_judge [--out FILE.json] [--conversations 2000] [--truth 1000]

For each of three populations the live policy holds conversations, exploring in half of them, which are
written to a database; from that alone each policy is judged. Its true reward is the mean over simulated
conversations of its own, which is itself only known within an interval: the two are added. Results are kept
after every policy, and an interrupted run goes on.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.policy_variants import variants
from dialog_policy.env import DialogueEnv
from dialog_policy.experience import Experience, gather, sift
from dialog_policy.judge import judge
from dialog_policy.log_reward import LogReward
from dialog_policy.policy import LearnedPolicy, load_policy
from dialog_policy.population import Population, load_population
from dialog_policy.rehearsal import rehearse
from dialog_policy.simulation import SimulationConfig, simulate
from domains.loader import load_pack
from domains.schema import Pack
from nlu.errors import NluErrors, load_errors
from storage.database import open_database
from storage.logs import read_conversations
from storage.migration import upgrade

ROOT = Path(__file__).parents[1]
EXPLORE = 0.5
SEED_LOG, SEED_TRUTH = 5, 3


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments.add_argument("--conversations", type=int, default=2000)
    arguments.add_argument("--truth", type=int, default=1000)
    arguments.add_argument("--populations", nargs="*", default=["default", "misheard", "hasty"])
    options = arguments.parse_args()
    pack = load_pack(ROOT / "domains" / "banking")
    live = load_policy(ROOT / "models" / "policy", pack)
    rows: list[dict[str, Any]] = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
    for population in options.populations:
        env = environment(population, pack)
        done = {row["policy"] for row in rows if row["population"] == population}
        log: tuple[Experience, LogReward] | None = None
        for name, policy in variants(live).items():
            if name in done:
                continue
            log = log or logged(env, live, options.conversations)
            judged = judge(log[0], policy, live, log[1])
            returns = rehearse(env, policy, options.truth, SEED_TRUTH).returns
            rows.append(
                {
                    "population": population,
                    "policy": name,
                    "true": float(returns.mean()),
                    "true_half": float(1.96 * returns.std() / np.sqrt(len(returns))),
                    **asdict(judged),
                }
            )
            print(_line(rows[-1]), flush=True)
            options.out.write_text(json.dumps({"summary": summarise(rows), "rows": rows}, indent=1) + "\n")
    options.out.write_text(json.dumps({"summary": summarise(rows), "rows": rows}, indent=1) + "\n")
    print(json.dumps(summarise(rows), indent=1))


def environment(name: str, pack: Pack) -> DialogueEnv:
    default, measured = load_population("default", pack), load_errors(ROOT / "models" / "nlu")
    if name == "misheard":
        return DialogueEnv(pack, default, NluErrors.uniform(0.2, list(pack.intents)))
    if name == "hasty":
        changes = {"patience": (2, 3), "questions": (0, 2)}
        hasty = {kind: values.model_copy(update=changes) for kind, values in default.kinds.items()}
        return DialogueEnv(pack, Population(kinds=hasty), measured)
    return DialogueEnv(pack, default, measured)


def logged(env: DialogueEnv, live: LearnedPolicy, conversations: int) -> tuple[Experience, LogReward]:
    """What the database holds after the live policy talked to these customers."""
    with TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{folder}/chatbot.db")
        upgrade(engine)
        simulate(engine, env, live, SimulationConfig(conversations, seed=SEED_LOG, explore=EXPLORE))
        found = gather(sift(read_conversations(engine, env.pack.name), env.pack, datetime.now(UTC)), env.pack)
        engine.dispose()
        return found


def summarise(rows: list[dict[str, Any]]) -> dict[str, Any]:
    inside = [
        abs(row["robust"]["value"] - row["true"])
        <= np.hypot(row["robust"]["high"] - row["robust"]["value"], row["true_half"])
        for row in rows
    ]
    live = {row["population"]: row for row in rows if row["policy"] == "live"}
    worse = [
        row
        for row in rows
        if row["population"] in live and row["true"] < live[row["population"]]["true"] - row["true_half"]
    ]
    return {
        "judged": len(rows),
        "true_value_inside": float(np.mean(inside)),
        "rank_correlation": {name: _rank_correlation(rows, name) for name in live},
        "worse": len(worse),
        "worse_called_better": [
            (row["population"], row["policy"]) for row in worse if row["verdict"] == "better"
        ],
        "better": [(row["population"], row["policy"]) for row in rows if row["verdict"] == "better"],
    }


def _rank_correlation(rows: list[dict[str, Any]], population: str) -> float:
    """Spearman's."""
    mine = [row for row in rows if row["population"] == population]
    true = _ranks([row["true"] for row in mine])
    return (
        float(np.corrcoef(true, _ranks([row["robust"]["value"] for row in mine]))[0, 1])
        if len(mine) > 2
        else 1.0
    )


def _ranks(values: list[float]) -> np.ndarray[Any, Any]:
    return np.argsort(np.argsort(values))


def _line(row: Mapping[str, Any]) -> str:
    robust, gain = row["robust"], row["gain"]
    return (
        f"{row['population']:9} {row['policy']:30} true {row['true']:7.2f} ±{row['true_half']:.2f} "
        f"judged {robust['value']:7.2f} ({robust['low']:.2f} to {robust['high']:.2f}) "
        f"gain {gain['value']:6.2f} ({gain['low']:.2f} to {gain['high']:.2f}) seen {row['covered']:.2f} "
        f"n {row['effective']:.0f} {row['verdict']}"
    )


if __name__ == "__main__":
    main()
