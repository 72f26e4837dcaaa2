"""deskmoe's NLU, trained and scored on the public sets with the recipe that `chatbot train nlu` chooses.

    python -m benchmarks.nlu --data DIR [--sets atis,snips] [--encoders mixture,dense] [--seeds 0,1,2]
        [--work DIR]

DIR holds the public sets as benchmarks/nlu_splits.py names them, the same splits as in nlu_peers. `dense` is
the mixture's dense twin: the same model over all neurons of MiniLM, trained in the same way. Every result is
added to nlu.json as soon as it is there; what is in the file already is not measured again, and an
interrupted training goes on from --work.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.nlu_peers import cpu_seconds, slotted
from benchmarks.nlu_splits import NAMES, Split, load_split
from benchmarks.results import Results
from chatbot.settings import Settings
from domains.schema import OUT_OF_SCOPE
from moe.encoder import EncoderConfig, MixtureEncoder
from nlu.data import Example
from nlu.evaluate import evaluate
from nlu.model_folder import PIECES
from nlu.parser import Parser, load_parser, save_parser
from nlu.pieces import PieceSplitter
from nlu.pretrained import dense_encoder, load_encoder
from nlu.recipe import recipe
from nlu.train import train

ENCODERS = ("mixture", "dense")


def measure(name: str, encoder: str, seed: int, split: Split, work: Path) -> dict[str, Any]:
    """Train, write, read again as it is served, and score."""
    folder = Settings().models / "encoder"
    base: MixtureEncoder = load_encoder(folder) if encoder == "mixture" else dense_encoder(EncoderConfig())
    out = work / f"{name}-{encoder}-{seed}"
    start = cpu_seconds()
    config = recipe(split.train, seed=seed)
    training = train(split.train, None, base, PieceSplitter(folder / PIECES), config, out)
    used = cpu_seconds() - start
    save_parser(training.parser, out, folder / PIECES)
    parser = load_parser(out, None)
    figures = evaluate(parser, split.valid).as_dict()
    if not slotted(name):
        figures.pop("exact_match", None)
    figures["in_scope_accuracy_before_rejection"] = accuracy_inside(parser, split.valid)
    return {
        "set": name,
        "encoder": encoder,
        "seed": seed,
        **figures,
        "active_neurons": round(base.config.active_share, 3),
        "train_cpu_seconds": round(used, 1),
    }


def accuracy_inside(parser: Parser, examples: Sequence[Example]) -> float:
    """Share of the in-scope messages whose best intent is right, whatever is rejected."""
    inside = [e for e in examples if OUT_OF_SCOPE not in e.intents]
    right = 0
    for start in range(0, len(inside), 64):
        rows = inside[start : start + 64]
        heard = parser.parse_many([e.text for e in rows], [e.heard for e in rows])
        right += sum(h.intents[0].intent in e.intents for h, e in zip(heard, rows, strict=True))
    return right / len(inside)


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--sets", default=",".join(NAMES))
    arguments.add_argument("--encoders", default=",".join(ENCODERS))
    arguments.add_argument("--seeds", default="0,1,2")
    arguments.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "nlu-benchmark")
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = arguments.parse_args()
    cells = [(name, encoder, seed) for seed in range(3) for encoder in ENCODERS for name in NAMES]
    results = Results(options.out, ("set", "encoder", "seed"), cells)
    names, encoders, seeds = (getattr(options, key).split(",") for key in ("sets", "encoders", "seeds"))
    for name, encoder, seed in results.missing():
        if name in names and encoder in encoders and str(seed) in seeds:
            results.add(measure(name, encoder, seed, load_split(name, options.data), options.work))


if __name__ == "__main__":
    main()
