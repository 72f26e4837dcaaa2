"""What the bot does in one turn, as far as it has come."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dialog_policy.policy import Choice
from domains.backend import ActionResult
from domains.schema import Pack
from nlu.understanding import Understanding
from storage.actions import Action
from storage.records import WITHDRAWN, Decision, Draft, Execution, OpenCall, TurnRecord
from storage.state import DialogueState, act, record


@dataclass
class Plan:
    text: str
    heard: Understanding
    state: DialogueState
    actions: list[Action] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    rating: int | None = None
    """Of the colleague who resolved the conversation, where this message was one."""

    @classmethod
    def of(cls, kept: TurnRecord) -> "Plan":
        """The plan of a turn that was interrupted, as it stood then."""
        actions = [Action.read(decision.action) for decision in kept.decisions]
        decisions, executions = list(kept.decisions), list(kept.executions)
        return cls(kept.text, kept.understanding, kept.state, actions, decisions, executions)

    @property
    def policy_version(self) -> str | None:
        """Which policy has decided in this turn."""
        return self.decisions[-1].policy_version if self.decisions else None

    @property
    def waits(self) -> bool:
        """Whether it is the customer's turn again."""
        return bool(self.actions) and self.actions[-1].waits

    def add(self, choice: Choice, action: Action, policy_version: str, pack: Pack) -> None:
        self.actions.append(action)
        self.decisions.append(choice.logged(action, policy_version))
        self.state = act(self.state, action, pack)

    def intend(self, key: str, task: str, slots: Mapping[str, str]) -> None:
        self.executions.append(Execution(key, task, slots))

    def answer(self, result: ActionResult, pack: Pack) -> None:
        """Take in what came of the last intention."""
        done = replace(self.executions[-1], outcome=result.outcome, facts=dict(result.facts))
        self.executions[-1] = done
        self.state = record(self.state, done.task, result, pack)

    def settle(self, call: OpenCall, task: str, result: ActionResult | None, pack: Pack) -> bool:
        """Take in what came of an earlier call; True where it was done, and the customer is told that."""
        outcome, facts = (result.outcome, result.facts) if result else (WITHDRAWN, {})
        self.executions.append(Execution(call.idempotency_key, task, call.slots, outcome, dict(facts)))
        if result is None or result.outcome != "done":
            return False
        self.state = record(self.state, task, result, pack, earlier=True)
        return True

    def give_up(self) -> None:
        """Leave the last intention without an answer, and the task where it was: it needs a new yes."""
        self.state = replace(self.state, confirmation="none")

    def record(self, latency_ms: Mapping[str, float], *replies: Draft) -> TurnRecord:
        return TurnRecord(
            text=self.text,
            understanding=self.heard,
            decisions=tuple(self.decisions),
            executions=tuple(self.executions),
            replies=replies,
            state=self.state,
            latency_ms=latency_ms,
            rating=self.rating,
        )
