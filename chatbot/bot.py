"""The way of one message through the bot. Start reading here."""

import hashlib
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from chatbot.reply import TemplateReply
from dialog_policy.features import FEATURE_VERSION
from dialog_policy.policy import Policy
from dialog_policy.rules import concrete
from domains.backend import CUSTOMER_ID, Backend, BackendError
from domains.schema import Pack
from nlu.parser import Parser
from storage.actions import Action
from storage.conversations import ConversationStore
from storage.hearing import hear
from storage.records import Decision, Draft, Execution, Message, TurnRecord
from storage.state import DialogueState, act, proof_slots, record

LONGEST_MESSAGE = 4000


class BadMessage(ValueError):
    """A message that is not taken; the reason is fit for the customer."""


@dataclass
class Plan:
    """What the bot does in one turn."""

    state: DialogueState
    actions: list[Action] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)


class Chatbot:
    def __init__(
        self,
        pack: Pack,
        parser: Parser,
        policy: Policy,
        backend: Backend,
        writer: TemplateReply,
        store: ConversationStore,
    ) -> None:
        self.pack, self.parser, self.policy = pack, parser, policy
        self.backend, self.writer, self.store = backend, writer, store

    def start(self, visitor: str | None = None) -> str:
        """Open a conversation with a greeting; returns its id."""
        conversation_id = self.store.create(self.pack.name, visitor)
        self.store.say(conversation_id, self.writer.opening())
        return conversation_id

    def reply(
        self, conversation_id: str, text: str, client_message_id: str | None = None
    ) -> tuple[Message, ...]:
        """Answer a message; everything about the turn is committed at once, or not at all.

        The same client_message_id gives the same answer again and acts once. Raises BadMessage,
        UnknownConversation, StorageError.
        """
        text = clean(text)
        watch = Stopwatch()
        with self.store.turn(conversation_id, client_message_id) as turn:
            if turn.answered is not None:
                return turn.answered
            with watch.stage("understand"):
                heard = self.parser.parse(text, turn.state.recent, turn.state.asked)
            state = hear(turn.state, heard, self.pack)
            with watch.stage("decide"):
                plan = Plan(state) if state.handed_over else self._decide(conversation_id, state)
            with watch.stage("word"):
                draft = self._word(plan, turn.number)
            done = TurnRecord(
                text=text,
                understanding=heard,
                decisions=tuple(plan.decisions),
                executions=tuple(plan.executions),
                replies=(draft,),
                state=plan.state,
                latency_ms=watch.milliseconds,
            )
            return turn.finish(done)

    def _decide(self, conversation_id: str, state: DialogueState) -> Plan:
        """Let the policy act until it waits for the customer."""
        plan = Plan(state)
        while not plan.actions or not plan.actions[-1].waits:
            choice = self.policy.choose(plan.state)
            action = concrete(choice.action, plan.state)
            plan.actions.append(action)
            plan.decisions.append(
                Decision(
                    observation=tuple(choice.observation.tolist()),
                    feature_version=FEATURE_VERSION,
                    mask=tuple(choice.mask.tolist()),
                    action=str(action),
                    probability=choice.probability,
                    policy_version=self.policy.version,
                )
            )
            plan.state = act(plan.state, action, self.pack)
            if action.kind in ("authenticate", "execute") and not self._execute(
                conversation_id, action, plan
            ):
                break
        return plan

    def _execute(self, conversation_id: str, action: Action, plan: Plan) -> bool:
        """Ask the business system; False when it is out of reach, which leaves the task where it was."""
        task = action.argument or self.pack.domain.authentication.task
        slots = {
            name: value.value for name, value in plan.state.slots.items() if name in self._slots_of(task)
        }
        if plan.state.customer_id is not None:
            slots[CUSTOMER_ID] = plan.state.customer_id
        key = idempotency_key(conversation_id, plan.state.executions, task, slots)
        try:
            result = self.backend.execute(task, slots, key)
        except BackendError:
            plan.state = replace(plan.state, confirmation="none")
            return False
        plan.executions.append(Execution(key, task, slots, result.outcome, dict(result.facts)))
        plan.state = record(plan.state, task, result, self.pack)
        return True

    def _slots_of(self, task: str) -> set[str]:
        if task == self.pack.domain.authentication.task:
            return proof_slots(self.pack)
        return {*self.pack.tasks[task].slots, *self.pack.tasks[task].optional}

    def _word(self, plan: Plan, variant: int) -> Draft:
        if not plan.actions:
            return self.writer.fixed("with_colleague", variant)
        return self.writer.write(plan.actions, plan.state, variant)


def idempotency_key(conversation_id: str, executions: int, task: str, slots: dict[str, str]) -> str:
    """The same for a repeated attempt at the same execution, and for nothing else."""
    values = "|".join(f"{name}={value}" for name, value in sorted(slots.items()))
    digest = hashlib.sha256(values.encode()).hexdigest()[:16]
    return f"{conversation_id}:{executions}:{task}:{digest}"


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
