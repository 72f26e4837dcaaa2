"""A hundred visitors at once: how long a turn takes, whether anything fails, and whether memory grows.

    python -m benchmarks.load [--visitors 100] [--pause 5] [--minutes 3] [--reply template] [--out FILE]

The shipped server as a process of its own, a fresh SQLite database. Each visitor holds one conversation after
the other and sends a message every --pause seconds, from a moment drawn by chance; a message that is late
does not put off the next visitor's. Memory is the server's resident set: after the first minute of load, and
at the end.
"""

import argparse
import asyncio
import random
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil

from benchmarks.server import running_server, write
from benchmarks.turn import MESSAGES

WARM_UP_SECONDS = 60


@dataclass
class Seen:
    times: list[float] = field(default_factory=list)
    """Milliseconds of each answered turn."""
    statuses: Counter[str] = field(default_factory=Counter)
    resident: list[tuple[float, int]] = field(default_factory=list)
    """Seconds since the beginning, and bytes."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--visitors", type=int, default=100)
    arguments.add_argument("--pause", type=float, default=5)
    arguments.add_argument("--minutes", type=float, default=3)
    arguments.add_argument("--reply", choices=("template", "moe"), default="template")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    with TemporaryDirectory() as folder, running_server(Path(folder), CHATBOT_REPLY=options.reply) as server:
        process = psutil.Process(server.pid)
        seconds = WARM_UP_SECONDS + 60 * options.minutes
        seen = asyncio.run(put_under_load(server.url, process, options.visitors, options.pause, seconds))
    cuts = statistics.quantiles(seen.times, n=20)
    warm = [size for at, size in seen.resident if at <= WARM_UP_SECONDS][-1]
    last = seen.resident[-1][1]
    write(
        options.out or Path(__file__).with_name(f"load-{options.reply}.json"),
        {
            "visitors": options.visitors,
            "pause_s": options.pause,
            "reply": options.reply,
            "turns": len(seen.times),
            "statuses": dict(seen.statuses),
            "p50_ms": round(cuts[9], 1),
            "p95_ms": round(cuts[18], 1),
            "max_ms": round(max(seen.times), 1),
            "resident_warm_mb": round(warm / 1e6, 1),
            "resident_end_mb": round(last / 1e6, 1),
            "growth": round(last / warm - 1, 4),
        },
    )


async def put_under_load(
    url: str, process: psutil.Process, visitors: int, pause: float, seconds: float
) -> Seen:
    """Times and statuses are those after the warm-up."""
    seen, start = Seen(), time.perf_counter()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=visitors)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
        visits = [
            _visit(client, seen, random.Random(number), pause, start, start + seconds)
            for number in range(visitors)
        ]
        await asyncio.gather(_watch(process, seen, start, start + seconds), *visits)
    return seen


async def _visit(
    client: httpx.AsyncClient, seen: Seen, rng: random.Random, pause: float, start: float, end: float
) -> None:
    path, due = "", start + rng.uniform(0, pause)
    first = rng.randrange(len(MESSAGES))
    for number, message in enumerate(cycle((*MESSAGES[first:], *MESSAGES[:first]))):
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        if time.perf_counter() >= end:
            return
        if number % len(MESSAGES) == 0:
            path = await _begin(client)
        sent = time.perf_counter()
        status = await _send(client, path, message)
        if sent - start >= WARM_UP_SECONDS:
            seen.statuses[status] += 1
            seen.times.append(1000 * (time.perf_counter() - sent))
        due += pause


async def _begin(client: httpx.AsyncClient) -> str:
    answer = await client.post("/v1/conversations")
    return f"/v1/conversations/{answer.raise_for_status().json()['id']}/messages"


async def _send(client: httpx.AsyncClient, path: str, message: str) -> str:
    try:
        return str((await client.post(path, json={"text": message})).status_code)
    except httpx.HTTPError as error:
        return type(error).__name__


async def _watch(process: psutil.Process, seen: Seen, start: float, end: float) -> None:
    while (now := time.perf_counter()) < end:
        seen.resident.append((now - start, process.memory_info().rss))
        await asyncio.sleep(1)


if __name__ == "__main__":
    main()
