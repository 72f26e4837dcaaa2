"""Whether simulated customers who write agree with those who only mean: in success and in turns.

    python -m benchmarks.simulators --data DIR [--episodes 600] [--out FILE]

The shipped policy and the rules meet the same customers at both levels. The sentences are held out from
the training of the NLU (MultiDoGO finance dev, Banking77 valid, CLINC150 oos_val, below DIR), with the pack's
own where those are few. Meanings are heard with the errors beside the shipped NLU, and with those that
the NLU made on the very sentences of other customers. Differences are paired by customer.
"""

import argparse
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.server import write
from chatbot.simulators import open_phrasebooks
from dialog_policy.ear import MISHEARD_BY_TYPOS, MISSED_BY_TYPOS
from dialog_policy.env import DialogueEnv
from dialog_policy.evaluate import Conversation, converse, figures
from dialog_policy.policy import Policy, RulePolicy, load_policy
from dialog_policy.population import Population, load_population
from dialog_policy.text_ear import TextEnv
from domains.loader import load_pack
from nlu.errors import load_errors
from nlu.parser import load_parser

ROOT = Path(__file__).parents[1]
HELD_OUT = (
    ("multidogo/finance/dev.tsv", "multidogo"),
    ("banking77/valid", "fewshot"),
    ("clinc150/data_full.json#oos_val", "clinc150"),
)
SEED, MEASURED_SEED = 1100, 1200
TYPOS = (0.0, 0.3, 1.0)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--episodes", type=int, default=600)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = arguments.parse_args()
    torch.set_num_threads(1)
    pack = load_pack(ROOT / "domains" / "banking")
    population, parser = load_population("default", pack), load_parser(ROOT / "models" / "nlu", pack)
    sources, formats = zip(*HELD_OUT, strict=True)
    books = open_phrasebooks(pack, [str(options.data / source) for source in sources], formats)
    live = load_policy(ROOT / "models" / "policy", pack)
    policies: dict[str, Policy] = {"trained": live, "rules": RulePolicy(pack)}

    def texts(who: Population) -> TextEnv:
        return TextEnv(pack, who, parser, books)

    measuring = texts(population)
    converse(live, measuring, options.episodes // 2, MEASURED_SEED)
    heard = measuring.errors_heard()
    shipped = load_errors(ROOT / "models" / "nlu")
    levels = {
        "shipped errors": DialogueEnv(pack, population, shipped),
        "errors of the sentences": DialogueEnv(pack, population, heard),
        "text": texts(population),
    }
    found: dict[str, Any] = {}
    for name, policy in policies.items():
        rows = {level: converse(policy, env, options.episodes, SEED) for level, env in levels.items()}
        found[name] = {level: _report(rows[level]) for level in rows} | {
            f"text over {level}": _differences(rows["text"], rows[level]) for level in rows if level != "text"
        }
    typos = {}
    for rate in TYPOS:
        kinds = {name: kind.model_copy(update={"typos": rate}) for name, kind in population.kinds.items()}
        sloppy = Population(kinds=kinds)
        written = texts(sloppy)
        rows_of = converse(live, written, options.episodes // 2, SEED)
        meant = converse(live, DialogueEnv(pack, sloppy, heard), options.episodes // 2, SEED)
        typos[str(rate)] = {
            **_misheard(written),
            "success, text": figures(rows_of)["success_rate"],
            "success, errors of the sentences": figures(meant)["success_rate"],
        }
    chosen = {"misheard": MISHEARD_BY_TYPOS, "missed": MISSED_BY_TYPOS}
    names = ("slot_missed", "slot_wrong")
    errors = {
        name: {key: round(asdict(of)[key], 4) for key in names}
        for name, of in (("shipped errors", shipped), ("errors of the sentences", heard))
    }
    out = {"episodes": options.episodes, "errors": errors, **found, "typos": typos, "typos_simulated": chosen}
    write(options.out, out)


def _misheard(env: TextEnv) -> dict[str, float]:
    """Shares of the messages whose meaning is not among what was heard, and of the values not found."""
    pairs = [pair for ear in env.ears for pair in ear.heard]
    wrong = sum(not set(message.intents) & {*heard.wishes} for message, heard in pairs)
    values = [(span, heard) for message, heard in pairs for span in message.spans or ()]
    missed = sum(not any(e.start < s.end and e.end > s.start for e in heard.entities) for s, heard in values)
    return {"misheard": round(wrong / len(pairs), 4), "missed": round(missed / len(values), 4)}


def _report(rows: list[Conversation]) -> dict[str, Any]:
    by_kind = {
        kind: [row for row in rows if row["kind"] == kind] for kind in sorted({r["kind"] for r in rows})
    }
    kinds = {kind: _rounded(figures(some)) for kind, some in by_kind.items()}
    return {**_rounded(figures(rows)), "kinds": kinds}


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: [round(v, 4) for v in value] if isinstance(value, list) else round(value, 4)
        for key, value in row.items()
    }


def _differences(ours: list[Conversation], theirs: list[Conversation]) -> dict[str, list[float]]:
    """Mean difference, paired by customer, and half of its 95 % interval."""
    found = {}
    for key in ("satisfied", "turns", "handed_over", "left"):
        gain = np.array([float(a[key]) - float(b[key]) for a, b in zip(ours, theirs, strict=True)])
        half = 1.96 * float(gain.std(ddof=1)) / math.sqrt(len(gain))
        found[key] = [round(float(gain.mean()), 4), round(half, 4)]
    return found


if __name__ == "__main__":
    main()
