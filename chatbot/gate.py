"""The way in for messages: it can be closed, and then waits for those inside."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Closing(Exception):
    """The server stops, and takes no more messages."""


class Gate:
    def __init__(self) -> None:
        self._inside = 0
        self._closed = False
        self._changed = threading.Condition()

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Raises Closing where the gate is closed."""
        with self._changed:
            if self._closed:
                raise Closing("The server is about to stop.")
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    def close(self, seconds: float) -> None:
        """Let nobody in any more, and wait for `seconds` at most until nobody is left."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._inside, seconds)
