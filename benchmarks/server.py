"""The shipped server as a process of its own, for the benchmarks."""

import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

START_SECONDS = 120


@dataclass(frozen=True)
class Server:
    url: str
    pid: int
    started_after: float
    """Seconds from the start of the process to its first answer on /healthz."""


@contextmanager
def running_server(folder: Path, **settings: str) -> Iterator[Server]:
    """`chatbot serve` on a free port, its databases in `folder`. Raises RuntimeError if it does not start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("chatbot")), "serve", "--port", str(port)]
    environment = {
        **os.environ,
        "CHATBOT_LOG_LEVEL": "warning",
        "CHATBOT_RATE_VISITOR": "",  # the clients here are faster than any visitor
        "CHATBOT_RATE_START": "",
        **settings,
        "CHATBOT_DATABASE": f"sqlite:///{folder / 'chatbot.db'}",
    }
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            if process.poll() is not None or time.perf_counter() - start > START_SECONDS:
                raise RuntimeError("the server did not start")
            try:
                httpx.get(f"{url}/healthz", timeout=2).raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.05)
        yield Server(url, process.pid, time.perf_counter() - start)
    finally:
        process.terminate()
        process.wait()


def write(path: Path, figures: dict[str, Any]) -> None:
    """Print the figures and keep them beside the script."""
    figures = {
        **figures,
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
    }
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures))
