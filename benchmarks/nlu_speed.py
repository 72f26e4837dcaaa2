"""Time and throughput of the shipped NLU, beside the same model in full precision and beside plain MiniLM.

    python -m benchmarks.nlu_speed --banking banking77/valid --multidogo multidogo/finance/dev.tsv
        --peer-train banking77/train_10 [--messages 200] [--repeats 5] [--out benchmarks/nlu_speed.json]

The NLU gives intents, slots and values; the peer, MiniLM embeddings (sentence-transformers) with a logistic
regression, in full precision and with PyTorch's dynamic int8, gives an intent only. All see the same messages
in turns, so that what else the machine does meets all alike. MultiDoGO's come with the customer's two earlier
ones, which the peer does not read. `undisturbed` takes the fastest repeat of each message or batch: what it
costs without the machine's other work.
"""

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression

from benchmarks.server import write
from chatbot.settings import Settings
from domains.loader import load_pack
from domains.schema import Pack
from nlu.data import Example, load_data
from nlu.labels import label_map
from nlu.parser import Parser, load_parser
from nlu.pretrained import pretrained_folder

BATCH = 64
Understand = Callable[[Sequence[Example]], object]


def nlu(parser: Parser) -> Understand:
    return lambda examples: parser.parse_many([e.text for e in examples], [e.heard for e in examples])


def minilm(examples: Sequence[Example], *, quantised: bool) -> Understand:
    """Embeddings and a logistic regression, fitted on `examples`."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(pretrained_folder()), device="cpu")
    if quantised:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            encoder = torch.ao.quantization.quantize_dynamic(encoder, {torch.nn.Linear}, dtype=torch.qint8)

    def embed(rows: Sequence[Example]) -> Any:
        return encoder.encode([e.text for e in rows], batch_size=BATCH, show_progress_bar=False)

    head = LogisticRegression(max_iter=300).fit(embed(examples), [e.intents[0] for e in examples])
    return lambda rows: head.predict(embed(rows))


def times(understand: Understand, portions: Sequence[Sequence[Example]]) -> list[float]:
    """Milliseconds for each portion."""
    found = []
    for portion in portions:
        start = time.perf_counter()
        understand(portion)
        found.append(1000 * (time.perf_counter() - start))
    return found


def measure(
    contestants: dict[str, Understand], examples: Sequence[Example], repeats: int
) -> dict[str, dict[str, float]]:
    """One by one and in batches of similar length."""
    singles = [[example] for example in examples]
    ordered = sorted(examples, key=lambda e: len(e.text) + sum(map(len, e.heard)))
    batches = [ordered[i : i + BATCH] for i in range(0, len(ordered) - BATCH + 1, BATCH)]
    alone: dict[str, list[list[float]]] = {name: [] for name in contestants}
    together: dict[str, list[list[float]]] = {name: [] for name in contestants}
    for understand in contestants.values():  # warm up
        times(understand, [*singles[:10], *batches[:1]])
    for _ in range(repeats):
        for name, understand in contestants.items():
            alone[name].append(times(understand, singles))
            together[name].append(times(understand, batches))
    return {name: _figures(alone[name], together[name], len(batches)) for name in contestants}


def _figures(alone: list[list[float]], together: list[list[float]], batches: int) -> dict[str, float]:
    best = [min(repeats) for repeats in zip(*alone, strict=True)]
    best_batches = [min(repeats) for repeats in zip(*together, strict=True)]
    messages = 1000 * BATCH * batches
    return {
        "p50_ms": round(statistics.median(statistics.median(run) for run in alone), 2),
        "p95_ms": round(statistics.median(statistics.quantiles(run, n=20)[-1] for run in alone), 2),
        "messages_a_second": round(messages / statistics.median(sum(run) for run in together)),
        "undisturbed_p50_ms": round(statistics.median(best), 2),
        "undisturbed_p95_ms": round(statistics.quantiles(best, n=20)[-1], 2),
        "undisturbed_messages_a_second": round(messages / sum(best_batches)),
    }


def ratios(figures: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """How many times as fast the shipped engine is as each other contestant."""
    shipped = figures["shipped"]
    return {
        name: {
            key: round(value / shipped[key] if key.endswith("_ms") else shipped[key] / value, 2)
            for key, value in other.items()
        }
        for name, other in figures.items()
        if name != "shipped"
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--banking", required=True)
    arguments.add_argument("--multidogo", required=True)
    arguments.add_argument("--peer-train", required=True)
    arguments.add_argument("--messages", type=int, default=200)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = arguments.parse_args()
    if options.messages < BATCH:
        arguments.error(f"--messages must be at least {BATCH}, a whole batch")
    settings = Settings()
    pack = load_pack(settings.domain)
    folder = settings.models / "nlu"
    shipped = nlu(load_parser(folder, pack))
    full = nlu(load_parser(folder, pack, full_precision=True))
    peer_rows = _read(options.peer_train, "fewshot", pack)
    peers = {f"minilm_{kind}": minilm(peer_rows, quantised=kind == "int8") for kind in ("fp32", "int8")}
    report: dict[str, Any] = {"repeats": options.repeats, "load": [round(x, 1) for x in os.getloadavg()]}
    for name, source, data_format in (
        ("banking77_valid", options.banking, "fewshot"),
        ("multidogo_finance_dev_with_context", options.multidogo, "multidogo"),
    ):
        rows = _read(source, data_format, pack)
        rows = rows[:: max(1, len(rows) // options.messages)][: options.messages]
        figures = measure({"shipped": shipped, "full_precision": full, **peers}, rows, options.repeats)
        report[name] = {"messages": len(rows), **figures, "times_as_fast_as": ratios(figures)}
    report["weights_mb"] = round((folder / "model.safetensors").stat().st_size / 1e6, 1)
    write(options.out, report)


def _read(source: str, data_format: str, pack: Pack) -> list[Example]:
    return list(load_data(source, data_format, label_map(pack, data_format)).examples)


if __name__ == "__main__":
    main()
