"""What the bank remembers, and the engine that lets one transaction write at a time."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Connection,
    DateTime,
    Dialect,
    Engine,
    ForeignKey,
    QueuePool,
    String,
    TypeDecorator,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

SCHEMA = "bank"
"""Where the tables are on PostgreSQL; an SQLite file is all the bank's."""

BANK_LOCK = 0x62616E6B
"""The key of PostgreSQL's advisory lock: "bank" in ASCII."""


class UTCDateTime(TypeDecorator[datetime]):
    """A time with its zone, also where the database, as SQLite, keeps none."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"time without a zone: {value}")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Key = Annotated[int, mapped_column(primary_key=True)]
Cents = Annotated[int, mapped_column(BigInteger)]
Reference = Annotated[str, mapped_column(String(16))]


class Table(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: UTCDateTime(), dict[str, str]: JSON()}


class Customer(Table):
    __tablename__ = "bank_customers"

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(String(80))
    ssn_last4: Mapped[str] = mapped_column(String(4))
    address: Mapped[str] = mapped_column(String(200))
    accounts: Mapped[list["Account"]] = relationship(order_by="Account.id")
    cards: Mapped[list["Card"]] = relationship(order_by="Card.id")


class Account(Table):
    __tablename__ = "bank_accounts"
    __table_args__ = (CheckConstraint("balance_cents >= 0"),)

    id: Mapped[Key]
    customer_id: Mapped[int] = mapped_column(ForeignKey(Customer.id), index=True)
    number: Mapped[str] = mapped_column(String(10), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    balance_cents: Mapped[Cents]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class Card(Table):
    __tablename__ = "bank_cards"

    id: Mapped[Key]
    customer_id: Mapped[int] = mapped_column(ForeignKey(Customer.id), index=True)
    number: Mapped[str] = mapped_column(String(16), unique=True)
    expires_on: Mapped[date]
    blocked_at: Mapped[datetime | None]
    """Set when the card was reported lost or stolen; nothing else blocks a card."""


class Transaction(Table):
    """One line of an account's statement; a charge is one that was made with a card."""

    __tablename__ = "bank_transactions"

    id: Mapped[Key]
    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id), index=True)
    card_id: Mapped[int | None] = mapped_column(ForeignKey(Card.id))
    at: Mapped[datetime]
    amount_cents: Mapped[Cents]
    """Negative where money left the account."""
    description: Mapped[str] = mapped_column(String(80))
    account: Mapped[Account] = relationship()
    card: Mapped[Card | None] = relationship()
    dispute: Mapped["Dispute | None"] = relationship(back_populates="transaction")


class Transfer(Table):
    __tablename__ = "bank_transfers"

    id: Mapped[Key]
    customer_id: Mapped[int] = mapped_column(ForeignKey(Customer.id), index=True)
    source_id: Mapped[int] = mapped_column(ForeignKey(Account.id))
    target_id: Mapped[int] = mapped_column(ForeignKey(Account.id))
    amount_cents: Mapped[Cents]
    at: Mapped[datetime]
    reference: Mapped[Reference]


class Dispute(Table):
    __tablename__ = "bank_disputes"

    id: Mapped[Key]
    transaction_id: Mapped[int] = mapped_column(ForeignKey(Transaction.id), unique=True)
    reference: Mapped[Reference]
    opened_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    transaction: Mapped[Transaction] = relationship(back_populates="dispute")


class LostCardReport(Table):
    __tablename__ = "bank_lost_card_reports"

    id: Mapped[Key]
    card_id: Mapped[int] = mapped_column(ForeignKey(Card.id), unique=True)
    last_used_on: Mapped[date]
    last_used_time: Mapped[str | None] = mapped_column(String(5))
    police_notified: Mapped[str | None] = mapped_column(String(200))
    reference: Mapped[Reference]
    reported_at: Mapped[datetime]


class CardOrder(Table):
    __tablename__ = "bank_card_orders"

    id: Mapped[Key]
    card_id: Mapped[int] = mapped_column(ForeignKey(Card.id), index=True)
    reason: Mapped[str] = mapped_column(String(16))
    ordered_at: Mapped[datetime]


class CheckOrder(Table):
    __tablename__ = "bank_check_orders"

    id: Mapped[Key]
    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id), index=True)
    books: Mapped[int]
    ordered_at: Mapped[datetime]


class FailedVerification(Table):
    __tablename__ = "bank_failed_verifications"

    id: Mapped[Key]
    subject: Mapped[str] = mapped_column(String(64), index=True)
    """Whom it was about: a customer, or a digest of a name that no customer has."""
    at: Mapped[datetime]


class Request(Table):
    """The result of every request, so that the same key gives it again without doing anything."""

    __tablename__ = "bank_requests"

    idempotency_key: Mapped[str] = mapped_column(String(200), primary_key=True)
    task: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(64))
    facts: Mapped[dict[str, str]]
    created_at: Mapped[datetime]


def open_engine(database_url: str) -> Engine:
    """An engine on SQLite or PostgreSQL whose transactions run one after the other.

    With a single writer neither a balance nor an idempotency key can change between look and deed.
    """
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        if url.database in (None, "", ":memory:"):
            # One connection is the whole database, and two threads must not share its transaction.
            engine = create_engine(
                url,
                poolclass=QueuePool,
                pool_size=1,
                max_overflow=0,
                connect_args={"check_same_thread": False},
            )
        else:
            engine = create_engine(url)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_on_sqlite)
    else:
        if url.drivername in ("postgresql", "postgres"):
            url = url.set(drivername="postgresql+psycopg")
        engine = create_engine(url, pool_pre_ping=True)
        event.listen(engine, "connect", _use_own_schema)
        event.listen(engine, "begin", _begin_on_postgresql)
    return engine


def _prepare_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # leaves BEGIN to us
    for pragma in ("busy_timeout = 5000", "journal_mode = WAL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _use_own_schema(connection: Any, record: object) -> None:
    """The bank is another system than the bot, also where they share a database."""
    connection.autocommit = True
    connection.execute(f"SET search_path TO {SCHEMA}")
    connection.autocommit = False


def _begin_on_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_on_postgresql(connection: Connection) -> None:
    connection.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({BANK_LOCK})")
