"""Finishing, when a server starts, the turns that were interrupted when the one before it died."""

import logging
import threading

from chatbot.bot import Chatbot
from chatbot.gate import Closing
from domains.backend import BackendError
from storage.conversations import UnknownConversation
from storage.faults import StorageError

PAUSE_SECONDS = 5

logger = logging.getLogger(__name__)


def recover(bot: Chatbot, stop: threading.Event) -> None:
    """Finish what is interrupted now; again and again while the business system or the database is away.

    A turn of another server that is alive may be among them. That is no harm: its execution has the same
    key, and which of the two writes it down first is all the same.
    """
    left: tuple[str, ...] | None = None
    while left is None or left:
        try:
            left = bot.store.interrupted() if left is None else left
            left = tuple(one for one in left if not _recovered(bot, one))
        except Closing:
            return
        except StorageError as error:
            logger.warning("interrupted turns cannot be looked for: %s", error)
        if left == () or stop.wait(PAUSE_SECONDS):
            return


def _recovered(bot: Chatbot, conversation_id: str) -> bool:
    try:
        bot.recover(conversation_id)
    except UnknownConversation:  # erased meanwhile
        return True
    except (BackendError, StorageError) as error:
        logger.warning("the interrupted turn of conversation %s has to wait: %s", conversation_id, error)
        return False
    logger.info("the interrupted turn of conversation %s is finished", conversation_id)
    return True
