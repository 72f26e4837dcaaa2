"""How long staff's pages take to open, and to look into the database, where 100,000 conversations are stored.

    python -m benchmarks.pages --database sqlite [--conversations 100000] [--seed 0]

Filled with made-up conversations of five turns over 90 days: a tenth handed over, a third with something
done, some in doubt, out of scope or rated. Then what each page asks for is taken, each several times.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Engine, Table, insert, text

from benchmarks.databases import fresh_databases
from benchmarks.page_opening import open_pages
from benchmarks.server import write
from nlu.understanding import IntentScore, Understanding
from storage import insights, review
from storage.database import connection, open_database
from storage.desk_tables import FindingRow, HandoffRow
from storage.state import DialogueState
from storage.tables import ConversationRow, DecisionRow, ExecutionRow, MessageRow, TurnRow

TURNS = 5
DAYS = 90
DIFFERENT = 1000
REPEATS = 7
INTENTS = [f"intent_{number}" for number in range(60)]
END = datetime.now(UTC).replace(microsecond=0)
"""The pages look back from today."""
START = END - timedelta(days=DAYS)
ROWS = (ConversationRow, MessageRow, TurnRow, DecisionRow, ExecutionRow, HandoffRow, FindingRow)

Batch = dict[type[Any], list[dict[str, Any]]]


def fill(engine: Engine, conversations: int, seed: int) -> None:
    """A thousand different ones, and then copies of all their rows."""
    chance = random.Random(seed)
    batch: Batch = {row: [] for row in ROWS}
    for _ in range(min(conversations, DIFFERENT)):
        _add_conversation(batch, chance)
    with connection(engine, write=True) as opened:
        for row, values in batch.items():
            if values:
                opened.execute(insert(cast(Table, row.__table__)), values)
    for copy in range(1, conversations // DIFFERENT):
        with connection(engine, write=True) as opened:
            for row in ROWS:
                opened.execute(text(_copying(cast(Table, row.__table__))), {"copy": f"-{copy}"})


def _copying(table: Table) -> str:
    """The statement that copies the rows of the first conversations under other names."""
    name = "id" if table.name == "conversations" else "conversation_id"
    new = {name, "idempotency_key"}
    columns = [column.name for column in table.columns]
    values = [f"{column} || :copy" if column in new else column for column in columns]
    return (
        f"INSERT INTO {table.name} ({', '.join(columns)}) "
        f"SELECT {', '.join(values)} FROM {table.name} WHERE length({name}) = 32"
    )


def _add_conversation(batch: Batch, chance: random.Random) -> None:
    name = UUID(int=chance.getrandbits(128)).hex
    began = START + timedelta(seconds=chance.uniform(0, DAYS * 86400))
    handed_over = chance.random() < 0.1
    batch[ConversationRow].append(
        {
            "id": name,
            "pack": "banking",
            "status": "closed",
            "state": DialogueState(turn=TURNS),
            "policy_version": chance.choice(["rules", "2026-05-01"]),
            "version": TURNS,
            "last_seq": 1 + 2 * TURNS,
            "created_at": began,
            "updated_at": began,
        }
    )
    batch[MessageRow].append(_message(name, 1, "bot", began, 0))
    for turn in range(1, TURNS + 1):
        _add_turn(batch, chance, name, turn, began + timedelta(seconds=30 * turn))
    if chance.random() < 0.3:
        batch[ExecutionRow].append(
            {
                "conversation_id": name,
                "turn": 2,
                "position": 1,
                "idempotency_key": name,
                "task": "check_balance",
                "slots": {},
                "status": "answered",
                "outcome": "done",
                "facts": {},
                "created_at": began,
            }
        )
    if handed_over:
        resolved = chance.random() < 0.8
        batch[HandoffRow].append(
            {
                "conversation_id": name,
                "turn": TURNS,
                "reason": chance.choice(["asked", "not_understood", "identity"]),
                "waiting_since": began,
                "ended": "resolved" if resolved else "returned",
                "ended_at": began,
                "rating": chance.randint(1, 5) if resolved else None,
            }
        )


def _add_turn(batch: Batch, chance: random.Random, name: str, turn: int, at: datetime) -> None:
    probability, said = chance.random() ** 0.3, "how long does a transfer to another bank take?"
    outside = chance.random() < 0.05
    intent = None if outside else chance.choice(INTENTS)
    thumb = -1 if chance.random() < 0.01 else 0
    heard = Understanding(
        said, (IntentScore(intent or INTENTS[0], probability),), (intent,) if intent else (), (), 0.0
    )
    batch[MessageRow].append(_message(name, 2 * turn, "customer", at, 0))
    batch[MessageRow].append(_message(name, 2 * turn + 1, "bot", at, thumb))
    batch[TurnRow].append(
        {
            "conversation_id": name,
            "number": turn,
            "message_seq": 2 * turn,
            "reply_seq": 2 * turn + 1,
            "last_seq": 2 * turn + 1,
            "text": said,
            "understanding": heard,
            "state": DialogueState(turn=turn),
            "latency_ms": {"understand": 20.0},
            "latency": chance.lognormvariate(3.3, 0.5),
            "intent": intent,
            "confidence": probability,
            "created_at": at,
        }
    )
    batch[DecisionRow].append(
        {
            "conversation_id": name,
            "turn": turn,
            "step": 1,
            "observation": (),
            "feature_version": 2,
            "mask": (),
            "action": "answer(transfer_time)",
            "probability": 1.0,
            "policy_version": "rules",
        }
    )
    doubt = not outside and probability < 0.6
    if doubt or outside or thumb:
        flags = {"low_confidence": doubt, "out_of_scope": outside, "thumbs_down": bool(thumb)}
        batch[FindingRow].append(
            {"conversation_id": name, "turn": turn, "created_at": at, "handoff": False, **flags}
        )


def _message(name: str, seq: int, author: str, at: datetime, rating: int) -> dict[str, Any]:
    return {
        "conversation_id": name,
        "seq": seq,
        "author": author,
        "text": "How long does a transfer to another bank take? One to two business days.",
        "buttons": (),
        "rating": rating,
        "created_at": at,
    }


def measure(engine: Engine) -> dict[str, float]:
    """Milliseconds, the median of several times."""
    middle = review.find(engine, "banking", limit=1)[0].place[0] - timedelta(days=DAYS / 2)
    work: dict[str, Callable[[], object]] = {
        "insights_90_days": lambda: insights.look(engine, "banking", START, END),
        "insights_30_days": lambda: insights.look(engine, "banking", END - timedelta(days=30), END),
        "insights_7_days": lambda: insights.look(engine, "banking", END - timedelta(days=7), END),
        "review_first_page": lambda: review.find(engine, "banking"),
        "review_middle_page": lambda: review.find(engine, "banking", after=(middle, "f", 1)),
        "review_thumbs_down": lambda: review.find(engine, "banking", "thumbs_down"),
        "review_approved": lambda: review.find(engine, "banking", status="approved"),
    }
    figures = {}
    for name, one in work.items():
        figures[f"{name}_ms"], figures[f"{name}_cpu_ms"] = _median(one)
    return figures


def _median(work: Callable[[], object]) -> tuple[float, float]:
    """Of the time, and of the processor time, which tells more where others use the machine too."""
    times, costs = [], []
    for _ in range(REPEATS):
        start, cpu = time.perf_counter(), time.process_time()
        work()
        times.append(1000 * (time.perf_counter() - start))
        costs.append(1000 * (time.process_time() - cpu))
    return round(statistics.median(times), 1), round(statistics.median(costs), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], required=True)
    parser.add_argument("--conversations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with fresh_databases(options.database, 1) as (url,):
        engine = open_database(url)
        fill(engine, options.conversations, options.seed)
        if options.database == "postgresql":
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as opened:
                opened.execute(text("SET statement_timeout = 0"))
                opened.execute(text("VACUUM ANALYZE"))
        figures = {"database": options.database, "conversations": options.conversations, **measure(engine)}
        engine.dispose()
        figures |= open_pages(url)
    write(Path(__file__).with_name(f"pages-{options.database}.json"), figures)


if __name__ == "__main__":
    main()
