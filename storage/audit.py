"""What staff and administrators did: who, when, what, to what, and why. Entries are added, never changed."""

import getpass
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from storage.database import transaction
from storage.tables import AuditRow


@dataclass(frozen=True)
class Deed:
    """Somebody's act, before it has a time and a place in the audit."""

    action: str
    """Such as customers.erase."""
    object: str
    """What it was done to; a customer by pseudonym, as the audit outlives the customer's data."""
    actor: str
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry(Deed):
    id: int = 0
    at: datetime = datetime.min


def operator() -> str:
    """The user of the operating system who runs this command."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "unknown"


def note(session: Session, deed: Deed) -> None:
    """Write `deed` down in the transaction in which it is done."""
    session.add(AuditRow(**vars(deed)))


def write_down(engine: Engine, deed: Deed) -> None:
    """Like `note`, of what is done outside the database."""
    with transaction(engine, write=True) as session:
        note(session, deed)


def entries(engine: Engine, last: int | None = None) -> list[Entry]:
    """The `last` entries, or all, oldest first."""
    with transaction(engine) as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(last)).all()
        return [
            Entry(row.action, row.object, row.actor, row.reason, row.details, row.id, row.at)
            for row in reversed(rows)
        ]
