"""Threads for the requests, and what the API does when they hang."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from chatbot import api
from chatbot.gate import Closing
from chatbot.workers import Overloaded, Workers
from tests.stand_in_bot import StandInBot


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """Work that waits for it hangs until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_work_is_done_in_a_thread_and_its_errors_come_back() -> None:
    workers = Workers()
    assert asyncio.run(workers.run(max, 1, 2)) == 2
    assert asyncio.run(workers.run(threading.get_ident)) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        asyncio.run(workers.run(divmod, 1, 0))


def test_work_that_hangs_is_not_waited_for(stuck: threading.Event) -> None:
    workers = Workers(threads=1, queue=1, seconds=0.02)
    for _ in range(2):
        with pytest.raises(Overloaded, match=r"not answered within 0\.02 s"):
            asyncio.run(workers.run(stuck.wait))


def test_a_full_queue_refuses_at_once(stuck: threading.Event) -> None:
    workers = Workers(threads=1, queue=1)

    async def crowd() -> None:
        inside = [asyncio.create_task(workers.run(stuck.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="Too many"):
            await workers.run(stuck.wait)
        stuck.set()
        assert await asyncio.gather(*inside) == [True, True]
        assert await workers.run(max, 1, 2) == 2

    asyncio.run(crowd())


def test_a_database_that_hangs_costs_503s_and_not_the_health_check(
    stuck: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = StandInBot()
    monkeypatch.setattr(api, "Workers", lambda: Workers(threads=2, queue=2, seconds=0.05))
    monkeypatch.setattr(bot.store, "ping", stuck.wait)
    with TestClient(api.create_api(bot)) as client:  # type: ignore[arg-type]
        for _ in range(5):
            response = client.post("/v1/conversations")
            assert response.status_code == 503
            assert response.headers["retry-after"] == "5"
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").json() == {"status": "ok"}
        stuck.set()


def test_a_server_that_stops_asks_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bot = StandInBot()

    def refuse(*_: object) -> str:
        raise Closing("The server is about to stop.")

    monkeypatch.setattr(bot, "start", refuse)
    with TestClient(api.create_api(bot)) as client:  # type: ignore[arg-type]
        response = client.post("/v1/conversations")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.json()["detail"] == "The server is about to stop. Please try again."
