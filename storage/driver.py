"""The statements of a turn, run by the driver itself on a connection from the engine's pool.

SQLAlchemy's work around one statement takes several times as long as the statement. So those that every
turn needs are compiled once for an engine, and the types of the tables' columns tell how values go in and
come out. All else goes through storage/database.py, and errors are explained in the same words.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Dialect, Engine, Select, UpdateBase

from storage.database import borrowed, turn_to_write

Convert = Callable[[Any], Any]


class Statement:
    """A statement of SQLAlchemy's whose values are named parameters."""

    def __init__(self, clause: Select[Any] | UpdateBase) -> None:
        self.clause = clause

    def prepare(self, engine: Engine) -> "Prepared":
        known: dict[Statement, Prepared] = engine.get_execution_options()["prepared"]
        if self not in known:
            known[self] = Prepared.of(self.clause, engine.dialect)
        return known[self]


@dataclass(frozen=True)
class Prepared:
    """A statement as the driver of one engine takes it."""

    sql: str
    defaults: Mapping[str, Any]
    ways_in: Mapping[str, Convert]
    """Parameter → what makes of its value what is stored."""
    ways_out: Mapping[str, Convert | None]
    """Column of the answer → the inverse; None where nothing is to be done."""

    @classmethod
    def of(cls, clause: Select[Any] | UpdateBase, dialect: Dialect) -> "Prepared":
        compiled: Any = clause.compile(dialect=dialect)
        kinds = {name: bind.type.dialect_impl(dialect) for name, bind in compiled.binds.items()}
        ways_in = {name: kind.bind_processor(dialect) for name, kind in kinds.items()}
        columns = clause.selected_columns if isinstance(clause, Select) else ()
        return cls(
            compiled.string,
            {name: value for name, value in compiled.params.items() if value is not None},
            {name: convert for name, convert in ways_in.items() if convert is not None},
            {c.name: c.type.dialect_impl(dialect).result_processor(dialect, None) for c in columns},
        )

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        values = {**self.defaults, **given}
        for name, convert in self.ways_in.items():
            values[name] = convert(values[name])
        return values

    def row(self, stored: tuple[Any, ...]) -> dict[str, Any]:
        return {
            name: value if convert is None else convert(value)
            for (name, convert), value in zip(self.ways_out.items(), stored, strict=True)
        }


class Driver:
    """One transaction on a connection of the driver's."""

    def __init__(self, engine: Engine, connection: Any) -> None:
        self._engine = engine
        self._connection = connection

    def run(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """How many rows it wrote."""
        return int(self._execute(statement.prepare(self._engine), values).rowcount)

    def rows(self, statement: Statement, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        prepared = statement.prepare(self._engine)
        return [prepared.row(stored) for stored in self._execute(prepared, values).fetchall()]

    def _execute(self, prepared: Prepared, values: Mapping[str, Any]) -> Any:
        return self._connection.execute(prepared.sql, prepared.values(values))

    def commit(self) -> None:
        self._connection.commit()


@contextmanager
def driving(engine: Engine, *, write: bool = False) -> Iterator[Driver]:
    """One transaction, rolled back on any exception. Only reading, each statement stands for itself."""
    with turn_to_write(engine, write), borrowed(engine) as connection:
        driver = Driver(engine, connection)
        if engine.dialect.name == "sqlite":
            connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        elif not write:
            with _each_for_itself(connection):
                yield driver
            return
        yield driver
        driver.commit()


@contextmanager
def _each_for_itself(connection: Any) -> Iterator[None]:
    """Without the two round trips for the begin and the end of a transaction."""
    connection.autocommit = True
    try:
        yield
    finally:
        if not connection.closed:
            connection.autocommit = False
