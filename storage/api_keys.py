"""Keys of the API: shown once, kept as a digest."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine, select

from storage.audit import Deed, note
from storage.database import transaction
from storage.faults import StorageError
from storage.tables import ApiKeyRow

PREFIX = "dk"
FORM = re.compile(rf"{PREFIX}_([0-9a-f]{{12}})_([\w-]{{43}})")


class UnknownApiKey(StorageError):
    def __init__(self, id: str) -> None:
        super().__init__(f"There is no API key {id!r} in use; see: chatbot api-keys list")


@dataclass(frozen=True)
class ApiKey:
    id: str
    name: str
    created_at: datetime
    revoked_at: datetime | None


def digest(secret: str) -> str:
    """For secrets of many random bits, which need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_api_key(engine: Engine, name: str, actor: str) -> tuple[ApiKey, str]:
    """A new key, and its text, which nobody can be told again."""
    row = ApiKeyRow(id=secrets.token_hex(6), name=name, created_at=datetime.now(UTC))
    secret = secrets.token_urlsafe(32)
    row.digest = digest(secret)
    with transaction(engine, write=True) as session:
        session.add(row)
        note(session, Deed("api_keys.new", f"API key {row.id}", actor, details={"name": name}))
    return _key(row), f"{PREFIX}_{row.id}_{secret}"


def list_api_keys(engine: Engine) -> list[ApiKey]:
    with transaction(engine) as session:
        return [_key(row) for row in session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created_at))]


def revoke_api_key(engine: Engine, id: str, actor: str) -> None:
    """End the use of a key at once. Raises UnknownApiKey."""
    with transaction(engine, write=True) as session:
        row = session.get(ApiKeyRow, id)
        if row is None or row.revoked_at is not None:
            raise UnknownApiKey(id)
        row.revoked_at = datetime.now(UTC)
        note(session, Deed("api_keys.revoke", f"API key {id}", actor))


def find_api_key(engine: Engine, text: str) -> ApiKey | None:
    """The key in use of which `text` is the text."""
    form = FORM.fullmatch(text)
    if form is None:
        return None
    with transaction(engine) as session:
        row = session.get(ApiKeyRow, form[1])
    if row is None or row.revoked_at is not None or not hmac.compare_digest(row.digest, digest(form[2])):
        return None
    return _key(row)


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(row.id, row.name, row.created_at, row.revoked_at)
