"""Many clients at once: is the order kept, is anything lost or stuck, and how many turns a second are served?

    python -m benchmarks.concurrency --database postgresql --processes 4 [--out FILE]

First 64 clients write into one conversation; then 16 clients into 200 conversations, each of which belongs to
two clients. Every message goes to a server process drawn by chance. Only the understanding is a stand-in.
"""

import argparse
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.databases import fresh_databases
from benchmarks.plain_server import running_plain_servers
from benchmarks.server import write
from storage.database import open_database
from storage.migration import check


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--database", choices=["sqlite", "postgresql"], required=True)
    arguments.add_argument("--processes", type=int, default=1)
    arguments.add_argument("--messages", type=int, default=2000, help="in each of the two parts")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    with (
        fresh_databases(options.database, 1) as (url,),
        running_plain_servers(url, options.processes) as servers,
    ):
        servers.wait()
        one = converse(servers.urls, 64, 1, options.messages)
        many = converse(servers.urls, 16, 200, options.messages)
        engine = open_database(url)
        problems = [*one.pop("problems"), *many.pop("problems"), *check(engine)]
        engine.dispose()
    figures = {
        "database": options.database,
        "processes": options.processes,
        "one_conversation": one,
        "many_conversations": many,
        "problems": problems,
    }
    write(options.out or Path(__file__).with_name(f"concurrency-{options.database}.json"), figures)
    raise SystemExit(bool(problems))


def converse(urls: Sequence[str], clients: int, conversations: int, messages: int) -> dict[str, Any]:
    with httpx.Client(base_url=urls[0], timeout=60) as http:
        started = [http.post("/v1/conversations").json() for _ in range(conversations)]
    tokens = {one["id"]: one["token"] for one in started}
    ids = list(tokens)
    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        mine = [_of_client(ids, number, clients) for number in range(clients)]
        work = partial(_write, urls, tokens, messages // clients)
        told = list(pool.map(work, range(clients), mine))
    seconds = time.perf_counter() - start
    times = [spent for client in told for _, _, _, spent in client]
    return {
        "clients": clients,
        "conversations": conversations,
        "messages": len(times),
        "turns_per_s": round(len(times) / seconds, 1),
        "p50_ms": round(statistics.median(times)),
        "p95_ms": round(statistics.quantiles(times, n=20)[18]),
        "problems": _compare(urls[0], tokens, told),
    }


Told = tuple[str, str, Any, float]
"""Conversation, text, the answer's messages (or the status of a refusal), milliseconds."""


def _of_client(ids: Sequence[str], number: int, clients: int) -> list[str]:
    """Every conversation belongs to two clients, where there are several."""
    if len(ids) == 1:
        return list(ids)
    return [one for at, one in enumerate(ids) if number in (at % clients, (at + 1) % clients)]


def _write(
    urls: Sequence[str], tokens: Mapping[str, str], count: int, number: int, ids: Sequence[str]
) -> list[Told]:
    chance, told = random.Random(number), []
    with httpx.Client(timeout=60) as http:
        for step in range(count):
            conversation, text = chance.choice(ids), f"{number} {step}"
            path = f"{chance.choice(urls)}/v1/conversations/{conversation}/messages"
            start = time.perf_counter()
            body = {"text": text, "client_message_id": f"{number}-{step}"}
            response = _post(http, path, body, _show(tokens[conversation]))
            spent = 1000 * (time.perf_counter() - start)
            answer = response.json()["messages"] if response.is_success else response.status_code
            told.append((conversation, text, answer, spent))
    return told


def _show(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _post(http: httpx.Client, path: str, body: dict[str, str], headers: dict[str, str]) -> httpx.Response:
    """Once more where a connection broke that had been idle for too long."""
    try:
        return http.post(path, json=body, headers=headers)
    except httpx.TransportError:
        return http.post(path, json=body, headers=headers)


def _compare(url: str, tokens: Mapping[str, str], told: Sequence[Sequence[Told]]) -> list[str]:
    problems = []
    with httpx.Client(base_url=url, timeout=60) as http:
        histories = {
            one: http.get(f"/v1/conversations/{one}", headers=_show(token)).json()["messages"]
            for one, token in tokens.items()
        }
    written: dict[str, list[str]] = defaultdict(list)
    for client in told:
        for conversation, text, answer, _ in client:
            written[conversation].append(text)
            if isinstance(answer, int):
                problems.append(f"{text} was answered with {answer}")
            elif any(histories[conversation][said["seq"] - 1] != said for said in answer):
                problems.append(f"{text}: the history of {conversation} has another answer")
    for conversation, history in histories.items():
        if [message["seq"] for message in history] != list(range(1, len(history) + 1)):
            problems.append(f"the numbers of {conversation} have gaps")
        asked = [message["text"] for message in history if message["author"] == "customer"]
        if sorted(asked) != sorted(written[conversation]):
            problems.append(f"{conversation}: {len(written[conversation])} were sent, {len(asked)} are there")
        by_client: dict[str, list[int]] = defaultdict(list)
        for text in asked:
            client, step = text.split()
            by_client[client].append(int(step))
        problems += [
            f"{conversation}: the order of client {client} is lost"
            for client, steps in by_client.items()
            if steps != sorted(steps)
        ]
        if [message["author"] for message in history[1:]] != ["customer", "bot"] * len(asked):
            problems.append(f"{conversation}: answers do not follow their messages")
    return problems


if __name__ == "__main__":
    main()
