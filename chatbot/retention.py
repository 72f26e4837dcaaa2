"""Deleting conversations that are past their time, daily, while the server runs."""

import logging
import threading
import time

from sqlalchemy import Engine

from domains.schema import Pack
from storage.erasure import purge
from storage.faults import StorageError

DAY_SECONDS = 24 * 60 * 60
ACTOR = "chatbot serve"

logger = logging.getLogger(__name__)


def start_purging(engine: Engine, pack: Pack) -> threading.Thread | None:
    """A thread that purges now and then once a day, or None where the pack keeps everything.

    Several servers on one database may all do so: each conversation is deleted once.
    """
    days = pack.domain.retention_days
    if days is None:
        return None
    thread = threading.Thread(
        target=_purge_daily, args=(engine, pack.name, days), name="retention", daemon=True
    )
    thread.start()
    return thread


def _purge_daily(engine: Engine, pack: str, days: int) -> None:
    while True:
        try:
            purged = purge(engine, pack, days, ACTOR)
            logger.info("Deleted %d conversations without a message for %d days", purged, days)
        except StorageError as error:
            logger.error("Old conversations could not be deleted, tried again tomorrow: %s", error)
        time.sleep(DAY_SECONDS)
