"""The database is gone for ten seconds under load: what do customers get, and when is all well again?

    python -m benchmarks.outage --database postgresql [--seconds 10] [--clients 8] [--out FILE]

PostgreSQL is stopped and started; the SQLite file is locked by another process's transaction. The clients are
those of crash.py and repeat what was answered with 503.
"""

import argparse
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.crash import Client, balances, compare, people
from benchmarks.databases import fresh_databases, migrate, running_postgresql
from benchmarks.plain_server import running_plain_servers
from benchmarks.server import write
from chatbot.assembly import business_database
from domains.banking.backend import open_backend
from domains.banking.bank_tables import open_engine

CALM_SECONDS = 5
"""Of service before and after."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--database", choices=["sqlite", "postgresql"], required=True)
    arguments.add_argument("--seconds", type=float, default=10)
    arguments.add_argument("--clients", type=int, default=8)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    with ExitStack() as stack:
        if options.database == "sqlite":
            (url,) = stack.enter_context(fresh_databases("sqlite", 1))
            server = None
        else:
            server = stack.enter_context(running_postgresql())
            url = server.get_uri()
            migrate(url)
        figures = measure(url, server, options.seconds, options.clients)
    figures = {"database": options.database, **figures}
    write(options.out or Path(__file__).with_name(f"outage-{options.database}.json"), figures)
    raise SystemExit(bool(figures["problems"]))


def measure(url: str, server: Any, seconds: float, clients: int) -> dict[str, Any]:
    bank = open_engine(business_database(url, "banking"))
    open_backend(business_database(url, "banking")).close()
    before, stop = balances(bank), threading.Event()
    with running_plain_servers(url) as servers:
        servers.wait()
        crowd = [
            Client(servers.urls[0], person, number, stop)
            for number, person in enumerate(people(bank, clients))
        ]
        bank.dispose()
        for client in crowd:
            client.start()
        time.sleep(CALM_SECONDS)
        gone = time.monotonic()
        with _away(url, server):
            time.sleep(seconds)
        back = time.monotonic()
        time.sleep(CALM_SECONDS)
        stop.set()
        for client in crowd:
            client.join()
        problems = [f"{client.name}: {client.failure}" for client in crowd if client.failure]
        problems += compare(url, bank, crowd, before)
    bank.dispose()
    during = Counter(status for client in crowd for moment, status in client.statuses if gone < moment < back)
    served = [
        min(moment for moment, status in client.statuses if moment > back and status < 300) - back
        for client in crowd
    ]
    return {
        "gone_s": round(back - gone, 1),
        "clients": clients,
        "statuses_while_gone": {str(status): count for status, count in sorted(during.items())},
        "all_served_again_after_s": round(max(served), 2),
        "messages_acknowledged": sum(len(client.done.answers) for client in crowd),
        "transfers": sum(len(client.done.transfers) for client in crowd),
        "problems": problems,
    }


@contextmanager
def _away(url: str, server: Any) -> Iterator[None]:
    if server is not None:
        server.stop()
        yield
        server.start()
        return
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.execute("ROLLBACK")
    other.close()


if __name__ == "__main__":
    main()
