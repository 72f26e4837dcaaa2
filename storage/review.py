"""Turns that are worth a look, and what staff say they should have been."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal, cast, get_args

from sqlalchemy import ColumnElement, Engine, Executable, and_, exists, literal, select, tuple_
from sqlalchemy.exc import IntegrityError

from nlu.understanding import Understanding
from storage.audit import Deed, note, write_down
from storage.columns import UtcTime
from storage.database import transaction
from storage.desk_tables import CorrectionRow, FindingRow, StaffRow
from storage.faults import StorageError
from storage.messages import read_messages
from storage.records import Label, Message, Review
from storage.staff import Staff
from storage.tables import ConversationRow, DecisionRow, TurnRow

Reason = Literal["low_confidence", "out_of_scope", "thumbs_down", "handoff"]
REASONS: tuple[Reason, ...] = get_args(Reason)
Place = tuple[datetime, str, int]
"""Where a page of findings goes on: time, conversation and turn of the last one."""


class ReviewError(StorageError):
    """A correction that cannot be taken; the message is fit for the page."""


@dataclass(frozen=True)
class Correction:
    conversation_id: str
    turn: int
    text: str
    """With stand-ins for what identifies a person."""
    intent: str | None
    entities: tuple[Label, ...]
    action: str | None
    status: Review
    by: str
    """The name of who corrected it."""


@dataclass(frozen=True)
class Finding:
    conversation_id: str
    turn: int
    created_at: datetime
    reasons: tuple[Reason, ...]
    heard: Understanding
    correction: Correction | None

    @property
    def place(self) -> Place:
        return self.created_at, self.conversation_id, self.turn


@dataclass(frozen=True)
class Scene:
    """A turn as it was played."""

    messages: tuple[Message, ...]
    """What was said just before, the customer's message and the replies."""
    actions: tuple[str, ...]


FINDINGS = (
    select(FindingRow, TurnRow.understanding, CorrectionRow, StaffRow.name)
    .join(
        TurnRow,
        and_(TurnRow.conversation_id == FindingRow.conversation_id, TurnRow.number == FindingRow.turn),
    )
    .outerjoin(
        CorrectionRow,
        and_(
            CorrectionRow.conversation_id == FindingRow.conversation_id,
            CorrectionRow.turn == FindingRow.turn,
        ),
    )
    .outerjoin(StaffRow, StaffRow.id == CorrectionRow.staff_id)
)
PLACE = tuple_(FindingRow.created_at, FindingRow.conversation_id, FindingRow.turn)


def find(
    engine: Engine,
    pack: str,
    reason: Reason | None = None,
    status: Review | None = None,
    after: Place | None = None,
    limit: int = 20,
) -> tuple[Finding, ...]:
    """The newest first. No `reason`: any will do. No `status`: those of which nobody said anything."""
    # Not a join: SQLite would begin with all conversations of the pack, and sort what it finds.
    mine = exists().where(ConversationRow.id == FindingRow.conversation_id, ConversationRow.pack == pack)
    query = FINDINGS.where(mine, _with_status(status))
    if reason is not None:
        query = query.where(getattr(FindingRow, reason))
    if after is not None:
        time, *rest = after
        query = query.where(tuple_(literal(time, UtcTime()), *rest) > PLACE)
    order = (FindingRow.created_at.desc(), FindingRow.conversation_id.desc(), FindingRow.turn.desc())
    return _read(engine, query.order_by(*order).limit(limit))


def find_one(engine: Engine, conversation_id: str, turn: int) -> Finding | None:
    mine = (FindingRow.conversation_id == conversation_id, FindingRow.turn == turn)
    return next(iter(_read(engine, FINDINGS.where(*mine))), None)


def scene(engine: Engine, conversation_id: str, turn: int) -> Scene:
    mine = (TurnRow.conversation_id == conversation_id, TurnRow.number == turn)
    did = (DecisionRow.conversation_id == conversation_id, DecisionRow.turn == turn)
    with transaction(engine) as session:
        row = session.execute(select(TurnRow.message_seq, TurnRow.last_seq).where(*mine)).one()
        actions = session.scalars(select(DecisionRow.action).where(*did).order_by(DecisionRow.step))
        first = max(1, row.message_seq - 1)
        return Scene(read_messages(session, conversation_id, first, row.last_seq), tuple(actions))


def correct(engine: Engine, correction: Correction, staff: Staff) -> None:
    """Put `correction` in place of an earlier one. Raises ReviewError where `staff` may not approve it."""
    correct_all(engine, [correction], staff)


def correct_all(engine: Engine, corrections: Sequence[Correction], staff: Staff) -> None:
    """All or nothing. Raises ReviewError."""
    if any(correction.status == "approved" for correction in corrections) and not staff.supervises:
        raise ReviewError("Only supervisors approve corrections; yours is kept once you save it")
    try:
        with transaction(engine, write=True) as session:
            for correction in corrections:
                session.merge(_row(correction, staff))
                what = f"conversation {correction.conversation_id}, turn {correction.turn}"
                note(session, Deed(f"review.{correction.status}", what, staff.actor))
    except IntegrityError:
        raise ReviewError(
            "A turn is not there, or somebody else corrects it right now; look at it again"
        ) from None


def _row(correction: Correction, staff: Staff) -> CorrectionRow:
    return CorrectionRow(
        conversation_id=correction.conversation_id,
        turn=correction.turn,
        text=correction.text,
        intent=correction.intent,
        entities=correction.entities,
        action=correction.action,
        status=correction.status,
        staff_id=staff.id,
        decided_by=staff.id if correction.status == "approved" else None,
    )


def approved(engine: Engine, pack: str) -> Iterator[Correction]:
    """What retraining learns from, oldest first; streamed."""
    query = (
        select(CorrectionRow, StaffRow.name)
        .join(StaffRow, StaffRow.id == CorrectionRow.staff_id)
        .join(ConversationRow, ConversationRow.id == CorrectionRow.conversation_id)
        .where(CorrectionRow.status == "approved", ConversationRow.pack == pack)
        .order_by(CorrectionRow.updated_at)
    )
    with transaction(engine) as session:
        for row, name in session.execute(query.execution_options(yield_per=500)):
            yield _correction(row, name)


def training_row(correction: Correction) -> dict[str, object] | None:
    """A line of the `jsonl` format; None where only the action was corrected."""
    if correction.intent is None:
        return None
    entities = [asdict(label) for label in correction.entities]
    return {"text": correction.text, "intent": correction.intent, "entities": entities}


def note_export(engine: Engine, action: str, path: str, rows: int, actor: str) -> None:
    write_down(engine, Deed(action, path, actor, details={"rows": rows}))


def _with_status(status: Review | None) -> ColumnElement[bool]:
    return CorrectionRow.status.is_(None) if status is None else CorrectionRow.status == status


def _read(engine: Engine, query: Executable) -> tuple[Finding, ...]:
    with transaction(engine) as session:
        return tuple(
            Finding(
                conversation_id=row.conversation_id,
                turn=row.turn,
                created_at=row.created_at,
                reasons=tuple(reason for reason in REASONS if getattr(row, reason)),
                heard=heard,
                correction=None if correction is None else _correction(correction, name),
            )
            for row, heard, correction, name in session.execute(query)
        )


def _correction(row: CorrectionRow, name: str) -> Correction:
    return Correction(
        row.conversation_id,
        row.turn,
        row.text,
        row.intent,
        row.entities,
        row.action,
        cast(Review, row.status),
        name,
    )
