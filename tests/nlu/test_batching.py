"""Requests of several threads: who is answered with whom, and whose error is whose."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import pytest

from nlu.batching import MicroBatcher

SECONDS = 20


class Gate:
    """Answers with 100 divided by the number; the first batch waits until the gate is opened."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered, self.opened = Event(), Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.entered.set()
        assert self.opened.wait(SECONDS)
        return [100 // number for number in numbers]


def ask_behind_a_busy_gate(gate: Gate, numbers: Sequence[int], largest: int = 64) -> list[int | str]:
    """The answers, or the errors' names, for 1 and for `numbers` that come while 1 is being answered."""
    ask = MicroBatcher(gate, largest)
    with ThreadPoolExecutor(len(numbers) + 1) as pool:
        futures = [pool.submit(ask, 1)]
        assert gate.entered.wait(SECONDS)
        futures += [pool.submit(ask, number) for number in numbers]
        while len(ask._waiting) < len(numbers):
            Event().wait(0.001)
        gate.opened.set()
        errors = [future.exception(SECONDS) for future in futures]
        return [
            type(error).__name__ if error else future.result()
            for future, error in zip(futures, errors, strict=True)
        ]


def test_that_a_lone_request_is_answered_at_once_and_alone() -> None:
    gate = Gate()
    gate.opened.set()
    ask = MicroBatcher(gate)
    assert [ask(5), ask(4)] == [20, 25]
    assert gate.batches == [[5], [4]]


def test_that_those_who_wait_are_answered_together_each_with_its_own() -> None:
    gate = Gate()
    numbers = [2, 4, 5, 10, 20]
    assert ask_behind_a_busy_gate(gate, numbers) == [100, 50, 25, 20, 10, 5]
    first, second = gate.batches
    assert first == [1]
    assert sorted(second) == numbers


def test_that_a_batch_takes_no_more_than_the_largest_number() -> None:
    gate = Gate()
    assert ask_behind_a_busy_gate(gate, [2, 4, 5, 10, 20], largest=2) == [100, 50, 25, 20, 10, 5]
    assert [len(batch) for batch in gate.batches] == [1, 2, 2, 1]


def test_that_an_error_reaches_only_the_caller_whose_request_caused_it() -> None:
    gate = Gate()
    assert ask_behind_a_busy_gate(gate, [2, 0, 5]) == [100, 50, "ZeroDivisionError", 20]


def test_that_an_error_leaves_the_batcher_usable() -> None:
    gate = Gate()
    gate.opened.set()
    ask = MicroBatcher(gate)
    with pytest.raises(ZeroDivisionError):
        ask(0)
    assert ask(50) == 2


def test_that_a_thread_that_is_stopped_leaves_the_requests_of_others_to_them() -> None:
    stopped: list[int] = []

    def answer(numbers: Sequence[int]) -> list[int]:
        if not stopped:
            stopped.append(1)
            ask._waiting.append((7, other))
            raise KeyboardInterrupt
        return [2 * number for number in numbers]

    ask: MicroBatcher[int, int] = MicroBatcher(answer)
    other: Future[int] = Future()
    with pytest.raises(KeyboardInterrupt):
        ask(3)
    assert ask(4) == 8
    assert other.result(0) == 14
