"""A server that is killed, without warning, at every single place of a turn that moves money."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Engine

from benchmarks.plain_bot import build_plain_bot
from chatbot.assembly import business_database
from chatbot.bot import Chatbot
from chatbot.recovery import recover
from domains.backend import ActionResult, BackendError
from domains.banking.backend import DemoBank, open_backend
from domains.schema import Pack
from storage.driver import Driver
from storage.migration import check

CHECKING, SAVINGS = "4400127316", "4400127324"
WISH = (
    f"transfer_money | name=Dana Whitfield | ssn=4821 | account_number={CHECKING}"
    f" | transfer_amount=$1 | target_account_number={SAVINGS}"
)

MORE = f"transfer_money | transfer_amount=$2 | target_account_number={SAVINGS}"


@dataclass
class Fuse:
    """Counts the places of a turn that it passes, and kills the process at one of them."""

    kill_at: int = 0
    passed: int = 0

    def pass_(self, *_: Any) -> None:
        self.passed += 1
        if self.passed == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def fit(self) -> None:
        """Before and after each write, and before and after each commit of one."""
        run, commit = Driver.run, Driver.commit

        def run_with_fuse(driver: Driver, *statement: Any) -> int:
            self.pass_()
            written = run(driver, *statement)
            self.pass_()
            return written

        def commit_with_fuse(driver: Driver) -> None:
            self.pass_()
            commit(driver)
            self.pass_()

        Driver.run, Driver.commit = run_with_fuse, commit_with_fuse  # type: ignore[method-assign]


class FusedBank:
    """Killed before the bank is asked, and after it has answered."""

    def __init__(self, bank: DemoBank, fuse: Fuse) -> None:
        self.bank, self.fuse = bank, fuse

    def execute(self, task: str, slots: Mapping[str, str], idempotency_key: str) -> ActionResult:
        self.fuse.pass_()
        result = self.bank.execute(task, slots, idempotency_key)
        self.fuse.pass_()
        return result

    def withdraw(self, idempotency_key: str) -> ActionResult | None:
        self.fuse.pass_()
        result = self.bank.withdraw(idempotency_key)
        self.fuse.pass_()
        return result


@dataclass
class DeafBank:
    """Gives no answer, whether it acts or not."""

    bank: DemoBank
    acts: bool

    def execute(self, task: str, slots: Mapping[str, str], idempotency_key: str) -> ActionResult:
        if self.acts:
            self.bank.execute(task, slots, idempotency_key)
        raise BackendError("the answer was lost")

    def withdraw(self, idempotency_key: str) -> ActionResult | None:
        raise BackendError("the answer was lost")


class Server:
    """A bot that is without connections while another one, which is going to be killed, is alive."""

    def __init__(self, url: str, pack: Pack) -> None:
        self.url, self.pack = url, pack
        self.bank = open_backend(business_database(url, "banking"))
        self.bot = build_plain_bot(url, self.bank, pack)
        self.engine: Engine = self.bot.store.engine

    def disconnect(self) -> None:
        self.engine.dispose()
        self.bank.close()

    def run_until_killed(self, conversation: str, fuse: Fuse) -> bool:
        """Let a copy of it take the customer's yes; whether the fuse killed it."""
        self.disconnect()
        child = os.fork()
        if not child:
            status = 1
            try:
                self.bot.backend = FusedBank(self.bank, fuse)
                fuse.fit()
                agree(self.bot, conversation)
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL), "the bot failed before it was killed"
        return status == signal.SIGKILL

    @property
    def savings(self) -> int:
        return self.bank.balance(SAVINGS)

    def history(self, conversation: str) -> list[tuple[str, str]]:
        return [(message.author, message.text) for message in self.bot.store.history(conversation)]


@pytest.fixture
def server(engine: Engine, database_url: str, pack: Pack) -> Iterator[Server]:
    server = Server(database_url, pack)
    yield server
    server.disconnect()
    assert check(engine) == []


def agree(bot: Chatbot, conversation: str) -> str:
    (answer,) = bot.reply(conversation, "Yes, go ahead", "the-yes")
    return answer.text


def ask_for_a_transfer(bot: Chatbot) -> str:
    conversation = bot.start()
    (answer,) = bot.reply(conversation, WISH)
    assert "$1.00" in answer.text
    return conversation


def ask_for_more_after_a_lost_answer(server: Server, acts: bool) -> str:
    conversation = ask_for_a_transfer(server.bot)
    server.bot.backend = DeafBank(server.bank, acts)
    (answer,) = server.bot.reply(conversation, "Yes, go ahead", "the-first-yes")
    assert "the same" in answer.text
    server.bot.backend = server.bank
    (answer,) = server.bot.reply(conversation, MORE)
    assert "$2.00" in answer.text
    return conversation


def killed_at_every_place(server: Server, prepare: Callable[[], str] | None = None) -> Iterator[str]:
    """Conversations in which the server was killed, later and later, while it took the yes to a transfer."""
    for place in range(1, 1000):
        conversation = prepare() if prepare else ask_for_a_transfer(server.bot)
        if not server.run_until_killed(conversation, Fuse(place)):
            assert place > 12, "hardly a place was covered"
            return
        yield conversation


def test_the_same_message_sent_again_completes_the_turn_once(server: Server) -> None:
    before = server.savings
    for number, conversation in enumerate(killed_at_every_place(server), 1):
        answer = agree(server.bot, conversation)
        assert "$1.00" in answer
        assert agree(server.bot, conversation) == answer
        said = server.history(conversation)
        assert [author for author, _ in said] == ["bot", *("customer", "bot") * 2]
        assert said[-1] == ("bot", answer)
        assert server.savings == before + 100 * number


def test_another_message_finds_the_turn_before_it_finished(server: Server) -> None:
    before, interrupted = server.savings, 0
    for number, conversation in enumerate(killed_at_every_place(server), 1):
        server.bot.reply(conversation, "are you there?", "another")
        customer = [text for author, text in server.history(conversation) if author == "customer"]
        if "Yes, go ahead" in customer:
            interrupted += 1
            assert customer[1:] == ["Yes, go ahead", "are you there?"]
            assert server.savings == before + 100 * number
        else:
            assert server.savings == before + 100 * (number - 1), "it moved without a trace of the yes"
        agree(server.bot, conversation)
        assert server.savings == before + 100 * number
    assert interrupted > 5


@pytest.mark.parametrize("acts", [True, False], ids=["done", "not done"])
def test_another_amount_after_a_lost_answer_moves_one_of_both(server: Server, acts: bool) -> None:
    before = server.savings

    def prepare() -> str:
        return ask_for_more_after_a_lost_answer(server, acts)

    for number, conversation in enumerate(killed_at_every_place(server, prepare), 1):
        answer = agree(server.bot, conversation)
        assert ("$1.00" if acts else "$2.00") in answer
        assert agree(server.bot, conversation) == answer
        assert server.savings == before + number * (100 if acts else 200)


def test_a_server_that_starts_finishes_what_was_interrupted(server: Server) -> None:
    before = server.savings
    conversation = ask_for_a_transfer(server.bot)
    place = 1
    while not server.bot.store.interrupted():
        assert server.run_until_killed(conversation, Fuse(place))
        place += 1
    assert "is unfinished" in check(server.engine)[0]
    assert server.savings == before
    recover(server.bot, Event())
    assert server.bot.store.interrupted() == ()
    assert server.savings == before + 100
    assert server.history(conversation)[-1] == ("bot", agree(server.bot, conversation))
