"""The store against a model of a few lines: whatever is done in whatever order, both hold the same."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine

from storage.conversations import ConversationStore
from storage.migration import check
from storage.records import Draft, Execution, TurnRecord
from storage.state import DialogueState
from storage.turns import Overtaken, Turn
from tests.storage.test_conversations import a_record

TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=20)
CLIENT_IDS = st.sampled_from(["a", "b", "c"]) | st.none()
AMOUNTS = st.sampled_from(["10.00", "20.00"])


@dataclass
class Model:
    """A conversation as it should be."""

    history: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """client_message_id → seq and text of each reply."""
    turns: int = 0
    state: DialogueState = field(default_factory=DialogueState)
    kept: TurnRecord | None = None
    kept_id: str | None = None
    open_keys: dict[str, str] = field(default_factory=dict)
    """Amount → the key under which it was asked for without an answer."""
    ratings: dict[int, int] = field(default_factory=dict)


class StoreMachine(RuleBasedStateMachine):
    conversations = Bundle("conversations")

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.store = ConversationStore(engine)
        self.models: dict[str, Model] = {}

    @initialize(target=conversations, opening=TEXTS)
    def begin(self, opening: str) -> str:
        return self.create(opening)

    @rule(target=conversations, opening=st.none() | TEXTS)
    def create(self, opening: str | None) -> str:
        conversation = self.store.create("banking", None, None if opening is None else Draft(opening))
        self.models[conversation] = Model([] if opening is None else [("bot", opening)])
        return conversation

    @rule(conversation=conversations, text=TEXTS)
    def say(self, conversation: str, text: str) -> None:
        message = self.store.say(conversation, Draft(text))
        model = self.models[conversation]
        model.history.append(("bot", text))
        assert message.seq == len(model.history)

    @rule(conversation=conversations, text=TEXTS, client_id=CLIENT_IDS, replies=st.lists(TEXTS, max_size=3))
    def take_turn(self, conversation: str, text: str, client_id: str | None, replies: list[str]) -> None:
        model = self.models[conversation]
        with self.store.turn(conversation, client_id) as turn:
            if self._is_answered(model, turn, client_id) or model.kept:
                return
            self._finish(model, turn, self._record(model, text), replies, client_id)

    @rule(conversation=conversations, text=TEXTS, client_id=CLIENT_IDS, amount=AMOUNTS)
    def be_interrupted(self, conversation: str, text: str, client_id: str | None, amount: str) -> None:
        model = self.models[conversation]
        with self.store.turn(conversation, client_id) as turn:
            if self._is_answered(model, turn, client_id) or model.kept:
                return
            calls = {call.slots["amount"]: call for call in turn.open_calls("transfer", None)}
            assert {amount: call.idempotency_key for amount, call in calls.items()} == model.open_keys
            assert all(call.here for call in calls.values())
            key = model.open_keys.get(amount, turn.idempotency_key(1))
            intended = Execution(key, "transfer", {"amount": amount})
            model.kept = replace(self._record(model, text), executions=(intended,))
            turn.keep(model.kept)
            model.kept_id, model.turns = client_id, model.turns + 1
            model.history.append(("customer", text))

    @rule(conversation=conversations, replies=st.lists(TEXTS, max_size=3), answered=st.booleans())
    def complete(self, conversation: str, replies: list[str], answered: bool) -> None:
        model = self.models[conversation]
        with self.store.turn(conversation, "another") as turn:
            assert turn.unfinished == model.kept
            if model.kept is None:
                return
            (intended,) = model.kept.executions
            amount = intended.slots["amount"]
            if answered:
                intended = replace(intended, outcome="done", facts={"amount": amount})
                model.open_keys.pop(amount, None)
            else:
                model.open_keys[amount] = intended.idempotency_key
            record = replace(model.kept, executions=(intended,))
            self._finish(model, turn, record, replies, model.kept_id)

    @rule(conversation=conversations, text=TEXTS, keeps=st.booleans(), by_turn=st.booleans())
    def be_overtaken(self, conversation: str, text: str, keeps: bool, by_turn: bool) -> None:
        model = self.models[conversation]
        if model.kept is not None:
            return
        slow = Turn(self.engine, conversation, None)
        if by_turn:
            with self.store.turn(conversation, None) as turn:
                self._finish(model, turn, self._record(model, text), ["first"], None)
        else:
            self.say(conversation, text)
        with pytest.raises(Overtaken):
            (slow.keep if keeps else slow.finish)(self._record(model, "too late"))

    @rule(conversation=conversations, rating=st.sampled_from([-1, 0, 1]), data=st.data())
    def rate(self, conversation: str, rating: Any, data: st.DataObject) -> None:
        model = self.models[conversation]
        bots = [seq for seq, (author, _) in enumerate(model.history, 1) if author == "bot"]
        if bots:
            seq = data.draw(st.sampled_from(bots))
            self.store.rate(conversation, seq, rating)
            model.ratings[seq] = rating

    @invariant()
    def holds_the_same(self) -> None:
        for conversation, model in self.models.items():
            history = self.store.history(conversation)
            assert [(message.author, message.text) for message in history] == model.history
            assert [message.seq for message in history] == list(range(1, len(model.history) + 1))
            assert {m.seq: m.rating for m in history if m.seq in model.ratings} == model.ratings
            assert self.store.state(conversation) == model.state
        interrupted = {one for one in self.store.interrupted() if one in self.models}
        assert interrupted == {one for one, model in self.models.items() if model.kept}

    def teardown(self) -> None:
        mine = [line for line in check(self.engine) if any(one in line for one in self.models)]
        assert len(mine) == sum(model.kept is not None for model in self.models.values())
        assert all("is unfinished" in line for line in mine)

    def _record(self, model: Model, text: str) -> TurnRecord:
        state = replace(model.state, turn=model.state.turn + 1)
        return replace(a_record(text, state=state), executions=(), replies=())

    def _is_answered(self, model: Model, turn: Any, client_id: str | None) -> bool:
        answered = None if turn.answered is None else [(m.seq, m.text) for m in turn.answered]
        assert answered == (None if client_id is None else model.answers.get(client_id))
        assert turn.state == model.state
        return answered is not None

    def _finish(
        self, model: Model, turn: Any, record: TurnRecord, replies: list[str], client_id: str | None
    ) -> None:
        new = model.kept is None
        said = turn.finish(replace(record, replies=tuple(Draft(text) for text in replies)))
        model.history += [("customer", record.text)] * new + [("bot", text) for text in replies]
        model.turns += new
        first = len(model.history) - len(replies) + 1
        answer = list(enumerate(replies, first))
        assert [(message.seq, message.text) for message in said] == answer
        assert turn.number == model.turns
        if client_id is not None:
            model.answers[client_id] = answer
        model.state, model.kept, model.kept_id = record.state, None, None


def test_that_the_store_and_the_model_hold_the_same(engine: Engine) -> None:
    run_state_machine_as_test(
        lambda: StoreMachine(engine),
        settings=settings(max_examples=5, stateful_step_count=12, deadline=None, database=None),
    )
