"""A server that is killed, without warning, at every single place of a turn that moves money."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, event

from benchmarks.plain_bot import build_plain_bot
from chatbot.assembly import business_database
from chatbot.bot import Chatbot
from domains.backend import ActionResult, BackendError
from domains.banking.backend import DemoBank, open_backend
from domains.schema import Pack
from storage.database import open_database
from storage.migration import check, upgrade

CHECKING, SAVINGS = "4400127316", "4400127324"
WISH = f"transfer_money | name=Dana Whitfield | ssn=4821 | account_number={CHECKING} | transfer_amount=$1"
WISH_AND_TARGET = f"{WISH} | target_account_number={SAVINGS}"


@dataclass
class Fuse:
    """Counts the places of a turn that it passes, and kills the process at one of them."""

    kill_at: int = 0
    passed: int = 0

    def pass_(self, *_: Any) -> None:
        self.passed += 1
        if self.passed == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def fit(self, engine: Engine) -> None:
        """Before and after each statement and each commit; a connection is checked in after the commit."""
        for name in ("before_cursor_execute", "after_cursor_execute", "commit"):
            event.listen(engine, name, self.pass_)
        event.listen(engine.pool, "checkin", self.pass_)


class FusedBank:
    """Killed before the bank is asked, and after it has answered."""

    def __init__(self, bank: DemoBank, fuse: Fuse) -> None:
        self.bank, self.fuse = bank, fuse

    def execute(self, task: str, slots: Mapping[str, str], idempotency_key: str) -> ActionResult:
        self.fuse.pass_()
        result = self.bank.execute(task, slots, idempotency_key)
        self.fuse.pass_()
        return result


class Server:
    """Bots on one database, one after the other; each is gone before the next one opens it."""

    def __init__(self, url: str, pack: Pack) -> None:
        self.url, self.pack = url, pack

    def run(self, use: Callable[[Chatbot], Any]) -> Any:
        bot = build_plain_bot(self.url, pack=self.pack)
        try:
            return use(bot)
        finally:
            bot.store._engine.dispose()
            bot.backend.close()  # type: ignore[attr-defined]

    def run_until_killed(self, use: Callable[[Chatbot], Any], fuse: Fuse) -> bool:
        """Whether the fuse killed it; else `use` came to its end."""
        child = os.fork()
        if not child:
            status = 1
            try:
                bank = FusedBank(open_backend(business_database(self.url, "banking")), fuse)
                bot = build_plain_bot(self.url, bank, self.pack)
                fuse.fit(bot.store._engine)
                use(bot)
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL), "the bot failed before it was killed"
        return status == signal.SIGKILL

    def savings(self) -> int:
        bank = open_backend(business_database(self.url, "banking"))
        try:
            return bank.balance(SAVINGS)
        finally:
            bank.close()


@pytest.fixture
def server(database_url: str, pack: Pack) -> Iterator[Server]:
    engine = open_database(database_url)
    upgrade(engine)
    engine.dispose()
    server = Server(database_url, pack)
    yield server
    engine = open_database(database_url)
    assert check(engine) == []
    engine.dispose()


def agree(bot: Chatbot, conversation: str) -> tuple[str, ...]:
    return tuple(message.text for message in bot.reply(conversation, "Yes, go ahead", "the-yes"))


def ask_for_a_transfer(bot: Chatbot) -> str:
    conversation = bot.start()
    (answer,) = bot.reply(conversation, WISH_AND_TARGET)
    assert "$1.00" in answer.text
    return conversation


def history(bot: Chatbot, conversation: str) -> list[tuple[str, str]]:
    return [(message.author, message.text) for message in bot.store.history(conversation)]


def killed_at_every_place(server: Server) -> Iterator[str]:
    """Conversations in which the server was killed, later and later, while it took the yes to a transfer."""
    for place in range(1, 1000):
        conversation = server.run(ask_for_a_transfer)
        if not server.run_until_killed(lambda bot, it=conversation: agree(bot, it), Fuse(place)):  # type: ignore[misc]
            assert place > 20, "hardly a place was covered"
            return
        yield conversation


def test_the_same_message_sent_again_completes_the_turn_once(server: Server) -> None:
    before = server.savings()
    for number, conversation in enumerate(killed_at_every_place(server), 1):
        first = server.run(lambda bot, it=conversation: agree(bot, it))
        again, said = server.run(lambda bot, it=conversation: (agree(bot, it), history(bot, it)))
        assert again == first
        assert "$1.00" in first[0]
        assert [author for author, _ in said] == ["bot", *("customer", "bot") * 2]
        assert said[-1] == ("bot", first[0])
        assert server.savings() == before + 100 * number


def test_another_message_finds_the_turn_before_it_finished(server: Server) -> None:
    before, interrupted = server.savings(), 0
    for number, conversation in enumerate(killed_at_every_place(server), 1):
        server.run(lambda bot, it=conversation: bot.reply(it, "are you there?", "another"))
        moved, said = server.savings() - before, server.run(lambda bot, it=conversation: history(bot, it))
        if ("customer", "Yes, go ahead") in said:
            interrupted += 1
            assert [text for author, text in said if author == "customer"][1:] == [
                "Yes, go ahead",
                "are you there?",
            ]
            assert moved == 100 * number
        else:
            assert moved == 100 * (number - 1), "without a trace of the yes, nothing may have happened"
        server.run(lambda bot, it=conversation: agree(bot, it))
        assert server.savings() == before + 100 * number
    assert interrupted > 5


def test_a_server_that_starts_finishes_what_was_interrupted(server: Server) -> None:
    from threading import Event

    from chatbot.recovery import recover

    before = server.savings()
    conversation = server.run(ask_for_a_transfer)
    place = 1
    while not server.run(lambda bot: bot.store.interrupted()):
        assert server.run_until_killed(lambda bot: agree(bot, conversation), Fuse(place))
        place += 1
    assert server.savings() == before
    server.run(lambda bot: recover(bot, Event()))
    assert server.run(lambda bot: bot.store.interrupted()) == ()
    assert server.savings() == before + 100
    assert (
        server.run(lambda bot: history(bot, conversation))[-1][1]
        == server.run(lambda bot: agree(bot, conversation))[0]
    )


class NeverThere:
    def execute(self, task: str, slots: Mapping[str, str], idempotency_key: str) -> ActionResult:
        raise BackendError("out of reach")
