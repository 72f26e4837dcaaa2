"""What a turn costs in the database, and whether it costs more where a million turns are stored.

    python -m benchmarks.storage --database sqlite [--turns 1000000] [--samples 2000] [--seconds 20]

Throughput: processes that do nothing but take turns in conversations of their own, and beside them the same
rows written by plain statements through the driver. Size: the time to load a conversation and append a turn,
alternately in a database that holds only what is measured and in one with --turns turns in it. Processor time
is that of the measuring processes; it tells what a turn costs where others use the machine too.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Table, text

from benchmarks.databases import Kind, fresh_databases
from benchmarks.plain_bot import PACK, PlainParser
from benchmarks.server import write
from dialog_policy.features import FEATURE_VERSION
from dialog_policy.policy import RulePolicy
from domains.loader import load_pack
from domains.schema import Pack
from storage.conversations import ConversationStore
from storage.database import open_database
from storage.desk_tables import Base
from storage.hearing import hear
from storage.records import Decision, Draft, Execution, TurnRecord
from storage.state import DialogueState

TABLES = [
    table
    for table in Base.metadata.sorted_tables
    if table.name == "conversations" or "conversation_id" in table.columns
]
"""Those of the conversations."""
LENGTH = 10
"""Turns of a conversation."""
EXECUTES = (3, 8)
"""The turns in which the business system is asked."""
PROCESSES = {"sqlite": (1,), "postgresql": (1, 2)}
"""SQLite has one writer, and is for one server process."""
WARM_UP = 100
QUICKLY = {"sqlite": ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF"), "postgresql": ()}
SETTLE = {
    "sqlite": ("PRAGMA synchronous = FULL", "PRAGMA journal_mode = WAL"),
    "postgresql": ("SET statement_timeout = 0", "VACUUM ANALYZE", "CHECKPOINT"),
}
GREETING = Draft("Hello, I am Marlow, the virtual assistant of Harbor Trust Bank. How can I help you today?")
ANSWER = Draft(
    "How much would you like to send? You can also tell me the account that the money shall go to."
)


def a_turn(pack: Pack, state: DialogueState) -> TurnRecord:
    """As it comes out of the bot for a short message."""
    heard = PlainParser(pack).parse("transfer_money | transfer_amount=$12.50")
    after = hear(state, heard, pack)
    choice = RulePolicy(pack).choose(after)
    decision = Decision(
        tuple(choice.observation.tolist()),
        FEATURE_VERSION,
        tuple(choice.mask.tolist()),
        str(choice.action),
        choice.probability,
        "rules",
    )
    times = {"understand": 20.11, "decide": 1.25, "word": 0.05}
    return TurnRecord(heard.text, heard, (decision,), (), (ANSWER,), after, times)


def take_turn(store: ConversationStore, conversation: str, record: TurnRecord) -> None:
    """One turn; in some of them the business system would be asked, which takes a transaction more."""
    with store.turn(conversation, None) as turn:
        if turn.number % LENGTH in EXECUTES:
            slots = {"customer_id": "1"}
            key = turn.idempotency_key(1)
            for call in turn.open_calls("check_balance", "1"):
                key = call.idempotency_key
            asked = Execution(key, "check_balance", slots)
            turn.keep(_with(record, asked))
            record = _with(
                record, Execution(asked.idempotency_key, asked.task, slots, "done", {"balances": "$1"})
            )
        turn.finish(record)


def _with(record: TurnRecord, execution: Execution) -> TurnRecord:
    return TurnRecord(**{**vars(record), "executions": (execution,)})


Rate = tuple[float, float]
"""Turns a second, and milliseconds of processor time for each."""


def measure_throughput(url: str, seconds: float, processes: int) -> Rate:
    """Of all processes together."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        rates, costs = zip(*pool.map(_take_turns, [url] * processes, [seconds] * processes), strict=True)
    return sum(rates), statistics.mean(costs)


def _take_turns(url: str, seconds: float) -> Rate:
    engine = open_database(url)
    store, record = ConversationStore(engine), a_turn(load_pack(PACK), DialogueState())
    conversation, count = store.create("banking", None, GREETING), 0
    start, cpu = time.perf_counter(), time.process_time()
    while (spent := time.perf_counter() - start) < seconds:
        if count % LENGTH == 0:
            conversation = store.create("banking", None, GREETING)
        take_turn(store, conversation, record)
        count += 1
    cost = 1000 * (time.process_time() - cpu) / count
    engine.dispose()
    return count / spent, cost


def measure_inserts(url: str, seconds: float) -> Rate:
    """The same rows for each turn in one transaction, as fast as the driver takes them."""
    engine = open_database(url)
    store, record = ConversationStore(engine), a_turn(load_pack(PACK), DialogueState())
    conversation = store.create("banking", None, GREETING)
    take_turn(store, conversation, record)
    plan = [_plain(engine, table, conversation) for table in TABLES]
    connection: Any = engine.raw_connection()
    driver, count = connection.driver_connection, 0
    start, cpu = time.perf_counter(), time.process_time()
    while (spent := time.perf_counter() - start) < seconds:
        count += 1
        cursor = driver.cursor()
        if engine.dialect.name == "sqlite":
            cursor.execute("BEGIN IMMEDIATE")
        for statement, rows in plan:
            for row in rows:
                cursor.execute(statement, (f"plain-{count}", *row))
        driver.commit()
    cost = 1000 * (time.process_time() - cpu) / count
    connection.close()
    engine.dispose()
    return count / spent, cost


