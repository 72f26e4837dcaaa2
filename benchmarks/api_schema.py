"""Requests that schemathesis makes from the OpenAPI document: is any answer 5xx, or not as described?

    python -m benchmarks.api_schema [--cases 2000] [--out FILE]

Every operation but the endless stream of events; with a key, on a conversation that exists.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.databases import fresh_databases
from benchmarks.plain_server import running_plain_servers
from benchmarks.server import write
from storage.api_keys import new_api_key
from storage.database import open_database

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,unsupported_method"
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cases", type=int, default=2000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = arguments.parse_args()
    with (
        fresh_databases("sqlite", 1) as (url,),
        running_plain_servers(url) as servers,
        TemporaryDirectory() as folder,
    ):
        servers.wait()
        figures = fuzz(servers.urls[0], _key(url), options.cases, options.seed, Path(folder))
    write(options.out, figures)
    raise SystemExit(bool(figures["failures"]))


def fuzz(url: str, key: str, cases: int, seed: int, folder: Path) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {key}"}
    conversation = httpx.post(f"{url}/v1/conversations", headers=headers).json()["id"]
    document = httpx.get(f"{url}/openapi.json").json()
    operations = sum(len(path) for path in document["paths"].values()) - 1
    (folder / "schemathesis.toml").write_text(
        f'[parameters]\n"path.conversation_id" = "{conversation}"\n', encoding="utf-8"
    )
    report = folder / "report.ndjson"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--header", f"Authorization: Bearer {key}", "--exclude-path-regex", "events$"),
        *("--checks", CHECKS, "--seed", str(seed), "--phases", "examples,coverage,fuzzing"),
        *("--max-examples", str(-(-cases // operations)), "--continue-on-failure", "--no-color"),
        *("--report", "ndjson", "--report-ndjson-path", str(report)),
    ]
    run = subprocess.run(command, cwd=folder, env={**os.environ}, capture_output=True, text=True)
    print(run.stdout[-4000:], run.stderr[-2000:], file=sys.stderr)
    statuses: Counter[str] = Counter()
    for line in report.read_text(encoding="utf-8").splitlines():
        for answer in _answers(json.loads(line)):
            statuses[str(answer)] += 1
    return {
        "operations": operations,
        "requests": sum(statuses.values()),
        "statuses": dict(sorted(statuses.items())),
        "failures": 0 if run.returncode == 0 else run.stdout[-4000:],
    }


def _answers(event: object) -> list[int]:
    """The status codes of every exchange that an event tells of, wherever they stand in it."""
    if isinstance(event, dict):
        found = [event["status_code"]] if isinstance(event.get("status_code"), int) else []
        return found + [code for part in event.values() for code in _answers(part)]
    if isinstance(event, list):
        return [code for part in event for code in _answers(part)]
    return []


def _key(url: str) -> str:
    return new_api_key(open_database(url), "schemathesis", "benchmark")[1]


if __name__ == "__main__":
    main()
