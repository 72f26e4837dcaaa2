"""One conversation turn through HTTP with the shipped bot: median and 95th percentile.

    python -m benchmarks.turn [--conversations 40] [--out benchmarks/turn.json]

The server runs as its own process on a free port with a fresh SQLite database; the client is one visitor who
waits for each answer. Time is from sending the request to having read the reply.
"""

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.server import running_server, write

MESSAGES = (
    "hi there",
    "i need to send $12 to 4400127324",
    "Dana Whitfield",
    "4821",
    "how long do transfers take?",
    "my account number is 4400127316",
    "yes, go ahead",
    "what's my balance now",
    "I lost my card, it ends in 6467. i last used it yesterday, in a shop downtown near the station",
    "no",
    "tell me a joke",
    "whats the fee for taking cash out abroad",
    "no thanks, bye",
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--conversations", type=int, default=40)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = arguments.parse_args()
    times: list[float] = []
    with (
        TemporaryDirectory() as folder,
        running_server(Path(folder)) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        for number in range(options.conversations + 2):
            path = f"/v1/conversations/{client.post('/v1/conversations').json()['id']}/messages"
            for message in MESSAGES:
                start = time.perf_counter()
                client.post(path, json={"text": message}).raise_for_status()
                if number >= 2:  # the first two warm up
                    times.append(1000 * (time.perf_counter() - start))
    cuts = statistics.quantiles(times, n=20)
    write(
        options.out,
        {
            "turns": len(times),
            "p50_ms": round(cuts[9], 1),
            "p95_ms": round(cuts[18], 1),
            "max_ms": round(max(times), 1),
        },
    )


if __name__ == "__main__":
    main()
