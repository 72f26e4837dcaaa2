"""Requests of several threads that wait at the same time are answered together."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class MicroBatcher(Generic[Request, Answer]):
    """Calls `answer` from the threads of its callers, never twice at once, with all that wait by then.

    A lone caller is served at once; those that come meanwhile make the next batch. There is no thread
    of its own and no waiting for a batch to fill.
    """

    def __init__(self, answer: Callable[[Sequence[Request]], Sequence[Answer]], largest: int = 64) -> None:
        self._answer, self._largest = answer, largest
        self._waiting: deque[tuple[Request, Future[Answer]]] = deque()
        self._turn = Lock()

    def __call__(self, request: Request) -> Answer:
        """The answer to one request; what `answer` raises for it is raised here and nowhere else."""
        future: Future[Answer] = Future()
        self._waiting.append((request, future))
        while not future.done():
            with self._turn:
                if not future.done():
                    self._serve()
        return future.result()

    def _serve(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._largest))]
        try:
            self._answer_all(batch)
        except BaseException:  # this thread is being stopped; the others still want their answers
            self._waiting.extendleft(one for one in reversed(batch) if not one[1].done())
            raise

    def _answer_all(self, batch: Sequence[tuple[Request, Future[Answer]]]) -> None:
        try:
            answers = self._answer([request for request, _ in batch])
        except Exception as error:
            if len(batch) == 1:
                batch[0][1].set_exception(error)
            else:
                for one in batch:  # to tell whose error it is
                    self._answer_all([one])
        else:
            for (_, future), found in zip(batch, answers, strict=True):
                future.set_result(found)
