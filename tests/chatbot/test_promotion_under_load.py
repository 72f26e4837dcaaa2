"""Promotion and rollback while two servers hold conversations: nothing fails, nobody changes half-way."""

import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, select

from chatbot.bot import Chatbot
from chatbot.reply import TemplateReply
from dialog_policy.registry import PolicyRegistry
from domains.backend import ActionResult
from domains.schema import Pack
from storage.conversations import ConversationStore
from storage.database import transaction
from storage.policies import promote, rollback
from storage.tables import DecisionRow
from tests.dialog_policy.test_registry import a_policy, add
from tests.hearing import ScriptedParser, understood

MESSAGES = ("what is my balance?", "how old must I be?", "hello there", "no")
SCRIPT = (
    understood("what is my balance?", ["check_balance"]),
    understood("how old must I be?", ["age_limit"]),
    understood("hello there", ["greeting"]),
    understood("no", ["deny"]),
)


class Bank:
    def execute(self, task: str, slots: Any, idempotency_key: str) -> ActionResult:
        return ActionResult("not_matched")


@pytest.fixture
def servers(engine: Engine, pack: Pack, monkeypatch: pytest.MonkeyPatch) -> list[Chatbot]:
    monkeypatch.setattr("dialog_policy.registry.FOLLOW_SECONDS", 0.05)
    for place, name in enumerate(("one", "two")):
        add(engine, a_policy(pack, name, place))
    promote(engine, pack.name, "one", "ann")
    parser: Any = ScriptedParser(*SCRIPT)
    return [
        Chatbot(
            pack,
            parser,
            PolicyRegistry(engine, pack),
            Bank(),  # type: ignore[arg-type]
            TemplateReply(pack),
            ConversationStore(engine),
        )
        for _ in range(2)
    ]


def test_that_conversations_keep_their_policy_and_no_request_fails(
    servers: list[Chatbot], engine: Engine, pack: Pack
) -> None:
    stop = threading.Event()

    def talk(seed: int) -> int:
        held = 0
        while not stop.is_set():
            name = servers[seed % 2].start()
            for place, message in enumerate(MESSAGES):
                servers[(seed + place) % 2].reply(name, message)
            held += 1
        return held

    def operate() -> None:
        for _ in range(3):
            promote(engine, pack.name, "two", "ann", "canary", 0.5)
            stop.wait(0.3)
            promote(engine, pack.name, "two", "ann")
            stop.wait(0.3)
            promote(engine, pack.name, "one", "ann")
            stop.wait(0.3)
        stop.set()

    with ThreadPoolExecutor(5) as pool:
        talking = [pool.submit(talk, seed) for seed in range(4)]
        pool.submit(operate).result()
        assert sum(future.result() for future in talking) > 0
    by_conversation = defaultdict(set)
    with transaction(engine) as session:
        query = select(DecisionRow.conversation_id, DecisionRow.policy_version).distinct()
        for name, version in session.execute(query):
            by_conversation[name].add(version)
    assert {len(versions) for versions in by_conversation.values()} == {1}
    assert {version for versions in by_conversation.values() for version in versions} == {"one", "two"}


def test_that_after_a_rollback_begun_conversations_go_on_with_the_live_policy(
    servers: list[Chatbot], engine: Engine, pack: Pack
) -> None:
    promote(engine, pack.name, "two", "ann")
    fresh = PolicyRegistry(engine, pack)
    servers[0].policies = fresh
    name = servers[0].start()
    servers[0].reply(name, "what is my balance?")
    rollback(engine, pack.name, "ann")
    servers[0].policies = PolicyRegistry(engine, pack)
    servers[0].reply(name, "how old must I be?")
    with transaction(engine) as session:
        query = (
            select(DecisionRow.turn, DecisionRow.policy_version)
            .where(DecisionRow.conversation_id == name)
            .distinct()
        )
        assert set(session.execute(query).tuples()) == {(1, "two"), (2, "one")}
