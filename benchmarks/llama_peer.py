"""llama-cpp-python in an environment of its own: a line [text, tokens] in, a line of times out.

    python llama_peer.py FILE.gguf THREADS [plain]

`plain` does without the processor's matrix unit. Started by benchmarks.generator.
"""

import json
import sys
import time
from typing import Any

import llama_cpp
from llama_cpp import llama_cpp as library


def load(gguf: str, threads: int, *, plain: bool) -> Any:
    defaults = library.llama_model_default_params

    def without_matrix_unit() -> Any:
        chosen = defaults()
        chosen.use_extra_bufts = False
        return chosen

    if plain:
        library.llama_model_default_params = without_matrix_unit
    return llama_cpp.Llama(gguf, n_ctx=1024, n_threads=threads, n_threads_batch=threads, verbose=False)


def main() -> None:
    model = load(sys.argv[1], int(sys.argv[2]), plain="plain" in sys.argv[3:])
    for line in sys.stdin:
        text, count = json.loads(line)
        model.reset()
        start = time.perf_counter()
        tokens = model.generate(model.tokenize(text.encode()), temp=0.0)
        next(tokens)
        first, processor = time.perf_counter(), time.process_time()
        for _ in range(count - 1):
            next(tokens)
        rest, processor = time.perf_counter() - first, time.process_time() - processor
        print(json.dumps({"first": first - start, "rest": rest, "processor": processor}), flush=True)


if __name__ == "__main__":
    main()
