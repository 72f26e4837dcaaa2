"""Customers transfer money while the server is killed again and again: what is lost, doubled, half done?

    python -m benchmarks.crash --database sqlite --kills 200 [--clients 8] [--seed 0] [--clear] [--out FILE]

The real API over HTTP, the real store with encryption and the real demo bank; only the understanding is a
stand-in (see plain_bot.py). A client repeats a message, with the same client_message_id, until it is
answered; now and then it sends another one in between. At the end every answer that a client got is compared
with the databases.
"""

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from benchmarks.databases import fresh_databases, open_with_keys
from benchmarks.plain_server import running_plain_servers
from benchmarks.server import write
from chatbot.assembly import business_database
from domains.banking.backend import open_backend
from domains.banking.bank_tables import Account, Customer, Transfer, open_engine
from storage.database import transaction
from storage.encryption import VARIABLE, new_key
from storage.migration import check
from storage.tables import ExecutionRow, MessageRow, TurnRow

LONGEST_LIFE = 20
"""Answers that a server may give before it is killed; how many exactly is chance."""
LAST_BREATH = 0.05
"""Seconds within which it is killed after the last of them."""
PATIENCE = 5
"""Seconds that it lives at most."""
REPEAT_SECONDS = 0.2
IMPATIENCE = 0.05
"""How often a client that got no answer asks something else before it repeats its message."""
UNAVAILABLE = "the same again"
"""In what the bot says where the bank did not answer."""
ENOUGH_CENTS = 1_000_00


@dataclass
class Acknowledged:
    """What a client was told, which from then on has to be true."""

    answers: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    """Conversation and client_message_id → the messages of the answer."""
    transfers: list[int] = field(default_factory=list)
    """Cents of each transfer that was reported as done; no two of a customer are the same."""


@dataclass(frozen=True)
class Person:
    name: str
    ssn: str
    source: str
    target: str


class Client(threading.Thread):
    """Transfers 1 cent, 2 cents, … until it is told to stop, and then ends the transfer at hand."""

    def __init__(self, url: str, person: Person, seed: int, stop: threading.Event) -> None:
        super().__init__(name=person.name)
        self.url, self.person, self.stop = url, person, stop
        self.random = random.Random(seed)
        self.done = Acknowledged()
        self.repeats = 0
        self.unavailable = 0
        self.statuses: list[tuple[float, int]] = []
        """When each request was answered, and how; 0 where the connection broke."""
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            with httpx.Client(base_url=self.url, timeout=30) as self.http:
                while not self.stop.is_set():
                    self._hold_conversation()
        except Exception as failure:
            self.failure = failure

    def _hold_conversation(self) -> None:
        conversation = self._post("/v1/conversations", {})["id"]
        person = self.person
        proof = f"name={person.name} | ssn={person.ssn} | account_number={person.source} | "
        for number in range(self.random.randint(1, 4)):
            cents = len(self.done.transfers) + 1
            money = f"${cents / 100:.2f}"
            values = f"transfer_amount={money} | target_account_number={person.target}"
            self._say_until(conversation, f"transfer_money | {'' if number else proof}{values}", money)
            self._say_until(conversation, "Yes, go ahead", money)
            self.done.transfers.append(cents)

    def _say_until(self, conversation: str, text: str, expected: str) -> None:
        """Say it; where the bank did not answer in time, again, after the bot has taken the task up anew."""
        answer = self._say(conversation, text)
        while UNAVAILABLE in answer:
            self.unavailable += 1
            answer = self._say(conversation, "are you there?")
            if text.startswith("Yes") and UNAVAILABLE not in answer:
                answer = self._say(conversation, text)
        if expected not in answer:
            raise RuntimeError(f"{text!r} was answered with {answer!r}")

    def _say(self, conversation: str, text: str) -> str:
        message_id = f"{self.random.getrandbits(64):x}"
        path = f"/v1/conversations/{conversation}/messages"
        while (answer := self._try(path, {"text": text, "client_message_id": message_id})) is None:
            if text != "are you there?" and self.random.random() < IMPATIENCE:
                self._say(conversation, "are you there?")
        self.done.answers[conversation, message_id] = answer["messages"]
        return " ".join(message["text"] for message in answer["messages"])

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        while (answer := self._try(path, body)) is None:
            pass
        return answer

    def _try(self, path: str, body: Mapping[str, Any]) -> Any:
        """The answer; None where none came, and the message may have been taken or not."""
        try:
            response = self.http.post(path, json=body)
            self.statuses.append((time.monotonic(), response.status_code))
            if response.status_code != 503:
                response.raise_for_status()
                return response.json()
        except httpx.TransportError:
            self.statuses.append((time.monotonic(), 0))
        self.repeats += 1
        time.sleep(REPEAT_SECONDS)
        return None


