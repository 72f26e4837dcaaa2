"""Column types, and what the tables have in common."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    Double,
    Index,
    MetaData,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

from storage.database import Json
from storage.encryption import is_sealed, keyring, load_text, open_sealed, store_text
from storage.faults import StorageError


class UtcTime(TypeDecorator[datetime]):
    """A time with its zone. SQLite keeps none, so all times are UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class SealedText(TypeDecorator[str]):
    """A text with a customer's words: encrypted where the engine has keys."""

    impl = Text()
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else store_text(value, dialect)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else load_text(value, dialect)


class Base64(TypeDecorator[bytes]):
    """Bytes as text, which a backup's lines of JSON can hold."""

    impl = Text()
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else b64encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else b64decode(value)


class Record(TypeDecorator[Any]):
    """A typed Python value, kept as JSON: JSONB in PostgreSQL.

    A `sealed` one is a JSON string, the encrypted JSON, where the engine has keys.
    """

    impl = JSON().with_variant(JSONB(), "postgresql")
    cache_ok = True

    def __init__(self, kind: Any, sealed: bool = False) -> None:
        super().__init__()
        self.kind = kind
        self.sealed = sealed
        self.adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        keys = keyring(dialect) if self.sealed else None
        written = self.adapter.dump_json(value)
        return Json(written.decode()) if keys is None else keys.seal(written)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if value is None:  # of an outer join that found no row
            return None
        try:
            if self.sealed and is_sealed(value):
                return self.adapter.validate_json(open_sealed(value, dialect))
            return self.adapter.validate_python(value)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            raise StorageError(
                f"A stored {self.kind} cannot be read ({'.'.join(map(str, first['loc']))}: {first['msg']}); "
                "run the program version that wrote it, or restore a backup"
            ) from error


def now() -> datetime:
    return datetime.now(UTC)


def unique_where(name: str, column: str, condition: str) -> Index:
    return index_where(name, (column,), condition, unique=True)


def index_where(name: str, columns: Sequence[str], condition: str, unique: bool = False) -> Index:
    where = text(condition)
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


def one_of(column: str, literal: Any) -> CheckConstraint:
    values = ", ".join(f"'{value}'" for value in get_args(literal))
    return CheckConstraint(f"{column} IN ({values})", name=column)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {str: Text(), datetime: UtcTime(), float: Double()}  # noqa: RUF012 (SQLAlchemy's own)
