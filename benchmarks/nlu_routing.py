"""How the shipped NLU's encoder spreads its tokens over the experts, and which experts serve which intents.

    python -m benchmarks.nlu_routing --data multidogo/finance/dev.tsv --format multidogo
        [--data banking77/valid --format fewshot] [--out benchmarks/nlu_routing.json]

For each block: the share of tokens that chose each expert (even: top-k / experts), the entropy of these
shares against that of an even spread, and the mutual information, in bits, between a token's intent and an
expert being chosen, summed over experts. For each intent: the experts chosen more often than elsewhere, as
block.expert with the ratio.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.server import write
from chatbot.settings import Settings
from domains.loader import load_pack
from nlu.data import Example, load_data
from nlu.labels import label_map
from nlu.parser import Parser, load_parser

Floats = NDArray[np.float64]


@torch.inference_mode()
def choices(parser: Parser, examples: list[Example]) -> tuple[Floats, Floats]:
    """Tokens of each intent (intents,), and how many of them chose each expert (intents, blocks, experts)."""
    encoder = parser.model.encoder
    names = [*dict.fromkeys(e.intents[0] for e in examples)]
    tokens = np.zeros(len(names))
    chosen = np.zeros((len(names), encoder.config.layers, encoder.config.experts))
    gates: list[torch.Tensor] = []
    hooks = [
        mixture.router.register_forward_hook(lambda _, __, output: gates.append(output[0]))
        for mixture in encoder.mixtures()
    ]
    for example in examples:
        gates.clear()
        batch = parser.splitter([example.text], [example.heard])
        encoder(batch.pieces, batch.segments, batch.mask)
        own = slice(1, 1 + int(batch.lengths[0]))  # the message without its context
        place = names.index(example.intents[0])
        tokens[place] += int(batch.lengths[0])
        for block, gate in enumerate(gates):
            chosen[place, block] += (gate[0, own] > 0).sum(0).numpy()
    for hook in hooks:
        hook.remove()
    return tokens, chosen


def entropy(shares: Floats) -> Floats:
    """Bits, along the last axis, of what is normalised first."""
    shares = shares / shares.sum(-1, keepdims=True)
    found: Floats = -(shares * np.log2(shares.clip(1e-12))).sum(-1)
    return found


def information(tokens: Floats, chosen: Floats) -> Floats:
    """(blocks,) mutual information between intent and choice, summed over the experts."""
    weight = tokens / tokens.sum()

    def of(share: Floats) -> Floats:
        pair: Floats = np.stack([share, 1 - share], axis=-1)
        return entropy(pair)

    by_intent = chosen / tokens[:, None, None]  # (intents, blocks, experts)
    overall = (weight[:, None, None] * by_intent).sum(0)
    found: Floats = (of(overall) - (weight[:, None, None] * of(by_intent)).sum(0)).sum(-1)
    return found


def report(parser: Parser, examples: list[Example], least: int = 100) -> dict[str, Any]:
    names = [*dict.fromkeys(e.intents[0] for e in examples)]
    tokens, chosen = choices(parser, examples)
    load = chosen.sum(0) / tokens.sum()  # (blocks, experts)
    config = parser.model.encoder.config
    serving = {}
    for place, name in enumerate(names):
        if tokens[place] < least:
            continue
        ratio = (chosen[place] / tokens[place]) / load.clip(1e-9)
        order = np.argsort(-ratio, axis=None)[:3]
        serving[name] = [
            f"{block}.{expert} ×{ratio[block, expert]:.1f}"
            for block, expert in zip(*np.unravel_index(order, ratio.shape), strict=True)
        ]
    return {
        "messages": len(examples),
        "tokens": int(tokens.sum()),
        "intents": dict(Counter(e.intents[0] for e in examples).most_common(5)),
        "even_load": round(config.top_k / config.experts, 3),
        "load": [[round(float(share), 3) for share in row] for row in load],
        "entropy_of_even": [round(float(x), 3) for x in entropy(load) / np.log2(config.experts)],
        "information_bits": [round(float(x), 3) for x in information(tokens, chosen)],
        "experts_of_intents": serving,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--data", action="append", required=True)
    arguments.add_argument("--format", action="append", required=True)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = arguments.parse_args()
    if len(options.data) != len(options.format):
        arguments.error(f"{len(options.data)} --data but {len(options.format)} --format; give one for each")
    settings = Settings()
    pack = load_pack(settings.domain)
    parser = load_parser(settings.models / "nlu", pack, full_precision=True)
    found = {}
    for source, data_format in zip(options.data, options.format, strict=True):
        examples = list(load_data(source, data_format, label_map(pack, data_format)).examples)
        found[data_format] = report(parser, examples)
    write(options.out, found)


if __name__ == "__main__":
    main()
