"""Opening a database with its keys, changing them, and the names under which people go into exports."""

import hmac
import json
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Dialect, Engine, Table, and_, bindparam, select, tuple_, type_coerce, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from storage.audit import Deed, note
from storage.columns import Base, Record, SealedText
from storage.database import transaction
from storage.encryption import (
    VARIABLE,
    EncryptionError,
    is_sealed,
    keyring,
    load_text,
    open_sealed,
    store_text,
    use_keys,
)
from storage.tables import ConversationRow, SecretRow

PSEUDONYMS = "pseudonyms"
"""The secret that makes pseudonyms. Rotation comes to it last, so it needs the oldest key still in use."""

BATCH = 200
"""Rows written anew in one transaction, so that turns need not wait for long."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SealedColumn:
    """A column of encrypted values, read and written as they stand in the database."""

    column: Column[Any]

    @property
    def table(self) -> Table:
        return self.column.table

    @property
    def raw_type(self) -> Any:
        kind: Any = self.column.type
        return kind.impl

    @property
    def raw(self) -> Any:
        return type_coerce(self.column, self.raw_type)

    def values(self, session: Session) -> Iterator[Any]:
        """Every stored value; streamed."""
        return iter(session.scalars(select(self.raw).execution_options(yield_per=1000)))

    def renew(self, stored: Any, dialect: Dialect) -> Any:
        """`stored` as the engine writes it now."""
        if isinstance(self.column.type, SealedText):
            return store_text(load_text(stored, dialect), dialect)
        value = open_sealed(stored, dialect) if is_sealed(stored) else json.dumps(stored).encode()
        keys = keyring(dialect)
        return keys.seal(value) if keys else json.loads(value)

    def __str__(self) -> str:
        return f"{self.table.name}.{self.column.name}"


SECRET = SealedColumn(Base.metadata.tables[SecretRow.__tablename__].c.value)
STATE = SealedColumn(Base.metadata.tables[ConversationRow.__tablename__].c.state)


def sealed_columns() -> list[SealedColumn]:
    """All columns that encryption concerns; the program's own secrets last."""
    columns = [column for table in Base.metadata.sorted_tables for column in table.columns]
    sealed = [
        SealedColumn(column)
        for column in columns
        if isinstance(column.type, SealedText) or (isinstance(column.type, Record) and column.type.sealed)
    ]
    return sorted(sealed, key=lambda column: column == SECRET)


def unlock(engine: Engine, keys: Sequence[str], *, required: bool = False) -> None:
    """Let `engine` encrypt with the first of `keys` and read what any of them encrypted.

    Raises EncryptionError where the keys do not fit the database, or where encryption is `required`
    and there are none.
    """
    if required and not keys:
        raise EncryptionError(
            f"Encryption is required and no key is given; set {VARIABLE} (make one with: chatbot keys new)"
        )
    use_keys(engine, keys)
    with transaction(engine) as session:
        stored = next(SECRET.values(session), None) or session.scalar(select(STATE.raw).limit(1))
    if stored is not None and is_sealed(stored):
        open_sealed(stored, engine.dialect)
    elif keys:
        _secret(engine)
        _rotate(engine, SECRET)
        if stored is not None:
            logger.warning("What was stored before stands in clear until you run: chatbot keys rotate")


def rotate(engine: Engine, actor: str) -> dict[str, int]:
    """Encrypt with the engine's first key all that another key encrypted, or none did.

    Conversations go on meanwhile, and an interrupted run is taken up by the next. Returns how many
    values were written, by column.
    """
    if keyring(engine.dialect) is None:
        raise EncryptionError(f"There is no key to encrypt with; set {VARIABLE}, the newest key first")
    written = {str(column): _rotate(engine, column) for column in sealed_columns()}
    with transaction(engine, write=True) as session:
        note(session, Deed("keys.rotate", "database", actor, details={"values": written}))
    return written


def pseudonyms(engine: Engine) -> Callable[[str, str], str]:
    """A function from a kind and an id to the name that stands for it in exports and in the audit.

    The same in every export of this database, and not to be had without its secret.
    """
    key = bytes.fromhex(_secret(engine))
    return lambda kind, name: hmac.digest(key, f"{kind}:{name}".encode(), "sha256").hex()[:32]


def _secret(engine: Engine) -> str:
    with transaction(engine) as session:
        row = session.get(SecretRow, PSEUDONYMS)
        if row is not None:
            return row.value
    secret = SecretRow(name=PSEUDONYMS, value=secrets.token_hex(32))
    try:
        with transaction(engine, write=True) as session:
            session.add(secret)
    except IntegrityError:  # another process was first
        pass
    return _secret(engine)


def _rotate(engine: Engine, column: SealedColumn) -> int:
    keys = keyring(engine.dialect)
    assert keys is not None
    primary = list(column.table.primary_key)
    write = (
        update(column.table)
        .where(and_(*(part == bindparam(f"key_{part.name}") for part in primary)))
        .values({column.column: bindparam("renewed", type_=column.raw_type)})
    )
    written, last = 0, None
    while True:
        query = select(*primary, column.raw.label("stored")).order_by(*primary).limit(BATCH)
        if last is not None:
            query = query.where(tuple_(*primary) > tuple_(*last))
        with transaction(engine, write=True) as session:
            rows = session.execute(query.with_for_update()).all()
            changes = [
                {f"key_{part.name}": value for part, value in zip(primary, row, strict=False)}
                | {"renewed": column.renew(row.stored, engine.dialect)}
                for row in rows
                if not (is_sealed(row.stored) and keys.is_newest(row.stored))
            ]
            if changes:
                session.connection().execute(write, changes)
        written += len(changes)
        if len(rows) < BATCH:
            return written
        last = rows[-1][:-1]
