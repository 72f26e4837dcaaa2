"""Threads for the requests: a bounded number, a bounded queue, and an end of every wait.

A database that hangs thus costs answers with 503, and neither memory nor the health checks.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
Answer = TypeVar("Answer")


class Overloaded(Exception):
    """No thread was free, or the work was not done in time. It may still be done."""


class Workers:
    def __init__(self, threads: int = 40, queue: int = 200, seconds: float = 20) -> None:
        self._limit, self._seconds = threads + queue, seconds
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._begun = 0
        self._count = threading.Lock()

    async def run(self, work: Callable[P, Answer], *args: P.args, **kwargs: P.kwargs) -> Answer:
        """Do `work` in a thread. Raises Overloaded."""
        with self._count:
            if self._begun >= self._limit:
                raise Overloaded("Too many requests are waiting.")
            self._begun += 1
        future = self._threads.submit(partial(copy_context().run, work, *args, **kwargs))
        future.add_done_callback(self._leave)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._seconds)
        except TimeoutError as error:
            raise Overloaded(f"The request was not answered within {self._seconds:g} s.") from error

    @property
    def begun(self) -> int:
        """Requests that run or wait for a thread."""
        return self._begun

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _leave(self, _: Future[Any]) -> None:
        with self._count:
            self._begun -= 1
