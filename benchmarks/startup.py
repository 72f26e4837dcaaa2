"""From `chatbot serve` to the first answered message, and the memory the server then holds.

    python -m benchmarks.startup [--runs 5] [--out benchmarks/startup.json]

Medians over several cold processes; memory is the resident set after a conversation of a few turns.
"""

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil

from benchmarks.server import running_server, write


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=5)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = arguments.parse_args()
    seconds, megabytes = [], []
    for _ in range(options.runs):
        with TemporaryDirectory() as folder, running_server(Path(folder)) as server:
            up = time.perf_counter()
            with httpx.Client(base_url=server.url, timeout=30) as client:
                path = f"/v1/conversations/{client.post('/v1/conversations').json()['id']}/messages"
                client.post(path, json={"text": "what is your routing number?"}).raise_for_status()
                seconds.append(server.started_after + time.perf_counter() - up)
                client.get("/").raise_for_status()
                for message in ("hello", "i want to send money", "Dana Whitfield", "4821", "4400127316"):
                    client.post(path, json={"text": message}).raise_for_status()
            megabytes.append(psutil.Process(server.pid).memory_info().rss / 2**20)
    write(
        options.out,
        {
            "runs": options.runs,
            "first_answer_s": round(statistics.median(seconds), 1),
            "slowest_s": round(max(seconds), 1),
            "resident_mb": round(statistics.median(megabytes)),
        },
    )


if __name__ == "__main__":
    main()
