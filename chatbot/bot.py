"""The way of one message through the bot. Start reading here."""

import logging
import time
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

from chatbot.events import Events
from chatbot.gate import Gate
from chatbot.logs import within
from chatbot.metrics import count_turn
from chatbot.plan import Plan
from chatbot.reply import Writer
from dialog_policy.policy import Policies
from dialog_policy.rules import concrete
from domains.backend import CUSTOMER_ID, Backend, BackendError, KnowsHoldings, Withdrawn
from domains.schema import Pack
from nlu.parser import Parser
from nlu.understanding import Understanding
from storage.actions import Action
from storage.conversations import ConversationStore, Turn
from storage.database import retry
from storage.faults import StorageError
from storage.hearing import hear
from storage.holdings import take_holdings, wants_holdings
from storage.records import Draft, Message, Owner
from storage.state import DialogueState, proof_slots

LONGEST_MESSAGE = 4000
RATINGS = ("1", "2", "3", "4", "5")
LAST_TURNS_SECONDS = 30
"""How long a server that stops waits for the turns that have begun."""

logger = logging.getLogger(__name__)


class BadMessage(ValueError):
    """A message that is not taken; the reason is fit for the customer."""


class UnknownCustomer(ValueError):
    """A customer of the portal whom the business system does not know."""


