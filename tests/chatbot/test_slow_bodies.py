"""Clients that send slowly, over a real connection."""

import socket

import httpx

from chatbot.api import ApiConfig, create_api
from tests.stand_in_bot import StandInBot
from tests.ui.conftest import free_port, running

HEAD = (
    b"POST /v1/conversations/x/messages HTTP/1.1\r\nHost: bot\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1000\r\n\r\n"
)


def test_a_body_that_does_not_come_in_time_ends_the_request() -> None:
    port = free_port()
    with running(create_api(StandInBot(), ApiConfig(body_seconds=0.5)), port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
            slow.sendall(HEAD + b'{"text": "')
            answer = b""
            while b"408" not in answer:
                slow.sendall(b"a")  # a little now and then does not help
                slow.settimeout(0.1)
                try:
                    piece = slow.recv(4096)
                    assert piece, "closed without an answer"
                    answer += piece
                except TimeoutError:
                    continue
        assert b"application/problem+json" in answer


def test_many_slow_clients_keep_nobody_waiting() -> None:
    port = free_port()
    with running(create_api(StandInBot(), ApiConfig(body_seconds=30)), port) as url:
        crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        for slow in crowd:
            slow.sendall(HEAD)
        assert httpx.get(f"{url}/readyz", timeout=20).status_code == 200
        assert httpx.post(f"{url}/v1/conversations", timeout=20).status_code == 201
        for slow in crowd:
            slow.close()