def crash(url: str, kills: int, clients: int, seed: int) -> dict[str, Any]:
    """The figures; `problems` is empty where nothing was lost, doubled or half done."""
    chance = random.Random(seed)
    bank = open_engine(business_database(url, "banking"))
    open_backend(business_database(url, "banking")).close()
    before = balances(bank)
    stop = threading.Event()
    with running_plain_servers(url) as servers:
        crowd = [
            Client(servers.urls[0], person, seed + number, stop)
            for number, person in enumerate(people(bank, clients))
        ]
        start = time.perf_counter()
        for number in range(kills + 1):
            pid = servers.next_pid()
            servers.wait()
            if number == 0:
                for client in crowd:
                    client.start()
            if number < kills:
                _let_live(crowd, chance)
                os.kill(pid, signal.SIGKILL)
                print(f"kill {number + 1} of {kills}", end="\r", file=sys.stderr)
        stop.set()
        for client in crowd:
            client.join()
        seconds = time.perf_counter() - start
    problems = [f"{client.name}: {client.failure}" for client in crowd if client.failure]
    problems += compare(url, bank, crowd, before)
    bank.dispose()
    return {
        "kills": kills,
        "clients": clients,
        "seconds": round(seconds, 1),
        "messages_acknowledged": sum(len(client.done.answers) for client in crowd),
        "messages_repeated": sum(client.repeats for client in crowd),
        "bank_unavailable": sum(client.unavailable for client in crowd),
        "transfers": sum(len(client.done.transfers) for client in crowd),
        "problems": problems,
    }


def _let_live(crowd: Sequence[Client], chance: random.Random) -> None:
    """Until a number of answers drawn by chance was given, and a moment more."""
    enough = sum(len(client.done.answers) for client in crowd) + chance.randint(0, LONGEST_LIFE)
    deadline = time.monotonic() + PATIENCE
    while sum(len(client.done.answers) for client in crowd) < enough and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(chance.uniform(0, LAST_BREATH))


def people(bank: Engine, count: int) -> list[Person]:
    """Customers with money, and with a second account of their own to send it to."""
    people = []
    with Session(bank) as session:
        for customer in session.scalars(select(Customer).order_by(Customer.id)):
            accounts = [account for account in customer.accounts if account.closed_at is None]
            if len(accounts) > 1 and accounts[0].balance_cents > ENOUGH_CENTS:
                source, target = accounts[0].number, accounts[1].number
                people.append(Person(customer.name, customer.ssn_last4, source, target))
    if len(people) < count:
        raise SystemExit(f"The bank has {len(people)} customers for this; take fewer clients")
    return people[:count]


def balances(bank: Engine) -> dict[str, int]:
    with Session(bank) as session:
        rows = session.execute(select(Account.number, Account.balance_cents))
        return {number: cents for number, cents in rows}  # noqa: C416 (rows are no pairs to mypy)


def compare(url: str, bank: Engine, crowd: Sequence[Client], before: Mapping[str, int]) -> list[str]:
    """What does not agree between the clients, the conversations and the bank."""
    engine = open_with_keys(url)
    problems = check(engine)
    with transaction(engine) as session:
        turns = {
            (turn.conversation_id, turn.client_message_id): turn for turn in session.scalars(select(TurnRow))
        }
        texts = {
            (row.conversation_id, row.seq): row.text
            for row in session.scalars(select(MessageRow).where(MessageRow.author == "bot"))
        }
        asked = session.scalar(select(func.count()).where(MessageRow.author == "customer"))
        done = session.scalars(
            select(ExecutionRow.idempotency_key).where(
                ExecutionRow.task == "transfer_money", ExecutionRow.outcome == "done"
            )
        ).all()
    engine.dispose()
    acknowledged = {key: answer for client in crowd for key, answer in client.done.answers.items()}
    for (conversation, message_id), answer in acknowledged.items():
        turn = turns.get((conversation, message_id))
        if turn is None:
            problems.append(f"lost: message {message_id} of conversation {conversation}")
        elif any(texts.get((conversation, said["seq"])) != said["text"] for said in answer):
            problems.append(f"changed: the answer to message {message_id} of conversation {conversation}")
    if not len(turns) == asked == len(acknowledged):
        problems.append(
            f"{len(acknowledged)} messages were answered, {len(turns)} turns and {asked} are stored"
        )
    with Session(bank) as session:
        rows = session.execute(
            select(Account.number, Transfer.amount_cents).join_from(
                Transfer, Account, Transfer.source_id == Account.id
            )
        )
        booked = Counter((str(number), int(cents)) for number, cents in rows)
    told = Counter((client.person.source, cents) for client in crowd for cents in client.done.transfers)
    problems += [
        f"transfer {key}: booked {booked[key]} times, reported {told[key]} times"
        for key in booked.keys() | told.keys()
        if booked[key] != told[key]
    ]
    if len(done) != len(set(done)) or len(done) != booked.total():
        problems.append(f"{booked.total()} transfers are booked, {len(done)} are written down as done")
    moved = Counter(before)
    for client in crowd:
        moved[client.person.source] -= sum(client.done.transfers)
        moved[client.person.target] += sum(client.done.transfers)
    after = balances(bank)
    problems += [
        f"account {number} holds {after[number]} cents, not {moved[number]}"
        for number in after
        if after[number] != moved[number]
    ]
    return problems


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--database", choices=["sqlite", "postgresql"], required=True)
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--clients", type=int, default=8)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--clear", action="store_true", help="without encryption")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    if not options.clear:
        os.environ[VARIABLE] = new_key()
    with fresh_databases(options.database, 1) as (url,):
        figures = crash(url, options.kills, options.clients, options.seed)
    figures = {"database": options.database, "encrypted": not options.clear, **figures}
    write(options.out or Path(__file__).with_name(f"crash-{options.database}.json"), figures)
    raise SystemExit(bool(figures["problems"]))


if __name__ == "__main__":
    main()