class Chatbot:
    def __init__(
        self,
        pack: Pack,
        parser: Parser,
        policies: Policies,
        backend: Backend,
        writer: Writer,
        store: ConversationStore,
    ) -> None:
        self.pack, self.parser, self.policies = pack, parser, policies
        self.backend, self.writer, self.store = backend, writer, store
        self.gate = Gate()
        self.events = Events()
        store.outbox.listener = self.events.publish

    def start(self, owner: Owner | None = None) -> str:
        """Open a conversation with a greeting; returns its id."""
        return self.store.create(self.pack.name, owner, self.writer.opening())

    def reply(
        self, conversation_id: str, text: str, client_message_id: str | None = None
    ) -> tuple[Message, ...]:
        """Answer a message. What is returned is committed, and nothing of it can happen twice.

        The same client_message_id gives the same answer again and acts once. Raises BadMessage,
        UnknownConversation, StorageError, and BackendError where a crash left open whether something was
        done and the business system cannot be asked.
        """
        text = clean(text)
        message_id = client_message_id or uuid4().hex  # by which a message begun anew knows what it did
        with within(conversation_id), self.gate.passing(), self.store.alone(conversation_id):
            return retry(lambda: self._reply(conversation_id, text, message_id))

    def recover(self, conversation_id: str) -> None:
        """Finish the turn that a crash interrupted, if there is one. Raises BackendError, StorageError."""
        with within(conversation_id), self.gate.passing(), self.store.turn(conversation_id, None) as turn:
            if turn.unfinished is not None:
                self._complete(turn, Plan.of(turn.unfinished))

    def recognise(self, conversation_id: str, portal_id: str) -> None:
        """Let the customer be known whom the portal has signed in under `portal_id`.

        Raises UnknownCustomer, OtherCustomer, UnknownConversation, StorageError, BackendError.
        """
        customer_id = None
        if self.pack.domain.authentication.portal:
            customer_id = self.backend.find_customer(portal_id)
        if customer_id is None:
            raise UnknownCustomer("The business does not know this customer of the site.")
        self.store.identify(conversation_id, customer_id, self.pack)

    def close(self) -> None:
        """Take no more messages, and wait for those that are being answered."""
        self.gate.close(LAST_TURNS_SECONDS)

    def _reply(self, conversation_id: str, text: str, message_id: str) -> tuple[Message, ...]:
        while True:
            with self.store.turn(conversation_id, message_id) as turn:
                if turn.answered is not None:
                    return turn.answered
                if turn.unfinished is None:
                    return self._answer(turn, text)
                self._complete(turn, Plan.of(turn.unfinished))

    def _answer(self, turn: Turn, text: str) -> tuple[Message, ...]:
        watch = Stopwatch()
        with watch.stage("understand"):
            heard = self.parser.parse(text, turn.state.recent, turn.state.asked, turn.state.past)
        plan = self._listen(turn.state, text, heard)
        with watch.stage("decide"):
            if not plan.state.handed_over and plan.rating is None:
                self._decide(turn, plan)
        with watch.stage("word"):
            drafts = () if turn.held else (self._word(plan, turn.number),)
        replies = turn.finish(plan.record(watch.milliseconds, *drafts))
        count_turn(plan, watch.milliseconds)
        return replies

    def _listen(self, state: DialogueState, text: str, heard: Understanding) -> Plan:
        """What the message changes. Nothing where it is for a colleague: a yes to them is none to the bot."""
        if state.handed_over:
            return Plan(text, heard, state)
        if state.rating_asked and text in RATINGS:
            return Plan(text, heard, replace(state, rating_asked=False), rating=int(text))
        return Plan(text, heard, hear(state, heard, self.pack))

    def _complete(self, turn: Turn, plan: Plan) -> None:
        """Take up an interrupted turn where it was going to ask the business system.

        It may have acted already, so the conversation does not go on before it has answered.
        """
        try:
            self._ask(plan)
            self._decide(turn, plan)
            draft = self._word(plan, turn.number)
        except (StorageError, BackendError):
            raise
        except Exception:  # the same would stop every later message of this conversation
            logger.exception("an interrupted turn cannot be completed, and ends without its execution")
            plan.give_up()
            draft = self.writer.fixed("backend_unavailable", turn.number)
        turn.finish(plan.record({}, draft))
        count_turn(plan, {})

    def _decide(self, turn: Turn, plan: Plan) -> None:
        """Let the policy act until it waits for the customer, or for a business system out of reach."""
        policy = self.policies.of(turn.conversation_id, plan.policy_version or turn.policy_version)
        while not plan.waits:
            self._look_up(plan)
            choice = policy.choose(plan.state)
            action = concrete(choice.action, plan.state)
            plan.add(choice, action, policy.version, self.pack)
            if action.kind in ("authenticate", "execute") and not self._execute(turn, plan, action):
                break

    def _look_up(self, plan: Plan) -> None:
        """What the customer has of what is still missing; without an answer the customer is asked for it."""
        if isinstance(self.backend, KnowsHoldings) and wants_holdings(plan.state, self.pack):
            try:
                found = self.backend.holdings(str(plan.state.customer_id))
            except BackendError as error:
                logger.warning("what the customer has is not known: %s", error)
                found = {}
            plan.state = take_holdings(plan.state, found, self.pack)

    def _execute(self, turn: Turn, plan: Plan, action: Action) -> bool:
        """Write down what is intended, and only then do it; False when no answer came."""
        task = action.argument or self.pack.domain.authentication.task
        wanted = self._slots_of(task)
        slots = {name: value.value for name, value in plan.state.slots.items() if name in wanted}
        if plan.state.customer_id is not None:
            slots[CUSTOMER_ID] = plan.state.customer_id
        try:
            key = self._settle(turn, plan, task, slots)
            if key is None:
                return True
            plan.intend(key, task, slots)
            turn.keep(plan.record({}))
            self._ask(plan)
        except (BackendError, Withdrawn):
            plan.give_up()
            return False
        return True

    def _settle(self, turn: Turn, plan: Plan, task: str, slots: Mapping[str, str]) -> str | None:
        """The key for a new execution, now that no earlier one can still happen beside it.

        None where one of which no answer came was done after all: then the customer hears of that first.
        What needs no yes may happen twice.
        """
        same, changes = None, task in self.pack.tasks and self.pack.tasks[task].confirm
        for call in turn.open_calls(task, plan.state.customer_id):
            if call.here and call.slots == slots:
                same = call.idempotency_key
            elif changes and plan.settle(call, task, self.backend.withdraw(call.idempotency_key), self.pack):
                return None
        return same or turn.idempotency_key(len(plan.executions) + 1)

    def _ask(self, plan: Plan) -> None:
        """Ask the business system for the last intention."""
        intended = plan.executions[-1]
        result = self.backend.execute(intended.task, intended.slots, intended.idempotency_key)
        plan.answer(result, self.pack)

    def _slots_of(self, task: str) -> set[str]:
        if task == self.pack.domain.authentication.task:
            return proof_slots(self.pack)
        return {*self.pack.tasks[task].slots, *self.pack.tasks[task].optional}

    def _word(self, plan: Plan, variant: int) -> Draft:
        if plan.rating is not None:
            return self.writer.fixed("rated", variant)
        if not plan.actions:
            return self.writer.fixed("with_colleague", variant)
        return self.writer.write(plan.actions, plan.state, variant)


def clean(text: str) -> str:
    """The message without control characters and outer space. Raises BadMessage."""
    kept = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs", "Cn", "Co"))
    kept = kept.strip()
    if not kept or all(unicodedata.category(c) in ("Cf", "Zs") for c in kept):
        raise BadMessage("That message is empty. Please type what you need.")
    if len(kept) > LONGEST_MESSAGE:
        raise BadMessage(
            f"That message has {len(kept):,} characters; I can read up to {LONGEST_MESSAGE:,}. "
            "Please send a shorter one."
        )
    return kept


class Stopwatch:
    """Milliseconds by stage of a turn."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.milliseconds[name] = round(1000 * (time.perf_counter() - start), 2)