def _plain(engine: Engine, table: Table, conversation: str) -> tuple[str, list[tuple[Any, ...]]]:
    """A statement that copies the conversation's rows of a table to another conversation, and the rows."""
    key, *others = _columns(table)
    sqlite = engine.dialect.name == "sqlite"
    shown = ", ".join(others if sqlite else (f"{name}::text" for name in others))
    with engine.connect() as connection:
        found = connection.execute(
            text(f"SELECT {shown} FROM {table.name} WHERE {key} = :id"), {"id": conversation}
        )
        rows = [tuple(row) for row in found]
    marks = ", ".join(["?" if sqlite else "%s"] * (1 + len(others)))
    return f"INSERT INTO {table.name} ({', '.join((key, *others))}) VALUES ({marks})", rows


def _columns(table: Table) -> list[str]:
    """The column of the conversation first."""
    names = [column.name for column in table.columns]
    key = "id" if table.name == "conversations" else "conversation_id"
    return [key, *(name for name in names if name != key)]


def fill(url: str, turns: int, record: TurnRecord) -> list[str]:
    """Copy one conversation in SQL until `turns` are stored. Returns the ids of a thousand of them."""
    engine = open_database(url)
    store = ConversationStore(engine)
    template = store.create("banking", None, GREETING)
    for _ in range(LENGTH):
        take_turn(store, template, record)
    sqlite = engine.dialect.name == "sqlite"
    new_id = "lower(hex(randomblob(16)))" if sqlite else "md5(random()::text || n)"
    numbers = (
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :count)"
        if sqlite
        else "WITH numbers AS (SELECT generate_series(1, :count) AS n)"
    )
    _settle(engine, QUICKLY)
    with engine.connect().execution_options(write=True) as connection, connection.begin():
        if not sqlite:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
        for table in TABLES:
            key, *others = _columns(table)
            values = ", ".join(
                f"c.id || ':' || t.{name}" if name == "idempotency_key" else f"t.{name}" for name in others
            )
            into = f"INSERT INTO {table.name} ({', '.join((key, *others))})"
            if table.name == "conversations":
                source = "FROM conversations t, numbers WHERE t.id = :template"
                copy = f"{into} {numbers} SELECT {new_id}, {values} {source}"
            else:
                copy = (
                    f"{into} SELECT c.id, {values} FROM conversations c, {table.name} t "
                    f"WHERE t.{key} = :template AND c.id <> :template ORDER BY c.id"
                )
            connection.execute(text(copy), {"template": template, "count": turns // LENGTH})
        some = connection.execute(text("SELECT id FROM conversations ORDER BY id LIMIT 100000"))
        ids = random.Random(0).sample([row.id for row in some], min(1000, turns // LENGTH))
    _settle(engine, SETTLE)
    engine.dispose()
    return ids


def _settle(engine: Engine, statements: Mapping[str, tuple[str, ...]]) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        driver: Any = connection.connection.driver_connection
        for statement in statements[engine.dialect.name]:
            driver.execute(statement)


def measure_size(small: str, large: str, turns: int, samples: int) -> dict[str, Any]:
    """Milliseconds to load a conversation and append a turn, in turn in the one database and in the other."""
    start = time.perf_counter()
    record = a_turn(load_pack(PACK), DialogueState())
    places = [(url, fill(url, count, record)) for url, count in ((small, samples), (large, turns))]
    filled = time.perf_counter() - start
    engines = [open_database(url) for url, _ in places]
    stores = [ConversationStore(engine) for engine in engines]
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(samples + WARM_UP):
        for store, (_, ids), spent in zip(stores, places, times, strict=True):
            conversation = ids[number % len(ids)]
            start = time.perf_counter()
            take_turn(store, conversation, record)
            if number >= WARM_UP:
                spent.append(1000 * (time.perf_counter() - start))
    for engine in engines:
        engine.dispose()
    (small_median, small_p95), (large_median, large_p95) = map(_median_and_p95, times)
    return {
        "turns_stored": turns,
        "fill_s": round(filled),
        "samples": samples,
        "small_p50_ms": round(small_median, 2),
        "small_p95_ms": round(small_p95, 2),
        "large_p50_ms": round(large_median, 2),
        "large_p95_ms": round(large_p95, 2),
        "p95_ratio": round(large_p95 / small_p95, 2),
    }


def _median_and_p95(times: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(times, n=20)
    return cuts[9], cuts[18]


def measure_throughputs(database: Kind, seconds: float) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with fresh_databases(database, 1) as (url,):
        for processes in PROCESSES[database]:
            rate, cost = measure_throughput(url, seconds, processes)
            figures[f"turns_per_s_{processes}_processes"] = round(rate)
            figures[f"turn_cpu_ms_{processes}_processes"] = round(cost, 2)
        rate, cost = measure_inserts(url, seconds)
    return figures | {"plain_inserts_per_s": round(rate), "plain_inserts_cpu_ms": round(cost, 2)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--database", choices=["sqlite", "postgresql"], required=True)
    arguments.add_argument("--turns", type=int, default=1_000_000)
    arguments.add_argument("--samples", type=int, default=2000)
    arguments.add_argument("--seconds", type=float, default=20)
    arguments.add_argument("--only", choices=["throughput", "size"], help="leave the other's figures")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    out = options.out or Path(__file__).with_name(f"storage-{options.database}.json")
    figures: dict[str, Any] = {"database": options.database}
    if options.only and out.exists():
        figures |= json.loads(out.read_text(encoding="utf-8"))
    if options.only != "size":
        figures |= measure_throughputs(options.database, options.seconds)
    if options.only != "throughput":
        with fresh_databases(options.database, 2) as (small, large):
            figures |= measure_size(small, large, options.turns, options.samples)
    write(out, figures)


if __name__ == "__main__":
    main()
