"""Whole conversations written at once, as the turns one by one would have been: for simulated customers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine, insert

from storage.database import connection
from storage.messages import CONVERSATIONS, MESSAGES, bot_message, customer_message
from storage.records import Draft, TurnRecord
from storage.turn_records import decision_rows, execution_rows
from storage.turn_statements import DECISIONS, EXECUTIONS, TURNS
from storage.turns import status_of


@dataclass(frozen=True)
class HeldConversation:
    """A conversation from its first to its last word."""

    opening: Draft
    turns: tuple[TurnRecord, ...]
    visitor: str
    began: datetime
    ended: datetime
    rating: int = 0
    """The customer's thumbs on the last reply."""
    id: str = ""
    """Where something was decided by it; else one is made."""


def write_conversations(engine: Engine, pack: str, held: Sequence[HeldConversation]) -> None:
    """All of them, or none, in one transaction."""
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("conversations", "messages", "turns", "decisions", "executions")
    }
    for conversation in held:
        _add(rows, conversation, pack)
    with connection(engine, write=True) as opened:
        for table in (CONVERSATIONS, MESSAGES, TURNS, DECISIONS, EXECUTIONS):
            if rows[table.name]:
                opened.execute(insert(table), rows[table.name])


def _add(rows: dict[str, list[dict[str, Any]]], held: HeldConversation, pack: str) -> None:
    name = held.id or uuid4().hex
    messages: list[dict[str, Any]] = [bot_message(name, 1, held.opening)]
    for number, record in enumerate(held.turns, 1):
        asked = len(messages) + 1
        messages.append(customer_message(name, asked, record.text))
        messages += [bot_message(name, seq, draft) for seq, draft in enumerate(record.replies, asked + 1)]
        turn = {"conversation_id": name, "turn": number}
        rows["decisions"] += decision_rows(turn, record)
        rows["executions"] += execution_rows(turn, record, "unanswered")
        rows["turns"].append(
            {
                "conversation_id": name,
                "number": number,
                "client_message_id": None,
                "message_seq": asked,
                "reply_seq": asked + 1,
                "last_seq": len(messages),
                "text": record.text,
                "understanding": record.understanding,
                "state": record.state,
                "latency_ms": record.latency_ms,
                "latency": sum(record.latency_ms.values()),
                "intent": next(iter(record.understanding.wishes), None),
                "confidence": record.understanding.top.probability,
            }
        )
    step = (held.ended - held.began) / max(len(messages) - 1, 1)
    for place, message in enumerate(messages):
        message["created_at"] = held.began + place * step
    for row in rows["turns"][len(rows["turns"]) - len(held.turns) :]:
        row["created_at"] = messages[row["message_seq"] - 1]["created_at"]
    if messages[-1]["author"] == "bot":
        messages[-1]["rating"] = held.rating
    rows["messages"] += messages
    last = held.turns[-1]
    rows["conversations"].append(
        {
            "id": name,
            "pack": pack,
            "status": status_of(last.state),
            "customer_id": last.state.customer_id,
            "state": last.state,
            "policy_version": last.decisions[-1].policy_version if last.decisions else None,
            "visitor": held.visitor,
            "version": len(held.turns),
            "last_seq": len(messages),
            "created_at": held.began,
            "updated_at": held.ended,
        }
    )
