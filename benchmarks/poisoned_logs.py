"""Whether somebody who tampers with the log gets a worse policy promoted.

    python -m benchmarks.poisoned_logs [--out FILE.json] [--conversations 2000] [--judged policy_judge.json]

The live policy holds conversations with the default population, exploring in half of them. Then the log is
poisoned in three ways, and each of the policies of `benchmarks.policy_judge` is judged by it. Which of them
are worse is known from there. Beside the verdicts stands what the report says of the log.
"""

import argparse
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.policy_judge import EXPLORE, ROOT, SEED_LOG, environment
from benchmarks.policy_variants import variants
from dialog_policy.experience import gather, sift
from dialog_policy.judge import judge
from dialog_policy.log_reward import contradicts
from dialog_policy.policy import LearnedPolicy, load_policy
from dialog_policy.simulation import SimulationConfig, simulate
from domains.loader import load_pack
from storage.database import open_database
from storage.logs import LoggedConversation, read_conversations
from storage.migration import upgrade

FAKES = 500
FLIPPED = 0.1

Log = list[LoggedConversation]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments.add_argument("--conversations", type=int, default=2000)
    arguments.add_argument("--judged", type=Path, default=Path(__file__).with_name("policy_judge.json"))
    options = arguments.parse_args()
    pack = load_pack(ROOT / "domains" / "banking")
    live = load_policy(ROOT / "models" / "policy", pack)
    rows = json.loads(options.judged.read_text())["rows"]
    truth = {row["policy"]: row for row in rows if row["population"] == "default"}
    bar = truth["live"]["true"] - truth["live"]["true_half"]
    log = held(live, options.conversations, SEED_LOG)
    fakes = held(live, FAKES, SEED_LOG + 1)
    found: dict[str, Any] = {}
    for name, poison in POISONS.items():
        sifted = sift(poison(log, fakes, random.Random(0)), pack, datetime.now(UTC))
        experience, reward = gather(sifted, pack)
        verdicts = {
            policy: judge(experience, candidate, live, reward).verdict
            for policy, candidate in variants(live).items()
        }
        found[name] = {
            "report": list(sifted.anomalies),
            "worse": sum(truth[policy]["true"] < bar for policy in verdicts),
            "worse_called_better": [
                policy
                for policy, verdict in verdicts.items()
                if verdict == "better" and truth[policy]["true"] < bar
            ],
            "verdicts": verdicts,
        }
        print(name, json.dumps(found[name]), flush=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n")


def held(live: LearnedPolicy, count: int, seed: int) -> Log:
    """The conversations as they are read back from the database."""
    with TemporaryDirectory() as folder:
        engine = open_database(f"sqlite:///{folder}/chatbot.db")
        upgrade(engine)
        simulate(engine, environment("default", live.pack), live, SimulationConfig(count, seed, EXPLORE))
        log = list(read_conversations(engine, live.pack.name))
        engine.dispose()
    return log


def untouched(log: Log, fakes: Log, rng: random.Random) -> Log:
    return log


def thumbs_down(log: Log, fakes: Log, rng: random.Random) -> Log:
    """One client holds conversations of its own and rates all of them down, however they went."""
    return log + [_rated(replace(fake, visitor="one client"), -1) for fake in fakes]


def flipped(log: Log, fakes: Log, rng: random.Random) -> Log:
    """One rating in ten says the contrary, whoever gave it."""
    return [_rated(c, -c.rating) if c.rating and rng.random() < FLIPPED else c for c in log]


def replayed(log: Log, fakes: Log, rng: random.Random) -> Log:
    """A lucky conversation, full of actions that the live policy would not choose, comes again and again."""
    lucky = max(
        (c for c in log if c.rating > 0 and not contradicts(c)),
        key=lambda c: sum(decision.probability < 0.3 for decision in c.decisions),
    )
    return log + [replace(lucky, id=f"again-{place}", visitor=f"visitor {place}") for place in range(FAKES)]


def _rated(conversation: LoggedConversation, rating: int) -> LoggedConversation:
    *before, last = (replace(turn, rating=0) for turn in conversation.turns)
    return replace(conversation, turns=(*before, replace(last, rating=rating)))


POISONS: Mapping[str, Callable[[Log, Log, random.Random], Log]] = {
    "untouched": untouched,
    "one client's thumbs down": thumbs_down,
    "flipped": flipped,
    "replayed": replayed,
}


if __name__ == "__main__":
    main()
