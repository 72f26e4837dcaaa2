"""Turns to learn from: what retraining and off-policy evaluation need, nothing that identifies a person."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select, tuple_
from sqlalchemy.orm import Session

from nlu.understanding import Understanding
from storage.audit import Deed, note
from storage.database import snapshot, transaction
from storage.faults import StorageError
from storage.masking import mask
from storage.tables import ConversationRow, DecisionRow, ExecutionRow, MessageRow, TurnRow
from storage.vault import pseudonyms

BATCH = 500
"""Turns that are in memory at once."""


def learning_rows(
    engine: Engine, since: datetime | None = None, *, texts: bool = False
) -> Iterator[dict[str, Any]]:
    """Each turn with what retraining and off-policy evaluation need, oldest conversation first.

    Ids are pseudonyms, times are full hours. Of what the customer wrote there is nothing, or with `texts` the
    text in which recognised values stand as {slot} and numbers are masked: a name that the NLU overlooked
    would still stand in it.
    """
    pseudonym = pseudonyms(engine)
    turns = (
        select(TurnRow, ConversationRow)
        .join(ConversationRow, ConversationRow.id == TurnRow.conversation_id)
        .where(TurnRow.last_seq.is_not(None))
        .order_by(TurnRow.conversation_id, TurnRow.number)
    )
    if since is not None:
        turns = turns.where(TurnRow.created_at >= since)
    with snapshot(engine) as session:
        for batch in session.execute(turns.execution_options(yield_per=BATCH)).partitions():
            found = [turn for turn, _ in batch]
            decisions = _by_turn(session, DecisionRow, DecisionRow.step, found)
            executions = _by_turn(session, ExecutionRow, ExecutionRow.position, found)
            replies = _replies(session, found)
            for turn, conversation in batch:
                place = (turn.conversation_id, turn.number)
                yield {
                    "conversation": pseudonym("conversation", turn.conversation_id),
                    "customer": conversation.customer_id and pseudonym("customer", conversation.customer_id),
                    "pack": conversation.pack,
                    "turn": turn.number,
                    "hour": turn.created_at.replace(minute=0, second=0, microsecond=0).isoformat(),
                    **_understanding(turn.understanding, texts),
                    "decisions": [_decision(row) for row in decisions.get(place, ())],
                    "executions": [
                        {"task": row.task, "status": row.status, "outcome": row.outcome}
                        for row in executions.get(place, ())
                    ],
                    "replies": [
                        {"seq": row.seq, "made_by": row.made_by, "rating": row.rating}
                        for row in replies.get(turn.conversation_id, ())
                        if turn.reply_seq <= row.seq <= turn.last_seq
                    ],
                    "failures": turn.state.failures,
                    "completed": list(turn.state.completed),
                    "handed_over": turn.state.handed_over,
                    "closed": turn.state.closed,
                    "conversation_status": conversation.status,
                    "latency_ms": [
                        {"stage": stage, "ms": ms} for stage, ms in sorted(turn.latency_ms.items())
                    ],
                }


def _understanding(heard: Understanding, texts: bool) -> dict[str, Any]:
    return {
        "text": _without_values(heard) if texts else None,
        "intents": [{"intent": s.intent, "probability": s.probability} for s in heard.intents],
        "wishes": list(heard.wishes),
        "entities": [
            {"slot": e.slot, "confidence": e.confidence, "valid": e.value is not None} for e in heard.entities
        ],
        "out_of_scope": heard.out_of_scope,
    }


def _without_values(heard: Understanding) -> str:
    text = heard.text
    for entity in sorted(heard.entities, key=lambda e: -e.start):
        text = f"{text[: entity.start]}{{{entity.slot}}}{text[entity.end :]}"
    return mask(text)


def _decision(row: DecisionRow) -> dict[str, Any]:
    return {
        "step": row.step,
        "observation": list(row.observation),
        "feature_version": row.feature_version,
        "mask": list(row.mask),
        "action": row.action,
        "probability": row.probability,
        "policy_version": row.policy_version,
        "explored": row.explored,
        "shadow_version": row.shadow_version,
        "shadow_action": row.shadow_action,
    }


def _by_turn(
    session: Session, table: Any, order: Any, turns: Sequence[TurnRow]
) -> Mapping[tuple[str, int], list[Any]]:
    places = [(turn.conversation_id, turn.number) for turn in turns]
    query = select(table).where(tuple_(table.conversation_id, table.turn).in_(places)).order_by(order)
    found: dict[tuple[str, int], list[Any]] = {}
    for row in session.scalars(query):
        found.setdefault((row.conversation_id, row.turn), []).append(row)
    return found


def _replies(session: Session, turns: Sequence[TurnRow]) -> Mapping[str, list[Any]]:
    names = {turn.conversation_id for turn in turns}
    query = (
        select(MessageRow.conversation_id, MessageRow.seq, MessageRow.made_by, MessageRow.rating)
        .where(MessageRow.conversation_id.in_(names), MessageRow.author == "bot")
        .order_by(MessageRow.seq)
    )
    found: dict[str, list[Any]] = {}
    for row in session.execute(query):
        found.setdefault(row.conversation_id, []).append(row)
    return found


def write_jsonl(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    written = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            written += 1
    return written


def write_parquet(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, real, whole, flag = pa.string(), pa.float64(), pa.int32(), pa.bool_()

    def table(**columns: pa.DataType) -> pa.DataType:
        return pa.list_(pa.struct(columns))

    schema = pa.schema(
        {
            "conversation": text,
            "customer": text,
            "pack": text,
            "turn": whole,
            "hour": text,
            "text": text,
            "intents": table(intent=text, probability=real),
            "wishes": pa.list_(text),
            "entities": table(slot=text, confidence=real, valid=flag),
            "out_of_scope": real,
            "decisions": table(
                step=whole,
                observation=pa.list_(real),
                feature_version=whole,
                mask=pa.list_(flag),
                action=text,
                probability=real,
                policy_version=text,
                explored=flag,
                shadow_version=text,
                shadow_action=text,
            ),
            "executions": table(task=text, status=text, outcome=text),
            "replies": table(seq=whole, made_by=text, rating=whole),
            "failures": whole,
            "completed": pa.list_(text),
            "handed_over": flag,
            "closed": flag,
            "conversation_status": text,
            "latency_ms": table(stage=text, ms=real),
        }
    )
    written = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _in_batches(rows, BATCH):
            writer.write_table(pa.Table.from_pylist(batch, schema))
            written += len(batch)
    return written


def _in_batches(rows: Iterable[Mapping[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


WRITERS = {".jsonl": write_jsonl, ".parquet": write_parquet}


def export_turns(
    engine: Engine, path: Path, actor: str, since: datetime | None = None, *, texts: bool = False
) -> int:
    """Write the turns to `path`, in the format that its ending names; returns how many there were."""
    write = WRITERS.get(path.suffix)
    if write is None:
        raise StorageError(
            f"{path}: the ending names the format; give a file that ends in .jsonl or .parquet"
        )
    try:
        written = write(learning_rows(engine, since, texts=texts), path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error
    with transaction(engine, write=True) as session:
        details = {"turns": written, "since": since and since.isoformat(), "texts": texts}
        note(session, Deed("turns.export", str(path), actor, details=details))
    return written
