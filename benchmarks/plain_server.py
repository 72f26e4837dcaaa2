"""Servers of the plain bot that start in a moment: a process that has loaded everything forks them.

    python -m benchmarks.plain_server --database URL --port 9000 [--processes 4]

One process a port, from --port on. One that dies is started again at once. Each start prints a line with its
process id.
"""

import argparse
import gc
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import httpx
import uvicorn
from fastapi.testclient import TestClient

from benchmarks.plain_bot import PACK, build_plain_bot
from chatbot.api import ApiConfig, create_api
from chatbot.assembly import business_database
from chatbot.rates import RateConfig
from domains.banking.backend import open_backend
from domains.loader import load_pack
from domains.schema import Pack
from storage.migration import upgrade

NO_LIMITS = ApiConfig(rates=RateConfig("", "", ""))
"""The clients here are faster than any visitor."""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--database", required=True)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--processes", type=int, default=1)
    options = arguments.parse_args()
    pack = load_pack(PACK)
    _warm_up(pack)
    ports: dict[int, int] = {}

    def start(port: int) -> None:
        child = os.fork()
        if child:
            ports[child] = port
            print(child, flush=True)
            return
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        app = create_api(build_plain_bot(options.database, pack=pack), NO_LIMITS)
        uvicorn.run(app, port=port, log_level="error", timeout_graceful_shutdown=5)
        os._exit(0)

    def stop(*_: object) -> None:
        for child in ports:
            os.kill(child, signal.SIGTERM)
        for child in ports:
            os.waitpid(child, 0)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    for number in range(options.processes):
        start(options.port + number)
    while True:
        child, _ = os.wait()
        start(ports.pop(child))


def _warm_up(pack: Pack) -> None:
    """Load and prepare all that a server needs for its first answer."""
    bot = build_plain_bot("sqlite://", pack=pack)
    upgrade(bot.store.engine)
    app = create_api(bot)
    uvicorn.Config(app).load()
    with TestClient(app) as client:
        conversation = client.post("/v1/conversations").json()["id"]
        client.post(f"/v1/conversations/{conversation}/messages", json={"text": "hello"}).raise_for_status()
    gc.freeze()


class PlainServers:
    """What `main` started, seen from the process that measures."""

    def __init__(self, ports: list[int], lines: IO[str]) -> None:
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self._lines = lines

    def next_pid(self) -> int:
        """The id of the process that was started after those that were told before."""
        return int(self._lines.readline())

    def wait(self, seconds: float = 120) -> None:
        """Until all answer."""
        deadline = time.monotonic() + seconds
        for url in self.urls:
            while True:
                try:
                    httpx.get(f"{url}/readyz", timeout=5).raise_for_status()
                    break
                except httpx.HTTPError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)


@contextmanager
def running_plain_servers(database: str, processes: int = 1) -> Iterator[PlainServers]:
    """Raises httpx.HTTPError where they do not start."""
    open_backend(business_database(database, "banking")).close()  # the first one makes its tables
    first = _free_ports(processes)
    command = [sys.executable, "-m", "benchmarks.plain_server", "--database", database]
    command += ["--port", str(first), "--processes", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield PlainServers(list(range(first, first + processes)), process.stdout)
        finally:
            process.terminate()
            process.wait(60)


def _free_ports(count: int) -> int:
    """The first of `count` ports in a row that nobody listens on."""
    while True:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            first = int(free.getsockname()[1])
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except (OSError, OverflowError):
            continue


if __name__ == "__main__":
    main()
