"""Why the bot did what it did in a turn: what it heard, by which words, what it might do, how it said it."""

import difflib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Engine

from chatbot.bot import Chatbot
from chatbot.desk import HIDDEN, SHORTEST_SECRET, hide
from dialog_policy.features import FEATURE_VERSION, observe
from dialog_policy.policy import LearnedPolicy, PolicyError
from dialog_policy.registry import load_version
from dialog_policy.rules import action_set, concrete, refusals
from domains.backend import ActionResult, Holding
from domains.schema import OUT_OF_SCOPE, Pack
from nlu import explanation as nlu_explanation
from nlu.parser import Parser, load_parser
from nlu.understanding import IntentScore, Understanding
from storage.actions import Action
from storage.hearing import hear
from storage.holdings import take_holdings, wants_holdings
from storage.played import PlayedTurn, look_at
from storage.policies import read_policies
from storage.records import WITHDRAWN, Decision, Execution
from storage.staff import Staff
from storage.state import DialogueState, act, record

ALIKE = 0.1
"""How far the probability of an intent may be from the logged one before the NLU counts as another."""
MADE_BY: Mapping[str, str] = {
    "template": "a phrasing of the pack; its values are those of the business system and of the conversation",
}


@dataclass(frozen=True)
class Option:
    """One thing that the bot might have done."""

    action: str
    forbidden: str
    """Why, in words; empty where it was allowed."""
    probability: float | None
    """That the policy gives it when it draws, as in training; None where that cannot be computed any more."""


@dataclass(frozen=True)
class Step:
    decision: Decision
    options: tuple[Option, ...]
    """The allowed ones first, the likeliest of them first."""
    doubt: str
    """Why the reasons cannot be told; empty where they can."""


@dataclass(frozen=True)
class Explanation:
    """Of one turn. What identifies the customer is hidden."""

    conversation_id: str
    turn: int
    turns: int
    text: str
    intents: tuple[IntentScore, ...]
    """As they were logged, the likeliest first; with what is out of scope."""
    values: tuple[tuple[str, str, float], ...]
    """Slot, what was written, confidence."""
    words: tuple[str, ...]
    """Those that were read, as they may be shown; a column each in `nlu`."""
    respelt: bool
    """Whether they are spelt as they may be meant, and not as they were written."""
    nlu: nlu_explanation.Explanation | None
    """By the model that serves now; None where it was not read from a folder."""
    changed: bool
    """Whether that model hears something else than was logged."""
    steps: tuple[Step, ...]
    executions: tuple[tuple[str, str], ...]
    """Task and outcome."""
    replies: tuple[tuple[str, str], ...]
    """Text, and how it was made."""


