"""How often somebody may guess a password, counted in the database: for all servers, and over a restart."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, Engine, Table, delete, update
from sqlalchemy.dialects import postgresql, sqlite

from storage.database import connection
from storage.desk_tables import ThrottleRow

WINDOW = timedelta(minutes=15)
FROM_ONE_ADDRESS_FOR_ONE_ACCOUNT = 5
FROM_ONE_ADDRESS = 30
FOR_ONE_ACCOUNT = 50
"""Far more, so that a stranger cannot easily lock a colleague out."""
THROTTLES = cast(Table, ThrottleRow.__table__)


class Throttle:
    def __init__(self, engine: Engine, account: str, address: str) -> None:
        self._engine = engine
        self._limits = {
            f"account {account} from {address}": FROM_ONE_ADDRESS_FOR_ONE_ACCOUNT,
            f"address {address}": FROM_ONE_ADDRESS,
            f"account {account}": FOR_ONE_ACCOUNT,
        }

    def admits(self) -> bool:
        """Count one more try, before it is known what comes of it, and tell whether it may be made."""
        now = datetime.now(UTC)
        with connection(self._engine, write=True) as opened:
            opened.execute(delete(THROTTLES).where(THROTTLES.c.since < now - WINDOW))
            counts = [_count(opened, key, now) <= limit for key, limit in sorted(self._limits.items())]
        return all(counts)

    def forgive(self) -> None:
        """The try was none of a guesser. What others tried stays counted."""
        pair = next(iter(self._limits))
        with connection(self._engine, write=True) as opened:
            for key in sorted(self._limits):
                mine = THROTTLES.c.key == key
                if key == pair:
                    opened.execute(delete(THROTTLES).where(mine))
                else:
                    opened.execute(
                        update(THROTTLES)
                        .where(mine, THROTTLES.c.failures > 1)
                        .values(failures=THROTTLES.c.failures - 1)
                    )


def _count(opened: Connection, key: str, now: datetime) -> int:
    """In one statement, so that guesses at the same time are all counted."""
    dialect: Any = postgresql if opened.dialect.name == "postgresql" else sqlite
    count = dialect.insert(THROTTLES).values(key=key, failures=1, since=now)
    again = count.on_conflict_do_update(
        index_elements=[THROTTLES.c.key], set_={"failures": THROTTLES.c.failures + 1}
    )
    failures: int = opened.execute(again.returning(THROTTLES.c.failures)).scalar_one()
    return failures
