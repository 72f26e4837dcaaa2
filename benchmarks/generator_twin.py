"""Perplexity of the shipped generator beside its dense self, tuned on as many batches.

    python -m benchmarks.generator_twin --data DIR --work DIR [--dense-steps 400] [--heal-steps 40]
        [--tune-steps 260] [--out FILE.json]

--data holds sgd/train.jsonl.gz and sgd/dev.jsonl.gz. The steps are those of the shipped generator (its
README). The dense model is made in the same way, from the same layers, tokens and batches; where the
mixture was healed and tuned, it goes on with the batches that the mixture was tuned on, and as many more as
healed it, at the same rate. An interrupted run goes on from --work.
"""

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.server import write
from chatbot.settings import Settings
from chatbot.wording.corpus import batches, encode, evenly, thin_out
from chatbot.wording.pack_pairs import pack_pairs
from chatbot.wording.pretrained import load_pretrained
from chatbot.wording.sgd import load_sgd
from chatbot.wording.tokens import Tokens
from chatbot.wording.training import GeneratorTrainer, GeneratorTraining
from domains.loader import load_pack
from moe.generator import GeneratorConfig, MixtureGenerator
from moe.quantisation import dequantise
from moe.shards import load_shards
from moe.tuning import TextBatch, TuningConfig, perplexity, tune
from nlu.sentences import load_pack_examples

SCORED = 2000
"""Turns of the development split whose replies are predicted."""


def told(name: str, steps: int) -> Callable[[int, float], None]:
    def report(step: int, loss: float) -> None:
        if step % 10 == 0 or step == steps:
            print(f"{name}: batch {step} of {steps}, loss {loss:.3f}", flush=True)

    return report


def shipped(folder: Path) -> MixtureGenerator:
    config = GeneratorConfig(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
    model = MixtureGenerator(config)
    model.load_state_dict(dequantise(load_shards(folder)))
    return model


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--work", type=Path, required=True)
    arguments.add_argument("--dense-steps", type=int, default=400)
    arguments.add_argument("--heal-steps", type=int, default=40)
    arguments.add_argument("--tune-steps", type=int, default=260)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = arguments.parse_args()
    settings = Settings()
    folder, pack = settings.models / "generator", load_pack(settings.domain)
    tokens = Tokens(folder / "tokenizer.json")
    weights, full = load_pretrained()
    rows = encode(thin_out(list(load_sgd(options.data / "sgd/train.jsonl.gz")), 0), tokens)
    own = encode(pack_pairs(pack, load_pack_examples(pack, random.Random(0)), 0), tokens)
    config = GeneratorTraining(dense_steps=options.dense_steps)
    trainer = GeneratorTrainer(rows, own, tokens, config, options.work, told)
    old = old_ids(full["model"]["vocab"], folder / "tokenizer.json")
    dense = trainer.dense(weights, old)

    unseen = encode(list(load_sgd(options.data / "sgd/dev.jsonl.gz")), tokens)
    scored: list[TextBatch] = list(evenly(random.Random(0).sample(unseen, SCORED), tokens.end))
    mixture = shipped(folder)
    figures = {"mixture": perplexity(mixture, scored), "dense_before": perplexity(dense, scored)}
    print(json.dumps(figures), flush=True)
    more = TuningConfig(steps=options.tune_steps + options.heal_steps, rate=config.tune_rate)
    same = batches(rows, own, config.seed + 1, tokens.end)
    tune(dense, same, more, options.work / "dense.pt.more", report=told("dense, further", more.steps))
    figures["dense"] = perplexity(dense, scored)
    write(
        options.out,
        {
            "turns": SCORED,
            "active_neurons": round(mixture.config.active_share, 3),
            "batches": {"dense": options.dense_steps, "after_it": more.steps},
            "perplexity": {name: round(value, 3) for name, value in figures.items()},
            "mixture_against_dense": round(figures["mixture"] / figures["dense"], 3),
        },
    )


def old_ids(vocabulary: dict[str, int], pruned: Path) -> list[int]:
    """The pretrained model's ids of the tokens that were kept, in their new order."""
    kept: dict[str, int] = json.loads(pruned.read_text(encoding="utf-8"))["model"]["vocab"]
    return [vocabulary[token] for token in sorted(kept, key=kept.__getitem__)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