class Explainer:
    """Safe to use from several threads. The model with gradients is loaded when the first one asks."""

    def __init__(self, bot: Chatbot) -> None:
        self.bot, self.pack = bot, bot.pack
        self._parser: Parser | None = None
        self._loading = threading.Lock()

    @property
    def engine(self) -> Engine:
        return self.bot.store.engine

    def explain(self, conversation_id: str, turn: int, staff: Staff) -> Explanation:
        """Raises StorageError, ModelError. That `staff` looked is in the audit."""
        played = look_at(self.engine, self.pack.name, conversation_id, turn, staff)
        kept = played.record
        secrets = _secrets(played, self.pack)
        parser, read = self._full_precision(), kept.understanding.read_as or kept.text
        before = (played.before.recent, played.before.asked, played.before.past)
        nlu = nlu_explanation.explain(parser, read, *before) if parser else None
        return Explanation(
            conversation_id=conversation_id,
            turn=turn,
            turns=played.turns,
            text=hide(kept.text, secrets),
            intents=_scores(kept.understanding),
            values=tuple(
                (
                    self.pack.slots[one.slot].label,
                    shown_words(kept.text, [(one.start, one.end)], secrets)[0],
                    one.confidence,
                )
                for one in kept.understanding.entities
                if one.slot in self.pack.slots
            ),
            words=shown_words(read, nlu.spans, secrets) if nlu else (),
            respelt=bool(kept.understanding.read_as),
            nlu=nlu,
            changed=parser is not None and _differs(parser.parse(kept.text, *before), kept.understanding),
            steps=self._decide(played),
            executions=tuple((one.task, one.outcome or "no answer") for one in kept.executions),
            replies=tuple(
                (hide(one.text, secrets), hide(how_made(one.made_by), secrets)) for one in kept.replies
            ),
        )

    def _full_precision(self) -> Parser | None:
        """The model that serves, with gradients; None where it was not read from a folder."""
        folder = self.bot.parser.folder
        if folder is None:
            return None
        with self._loading:
            if self._parser is None:
                self._parser = load_parser(folder, self.pack, full_precision=True)
            return self._parser

    def _decide(self, played: PlayedTurn) -> tuple[Step, ...]:
        """The turn's decisions; the states in which they were taken are found by playing it again."""
        state = hear(played.before, played.record.understanding, self.pack)
        answers = list(played.record.executions)
        steps = []
        doubt = ""
        for decision in played.record.decisions:
            if wants_holdings(state, self.pack):
                state = take_holdings(state, _held(played), self.pack)
            doubt = doubt or self._doubt(state, decision)
            steps.append(Step(decision, self._options(state, decision, doubt), doubt))
            if not doubt:
                state = self._after(state, Action.read(decision.action), answers)
        return tuple(steps)

    def _doubt(self, state: DialogueState, decision: Decision) -> str:
        actions = action_set(self.pack)
        if decision.feature_version != FEATURE_VERSION or len(decision.mask) != len(actions):
            return "The pack or the program has other actions now."
        seen = observe(state, self.pack, actions)
        allowed = [not why for why in refusals(state, self.pack, actions)]
        if allowed != list(decision.mask) or not np.allclose(seen, decision.observation, atol=1e-4):
            return (
                "The state in which this was decided cannot be found again: a colleague or the portal "
                "changed it in between, or the rules are others now."
            )
        return ""

    def _options(self, state: DialogueState, decision: Decision, doubt: str) -> tuple[Option, ...]:
        actions = action_set(self.pack)
        if len(decision.mask) != len(actions):
            return ()
        policy = self._policy(decision.policy_version)
        shares: Sequence[float | None] = [None] * len(actions)
        if policy is not None and decision.feature_version == FEATURE_VERSION:
            observation = np.array(decision.observation, dtype=np.float32)
            shares = policy.probabilities(observation, np.array(decision.mask)).tolist()
        reasons = refusals(state, self.pack, actions) if not doubt else ["not known any more"] * len(actions)
        options = [
            Option(
                str(concrete(action, state) if not doubt else action), "" if ok else why, share if ok else 0.0
            )
            for action, ok, why, share in zip(actions, decision.mask, reasons, shares, strict=True)
        ]
        return tuple(sorted(options, key=lambda one: (bool(one.forbidden), -(one.probability or 0.0))))

    def _policy(self, version: str) -> LearnedPolicy | None:
        """The version that decided, where the registry has it and this program can use it."""
        known = {policy.version: policy for policy in read_policies(self.engine, self.pack.name)}
        try:
            return load_version(self.engine, known[version], self.pack) if version in known else None
        except PolicyError:
            return None

    def _after(self, state: DialogueState, action: Action, answers: list[Execution]) -> DialogueState:
        state = act(state, action, self.pack)
        if action.kind in ("authenticate", "execute") and answers:
            done = answers.pop(0)
            if done.outcome == WITHDRAWN and answers:  # an earlier call, which was settled first
                done = answers.pop(0)
            if done.outcome is None:
                return replace(state, confirmation="none")
            state = record(state, done.task, ActionResult(done.outcome, dict(done.facts)), self.pack)
        return state


def _held(played: PlayedTurn) -> dict[str, list[Holding]]:
    """What the business system said in that turn that the customer has."""
    held = played.record.state.held.items()
    return {name: [Holding(*one) for one in values.items()] for name, values in held}


def how_made(made_by: str) -> str:
    return MADE_BY.get(made_by, made_by or "not known")


def _secrets(played: PlayedTurn, pack: Pack) -> set[str]:
    """Sensitive values, as they were written in this turn and as they are known."""
    values = [(one.slot, one.text) for one in played.record.understanding.entities]
    for state in (played.before, played.record.state):
        values += [(name, known.value) for name, known in (*state.slots.items(), *state.tried.items())]
    secrets = {value for name, value in values if name in pack.slots and pack.slots[name].sensitive}
    return {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}


def shown_words(text: str, spans: Sequence[tuple[int, int]], secrets: set[str]) -> tuple[str, ...]:
    """The words of `text` that `hide` leaves as they are; the others hidden as a whole."""
    hidden = hide(text, secrets)
    kept = difflib.SequenceMatcher(None, text, hidden, autojunk=False).get_matching_blocks()
    whole = [(block.a, block.a + block.size) for block in kept]
    return tuple(
        text[start:end] if any(a <= start and end <= b for a, b in whole) else HIDDEN for start, end in spans
    )


def _scores(heard: Understanding) -> tuple[IntentScore, ...]:
    outside = IntentScore(OUT_OF_SCOPE, heard.out_of_scope)
    return tuple(sorted((*heard.intents, outside), key=lambda score: -score.probability))


def _differs(now: Understanding, heard: Understanding) -> bool:
    then = {score.intent: score.probability for score in _scores(heard)}
    likeliest = _scores(now)[0]
    return abs(then.get(likeliest.intent, 0.0) - likeliest.probability) > ALIKE


def as_json(explanation: Explanation) -> dict[str, Any]:
    """Plain JSON values."""
    found = asdict(explanation)
    nlu = found["nlu"]
    if nlu is not None:
        found["nlu"] = {
            name: one.tolist() if isinstance(one, np.ndarray) else one for name, one in nlu.items()
        }
    return found
