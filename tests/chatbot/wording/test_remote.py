"""A generator behind a server of OpenAI's protocol, which behaves and misbehaves."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chatbot.wording.generated import GeneratedReply
from chatbot.wording.generator import WordingError
from chatbot.wording.remote import RemoteGenerator
from chatbot.wording.request import Request
from domains.schema import Pack, Wording
from storage.actions import Action
from storage.state import DialogueState, Result

REQUEST = Request("x.done", "I sent [1] to [2].", ("$5.00", "··7324"), "card 5412 7500 0343 6467, quick")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.mode = "", "good"
        self.asked: list[tuple[str, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.headers.get("authorization", ""), body))
        mode = self.server.mode
        if mode == "hang":
            time.sleep(30)
        self.send_response(500 if mode == "500" else 200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        if mode == "nonsense":
            self.wfile.write(b"data: {]\n\ndata: <html>\n\n")
            return
        words = self.server.answer.split(" ")
        for number, word in enumerate(words):
            if mode == "close" and number == len(words) // 2:
                return
            if mode == "drip":
                time.sleep(0.05)
            choice = {"index": 0, "delta": {"content": word + " "}, "finish_reason": None}
            self.wfile.write(f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
            self.wfile.flush()
        reason = "length" if mode == "cut" else "stop"
        last = {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
        self.wfile.write(f"data: {json.dumps(last)}\n\ndata: [DONE]\n\n".encode())


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def word(server: Server, seconds: float = 5) -> str:
    generator = RemoteGenerator(server.url, "some-model", "secret", "warm", seconds)
    return generator.word(REQUEST, time.monotonic() + seconds)


def test_an_answer_comes_as_it_was_streamed(server: Server) -> None:
    server.answer = "<think>hm</think> I have sent [1] to [2]."
    assert word(server) == "I have sent [1] to [2]."


def test_the_server_gets_the_key_but_neither_facts_nor_the_customers_numbers(server: Server) -> None:
    server.answer = "I have sent [1] to [2]."
    word(server)
    ((authorization, body),) = server.asked
    assert authorization == "Bearer secret"
    assert body["model"] == "some-model"
    sent = json.dumps(body)
    assert "$5.00" not in sent
    assert "7324" not in sent
    assert "5412" not in sent
    assert json.loads(body["messages"][1]["content"])["say"] == REQUEST.say


MISDEEDS = {
    "500": "status 500",
    "close": "breaks off",
    "nonsense": "in no known form",
    "cut": "was cut",
    "hang": "in time",
    "drip": "time ran out",
}


@pytest.mark.parametrize(("mode", "reason"), MISDEEDS.items())
def test_a_server_that_misbehaves_is_an_error_that_names_it(mode: str, reason: str, server: Server) -> None:
    server.mode, server.answer = mode, "I have sent [1] to [2]. " * 9
    with pytest.raises(WordingError, match=reason):
        word(server, 0.3 if mode in ("hang", "drip") else 5)


def test_a_server_that_is_not_there_is_an_error(server: Server) -> None:
    generator = RemoteGenerator("http://127.0.0.1:9/v1", "m", "", "warm", 5)
    with pytest.raises(WordingError, match="broken connection"):
        generator.word(REQUEST, time.monotonic() + 5)


@pytest.mark.parametrize(
    ("mode", "answer"),
    [
        ("good", "Done: [1] went to [2]. You have [3] left, the fee was 0, and your reference is [4]."),
        ("close", "Done: [1] went to [2]. Your balance is now [3], and the reference is [4]."),
        ("500", ""),
        ("nonsense", ""),
    ],
)
def test_the_customer_gets_the_template_from_whatever_server(
    mode: str, answer: str, server: Server, pack: Pack
) -> None:
    wording = Wording(tone="warm", generated=("transfer_money.done",))
    live = pack.model_copy(update={"domain": pack.domain.model_copy(update={"wording": wording})})
    server.mode, server.answer = mode, answer
    writer = GeneratedReply(live, RemoteGenerator(server.url, "m", "", "warm", 5), seconds=5)
    facts = {"amount": "$50.00", "target": "··7324", "balance": "$9.00", "reference": "TR-1"}
    state = DialogueState(results=(Result("transfer_money", "done", facts),))
    draft = writer.write([Action("execute", "transfer_money")], state, 0)
    assert draft.text == writer.template.write([Action("execute", "transfer_money")], state, 0).text
    assert draft.made_by.startswith("template after ")
