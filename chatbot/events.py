"""What happens in conversations, told in this process to whoever listens: live pages, streams, metrics."""

import logging
import threading
from collections.abc import Callable

from storage.records import Event

Listener = Callable[[Event], None]

logger = logging.getLogger(__name__)


class Events:
    """Safe to use from several threads. Listeners are called by the thread that publishes: be quick."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._changing = threading.Lock()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` every event from now on; returns what ends that."""
        with self._changing:
            self._listeners = (*self._listeners, listener)
        return lambda: self._leave(listener)

    def publish(self, event: Event) -> None:
        """Tell `event`, which must be committed: a listener that fails is logged and harms nobody."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                logger.exception(
                    "a listener failed at %s of conversation %s", event.kind, event.conversation_id
                )

    def _leave(self, listener: Listener) -> None:
        with self._changing:
            self._listeners = tuple(one for one in self._listeners if one != listener)
