"""Who may sign in, with what, and the browsers in which they have."""

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import cast
from uuid import uuid4

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.audit import Deed, note
from storage.database import retry, transaction
from storage.desk_tables import HandoffRow, StaffRow, StaffSessionRow
from storage.faults import StorageError
from storage.records import Role
from storage.throttle import Throttle

SESSION_HOURS = 12
ACCOUNT = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 200
MEMORY_KIB, PASSES = 19 * 1024, 2
"""What OWASP recommends at least for argon2id with one lane."""


class StaffError(StorageError):
    """An account that cannot be made or changed as asked."""


class SignInRefused(Exception):
    """Account and password do not go together, or it is tried too often; the message is fit for the page."""

    status = 401


class TooManyTries(SignInRefused):
    status = 429


@dataclass(frozen=True)
class Staff:
    id: str
    account: str
    name: str
    """As customers see it."""
    role: Role
    active: bool
    created_at: datetime

    @classmethod
    def of(cls, row: StaffRow) -> "Staff":
        return cls(row.id, row.account, row.name, cast(Role, row.role), row.active, row.created_at)

    @property
    def actor(self) -> str:
        """As the audit has it, apart from users of the operating system."""
        return f"staff {self.account}"

    @property
    def supervises(self) -> bool:
        return self.role in ("supervisor", "administrator")


def add_staff(engine: Engine, account: str, name: str, role: Role, password: str, actor: str) -> Staff:
    """Raises StaffError."""
    account, name = account.strip().lower(), " ".join(name.split())
    if not ACCOUNT.fullmatch(account):
        raise StaffError(
            f"Account {account!r}: use up to 64 of a-z, 0-9 and . _ @ -, a letter or digit first"
        )
    if not name or len(name) > 80 or not name.isprintable():
        raise StaffError("The name that customers see has 1 to 80 printable characters")
    row = StaffRow(
        id=uuid4().hex, account=account, name=name, role=role, password=hash_password(password), active=True
    )
    try:
        with transaction(engine, write=True) as session:
            session.add(row)
            session.flush()
            note(session, Deed("staff.add", f"staff {account}", actor, details={"role": role}))
    except IntegrityError:
        raise StaffError(f"There is an account {account!r} already; choose another name") from None
    return Staff.of(row)


def list_staff(engine: Engine) -> list[Staff]:
    with transaction(engine) as session:
        return [Staff.of(row) for row in session.scalars(select(StaffRow).order_by(StaffRow.account))]


def deactivate(engine: Engine, account: str, actor: str) -> None:
    """Let nobody sign in with the account, end its sessions, and let what it holds wait again.

    Raises StaffError.
    """
    with transaction(engine, write=True) as session:
        row = _find(session, account)
        row.active = False
        _end_sessions(session, row.id)
        held = (HandoffRow.claimed_by == row.id) & HandoffRow.ended.is_(None)
        session.execute(update(HandoffRow).where(held).values(lease_until=datetime.now(UTC)))
        note(session, Deed("staff.deactivate", f"staff {row.account}", actor))


def change_password(engine: Engine, account: str, password: str, actor: str) -> None:
    """Also lets a deactivated account sign in again, and ends its sessions. Raises StaffError."""
    hashed = hash_password(password)
    with transaction(engine, write=True) as session:
        row = _find(session, account)
        row.password, row.active = hashed, True
        _end_sessions(session, row.id)
        note(session, Deed("staff.password", f"staff {row.account}", actor))


def sign_in(engine: Engine, account: str, password: str, address: str) -> str:
    """The token of a new session. Raises SignInRefused."""
    account = account.strip().lower()
    account = account if ACCOUNT.fullmatch(account) else ""
    throttle = Throttle(engine, account, address)
    if not throttle.admits():
        raise TooManyTries("Too many attempts. Please wait a quarter of an hour, then try again.")
    with transaction(engine) as session:
        row = session.scalar(select(StaffRow).where(StaffRow.account == account, StaffRow.active))
    # Nobody's password takes as long to refuse as somebody's, so that time tells no account.
    hashed = row.password if row else _nobodys_password()
    if not _fits(password, hashed) or row is None:
        raise SignInRefused("Account and password do not go together.")
    throttle.forgive()
    token = secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    with transaction(engine, write=True) as session:
        session.execute(delete(StaffSessionRow).where(StaffSessionRow.expires_at < now))
        ends = now + timedelta(hours=SESSION_HOURS)
        session.add(StaffSessionRow(token_hash=_hash_token(token), staff_id=row.id, expires_at=ends))
        note(session, Deed("staff.sign_in", f"staff {account}", f"staff {account}"))
    return token


def sign_out(engine: Engine, token: str) -> None:
    with transaction(engine, write=True) as session:
        session.execute(delete(StaffSessionRow).where(StaffSessionRow.token_hash == _hash_token(token)))


def signed_in(engine: Engine, token: str | None) -> Staff | None:
    """Whose session `token` is, where it has not ended."""
    if not token:
        return None
    query = (
        select(StaffRow)
        .join(StaffSessionRow, StaffSessionRow.staff_id == StaffRow.id)
        .where(
            StaffSessionRow.token_hash == _hash_token(token),
            StaffSessionRow.expires_at > datetime.now(UTC),
            StaffRow.active,
        )
    )

    def read() -> Staff | None:
        with transaction(engine) as session:
            row = session.scalar(query)
            return None if row is None else Staff.of(row)

    return retry(read)


def form_token(token: str) -> str:
    """What a form of the session `token` sends along, and no other site can know."""
    return hmac.digest(token.encode(), b"form", "sha256").hex()


def hash_password(password: str) -> str:
    """Raises StaffError."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise StaffError(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    return _argon2(password)


def _argon2(password: str) -> str:
    salt = os.urandom(16)
    kdf = Argon2id(salt=salt, length=32, iterations=PASSES, lanes=1, memory_cost=MEMORY_KIB)
    return kdf.derive_phc_encoded(password.encode())


@cache
def _nobodys_password() -> str:
    return _argon2(secrets.token_hex())


def _fits(password: str, hashed: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password[:LONGEST_PASSWORD].encode("utf-8", "replace"), hashed)
    except InvalidKey:
        return False
    return True


def _hash_token(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _find(session: Session, account: str) -> StaffRow:
    row = session.scalar(select(StaffRow).where(StaffRow.account == account.strip().lower()))
    if row is None:
        raise StaffError(f"There is no account {account!r}; see: chatbot staff list")
    return row


def _end_sessions(session: Session, staff_id: str) -> None:
    session.execute(delete(StaffSessionRow).where(StaffSessionRow.staff_id == staff_id))
