"""Versions of the dialogue policy in SQL. For each pack there is one live version, at every moment."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, cast

from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, defer

from storage.audit import Deed, note
from storage.database import retry, transaction
from storage.faults import StorageError, TryAgain
from storage.records import PolicyStatus
from storage.tables import PolicyRow

SERVING: tuple[PolicyStatus, ...] = ("live", "canary", "shadow")


@dataclass(frozen=True)
class PolicyVersion:
    """Everything about a version but its weights."""

    version: str
    pack: str
    feature_version: int
    configuration: Mapping[str, Any]
    figures: Mapping[str, Any] = field(default_factory=dict)
    parent: str | None = None
    data_since: datetime | None = None
    data_until: datetime | None = None
    conversations: int = 0
    status: PolicyStatus = "candidate"
    withdrawn: bool = False
    share: float = 0.0
    digest: str = ""
    created_at: datetime | None = None
    served_at: datetime | None = None


class UnknownPolicy(StorageError):
    def __init__(self, version: str, pack: str) -> None:
        super().__init__(f"There is no policy {version!r} of pack {pack!r} here; see: chatbot policies list")


def read_policies(engine: Engine, pack: str) -> tuple[PolicyVersion, ...]:
    """All versions of a pack, oldest first."""
    query = select(PolicyRow).options(defer(PolicyRow.weights)).where(PolicyRow.pack == pack)

    def read() -> tuple[PolicyVersion, ...]:
        with transaction(engine) as session:
            rows = session.scalars(query.order_by(PolicyRow.created_at, PolicyRow.version))
            return tuple(map(_version, rows))

    return retry(read)


def read_weights(engine: Engine, version: str) -> bytes:
    """The bytes that `add_policy` took. Raises StorageError where they are not the same any more."""
    with transaction(engine) as session:
        row = session.get(PolicyRow, version)
        if row is None:
            raise StorageError(f"There is no policy {version!r} here; see: chatbot policies list")
        if hashlib.sha256(row.weights).hexdigest() != row.digest:
            raise StorageError(
                f"The weights of policy {version!r} are damaged; add it again, or restore a backup"
            )
        return row.weights


def add_policy(engine: Engine, policy: PolicyVersion, weights: bytes, actor: str) -> None:
    """A new candidate; nothing is served by it yet."""
    row = PolicyRow(
        version=policy.version,
        pack=policy.pack,
        parent=policy.parent,
        status="candidate",
        feature_version=policy.feature_version,
        configuration=policy.configuration,
        figures=policy.figures,
        data_since=policy.data_since,
        data_until=policy.data_until,
        conversations=policy.conversations,
        weights=weights,
        digest=hashlib.sha256(weights).hexdigest(),
    )
    try:
        with transaction(engine, write=True) as session:
            session.add(row)
            note(session, Deed("policies.add", policy.version, actor, details={"pack": policy.pack}))
    except IntegrityError as error:
        raise StorageError(
            f"There is a policy {policy.version!r} already; give this one another version"
        ) from error


def install(engine: Engine, shipped: PolicyVersion, weights: bytes) -> tuple[str, str] | None:
    """Make the program's own policy live, unless one is that the program can use and the team promoted.

    Returns the new and the old live version where the old one is of another feature version.
    """
    digest = hashlib.sha256(weights).hexdigest()
    done: list[tuple[str, str] | None] = []

    def write() -> None:
        done.append(None)
        with transaction(engine, write=True) as session:
            rows = _lock(session, shipped.pack)
            live = next((row for row in rows.values() if row.status == "live"), None)
            usable = live is not None and live.feature_version == shipped.feature_version
            if (
                live is not None
                and usable
                and (live.digest == digest or not live.configuration.get("shipped"))
            ):
                return
            same = next((row for row in rows.values() if row.digest == digest), None)
            if same is None:
                taken = session.get(PolicyRow, shipped.version) is not None
                same = PolicyRow(
                    version=f"{shipped.version}.{digest[:8]}" if taken else shipped.version,
                    pack=shipped.pack,
                    feature_version=shipped.feature_version,
                    configuration={**shipped.configuration, "shipped": True},
                    figures={},
                    weights=weights,
                    digest=digest,
                    status="candidate",
                )
                session.add(same)
            if live is not None:
                live.status = "retired"
            session.flush()
            same.status, same.withdrawn, same.served_at = "live", False, datetime.now(UTC)
            note(session, Deed("policies.live", same.version, "program", "shipped", {"pack": same.pack}))
            if live is not None and not usable:
                done.append((same.version, live.version))

    _one_at_a_time(write)
    return done[-1]


def promote(
    engine: Engine,
    pack: str,
    version: str,
    actor: str,
    to: Literal["live", "canary", "shadow"] = "live",
    share: float = 0.0,
    reason: str = "",
) -> None:
    """Let `version` serve; who served in its place is retired, all in one transaction."""

    def write() -> None:
        with transaction(engine, write=True) as session:
            rows = _lock(session, pack)
            if version not in rows:
                raise UnknownPolicy(version, pack)
            chosen = rows[version]
            if chosen.status == "live":
                raise StorageError(f"Policy {version!r} is live already")
            for row in rows.values():
                if row is not chosen and row.status == to:
                    row.status = "retired"
            session.flush()  # before another takes the place: it is unique
            chosen.status, chosen.withdrawn = to, False
            chosen.share = share if to == "canary" else 0.0
            chosen.served_at = datetime.now(UTC)
            note(session, Deed(f"policies.{to}", version, actor, reason, {"pack": pack, "share": share}))

    _one_at_a_time(write)


def rollback(engine: Engine, pack: str, actor: str, reason: str = "") -> tuple[str, str]:
    """Undo the last promotion: of the canary where there is one, else of the live version.

    Returns what was taken back and what is live. Conversations that began with it go on with the live one.
    """
    done: list[tuple[str, str]] = []

    def write() -> None:
        done.clear()
        with transaction(engine, write=True) as session:
            rows = _lock(session, pack)
            by_status = {row.status: row for row in rows.values()}
            live, canary = by_status.get("live"), by_status.get("canary")
            if canary is not None and live is not None:
                _withdraw(session, canary, actor, reason)
                done.append((canary.version, live.version))
                return
            served = [
                row
                for row in rows.values()
                if row.status == "retired" and not row.withdrawn and row.served_at is not None
            ]
            if live is None or not served:
                raise StorageError("No earlier policy was live here, so there is nothing to roll back to")
            before = max(served, key=lambda row: cast(datetime, row.served_at))
            _withdraw(session, live, actor, reason)
            before.status = "live"
            note(session, Deed("policies.live", before.version, actor, "rollback", {"pack": pack}))
            done.append((live.version, before.version))

    _one_at_a_time(write)
    return done[-1]


def stop_canary(engine: Engine, version: str, reason: str) -> bool:
    """Take a canary out of service; False where somebody did so before."""
    stopped: list[bool] = []

    def write() -> None:
        with transaction(engine, write=True) as session:
            row = session.scalar(select(PolicyRow).where(PolicyRow.version == version).with_for_update())
            stopped.append(row is not None and row.status == "canary")
            if row is not None and row.status == "canary":
                _withdraw(session, row, "guard", reason)

    _one_at_a_time(write)
    return stopped[-1]


def _withdraw(session: Session, row: PolicyRow, actor: str, reason: str) -> None:
    row.status, row.withdrawn, row.share = "retired", True, 0.0
    session.flush()
    note(session, Deed("policies.withdraw", row.version, actor, reason, {"pack": row.pack}))


def _lock(session: Session, pack: str) -> dict[str, PolicyRow]:
    """The pack's versions, held until the end of the transaction."""
    query = select(PolicyRow).options(defer(PolicyRow.weights)).where(PolicyRow.pack == pack)
    rows = session.scalars(query.order_by(PolicyRow.version).with_for_update())
    return {row.version: row for row in rows}


def _one_at_a_time(write: Any) -> None:
    """Two who promote at once: the second finds the place taken, and looks again."""

    def attempt() -> None:
        try:
            write()
        except IntegrityError as error:
            raise TryAgain("Another promotion was first; try again") from error

    retry(attempt)


def _version(row: PolicyRow) -> PolicyVersion:
    return PolicyVersion(
        row.version,
        row.pack,
        row.feature_version,
        row.configuration,
        row.figures,
        row.parent,
        row.data_since,
        row.data_until,
        row.conversations,
        cast(PolicyStatus, row.status),
        row.withdrawn,
        row.share,
        row.digest,
        row.created_at,
        row.served_at,
    )
