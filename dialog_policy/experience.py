"""Logged conversations as arrays to learn from and to judge by."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialog_policy.env import Reward
from dialog_policy.features import FEATURE_VERSION, feature_names
from dialog_policy.log_reward import LogReward, contradicts, learn_reward
from dialog_policy.rules import action_set
from domains.schema import Pack
from storage.actions import Action
from storage.logs import LogError, LoggedConversation

FEWEST = 30
"""Conversations below which nothing is learnt."""
LEAST_REPLAY = 3
"""Turns from which on an equal conversation is no coincidence: confidences have many digits."""
VISITOR_SHARE = 0.005
"""Of all conversations: what those of one visitor may weigh together, and at least VISITOR_FEW."""
VISITOR_FEW = 5


@dataclass(frozen=True)
class Experience:
    """Decisions of whole conversations, one after the other; `first[i]` is where conversation i begins."""

    observations: NDArray[np.float32]
    masks: NDArray[np.bool_]
    actions: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    rewards: NDArray[np.float64]
    final: NDArray[np.bool_]
    """The last decision of its conversation."""
    first: NDArray[np.int64]
    explored: NDArray[np.bool_]
    """By conversation."""
    weights: NDArray[np.float64]
    """By conversation: below one where its visitor has too many."""
    conversations: tuple[LoggedConversation, ...]

    def __len__(self) -> int:
        return len(self.first)

    @property
    def owner(self) -> NDArray[np.int64]:
        """(decisions,) the conversation of each."""
        return np.repeat(np.arange(len(self)), np.diff([*self.first, len(self.actions)]))

    @property
    def returns(self) -> NDArray[np.float64]:
        """(conversations,) the sum of the rewards of each."""
        return np.add.reduceat(self.rewards, self.first)

    def select(self, kept: NDArray[np.bool_]) -> "Experience":
        """The conversations marked in `kept`."""
        rows = kept[self.owner]
        lengths = np.diff([*self.first, len(self.actions)])[kept]
        return replace(
            self,
            observations=self.observations[rows],
            masks=self.masks[rows],
            actions=self.actions[rows],
            probabilities=self.probabilities[rows],
            rewards=self.rewards[rows],
            final=self.final[rows],
            first=np.cumsum([0, *lengths[:-1]]).astype(np.int64),
            explored=self.explored[kept],
            weights=self.weights[kept],
            conversations=tuple(c for c, k in zip(self.conversations, kept, strict=True) if k),
        )


@dataclass(frozen=True)
class Sifted:
    """What of a log can be used, and what was found wrong with it, in words."""

    conversations: tuple[LoggedConversation, ...]
    weights: tuple[float, ...]
    anomalies: tuple[str, ...]


def sift(found: Iterable[LoggedConversation], pack: Pack, now: datetime) -> Sifted:
    """Leave out what is unsettled, of an older schema or a replay; hold down who has too many.

    Raises LogError where too little is left, with the reason.
    """
    kept: list[LoggedConversation] = []
    seen: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    replays: Counter[str] = Counter()
    size, actions = len(feature_names(pack, action_set(pack))), action_set(pack)
    for conversation in found:
        problem = _problem(conversation, now, size, len(actions))
        if problem:
            left_out[problem] += 1
            continue
        mark = _fingerprint(conversation)
        if mark is not None and mark in seen:
            replays[seen[mark]] += 1
            continue
        if mark is not None:
            seen[mark] = conversation.id
        kept.append(conversation)
    if len(kept) < FEWEST:
        reasons = "; ".join(f"{count} {problem}" for problem, count in left_out.most_common()) or "no others"
        raise LogError(
            f"{len(kept)} conversations can be learnt from, at least {FEWEST} are needed ({reasons}); "
            "wait for more, or look at --since and --domain"
        )
    weights, floods = _weigh(kept)
    anomalies = [f"{count} conversations left out: {problem}" for problem, count in left_out.most_common()]
    if replays:
        worst, times = replays.most_common(1)[0]
        anomalies.append(
            f"{sum(replays.values())} conversations are exact replays of {len(replays)} others and were "
            f"dropped; {worst} alone was replayed {times} times"
        )
    return Sifted(tuple(kept), tuple(weights), (*anomalies, *floods, *_contradictions(kept)))


def gather(
    sifted: Sifted, pack: Pack, reward: Reward | None = None, learnt: LogReward | None = None
) -> tuple[Experience, LogReward]:
    """The arrays, and how the conversations were rewarded: as `learnt` before, or from their own ratings."""
    learnt = learnt or learn_reward(sifted.conversations, sifted.weights, reward or Reward())
    place = {str(action): index for index, action in enumerate(action_set(pack))}
    lengths = [sum(1 for _ in conversation.decisions) for conversation in sifted.conversations]
    decisions = [decision for conversation in sifted.conversations for decision in conversation.decisions]
    ends = np.cumsum(lengths)
    final = np.zeros(len(decisions), dtype=bool)
    final[ends - 1] = True
    return (
        Experience(
            observations=np.array([decision.observation for decision in decisions], dtype=np.float32),
            masks=np.array([decision.mask for decision in decisions], dtype=bool),
            actions=np.array([place[general(decision.action)] for decision in decisions], dtype=np.int64),
            probabilities=np.array([decision.probability for decision in decisions]),
            rewards=np.concatenate([learnt.rewards(conversation) for conversation in sifted.conversations]),
            final=final,
            first=np.concatenate([[0], ends[:-1]]).astype(np.int64),
            explored=np.array([_explored(conversation) for conversation in sifted.conversations]),
            weights=np.array(sifted.weights),
            conversations=sifted.conversations,
        ),
        learnt,
    )


def general(action: str) -> str:
    """The action as it stands in the action set: without an argument that only the state gives it."""
    read = Action.read(action)
    return str(read) if read.kind == "ask" else read.kind


def _explored(conversation: LoggedConversation) -> bool:
    """Whether other actions had a chance; a policy that always draws explores as well."""
    return any(decision.explored or decision.probability < 1 for decision in conversation.decisions)


def _problem(conversation: LoggedConversation, now: datetime, features: int, actions: int) -> str:
    decisions = list(conversation.decisions)
    if not decisions:
        return "without a decision"
    if not conversation.settled(now):
        return "still going on"
    versions = {decision.feature_version for decision in decisions}
    if versions != {FEATURE_VERSION}:
        return f"of feature version {min(versions)}, this program has {FEATURE_VERSION}"
    if any(len(d.observation) != features or len(d.mask) != actions for d in decisions):
        return "of a pack with other slots or tasks"
    return ""


def _fingerprint(conversation: LoggedConversation) -> str | None:
    """Of all that was heard and done; None for conversations so short that two may well be alike."""
    if len(conversation.turns) < LEAST_REPLAY:
        return None
    digest = hashlib.sha256()
    for decision in conversation.decisions:
        digest.update(repr((decision.observation, decision.action)).encode())
    return digest.hexdigest()


def _weigh(conversations: Sequence[LoggedConversation]) -> tuple[list[float], list[str]]:
    """A weight for each, and who was held down."""
    counts = Counter(c.visitor for c in conversations if c.visitor is not None)
    most = max(VISITOR_FEW, VISITOR_SHARE * len(conversations))
    weights = [min(1.0, most / counts[c.visitor]) if c.visitor is not None else 1.0 for c in conversations]
    floods = []
    for visitor, count in counts.most_common():
        if count <= most:
            break
        down = sum(c.rating < 0 for c in conversations if c.visitor == visitor)
        floods.append(
            f"visitor {_short(visitor)} has {count} of {len(conversations)} conversations, {down} of them "
            f"with thumbs down: they weigh as much as {most:.0f}"
        )
    return weights, floods


def _contradictions(conversations: Sequence[LoggedConversation]) -> list[str]:
    """Ratings that cannot be meant; a few are slips, many are tampering or a fault."""
    rated = [c for c in conversations if c.rating]
    against = sum(map(contradicts, rated))
    if against <= max(3, 0.03 * len(rated)):
        return []
    return [
        f"{against} of {len(rated)} ratings contradict how their conversations ended (thumbs up after the "
        "customer left, thumbs down after all was done): they are not believed, and others may be flipped too"
    ]


def _short(visitor: str | None) -> str:
    """A name for the report; the visitor's own token opens conversations."""
    return hashlib.sha256(str(visitor).encode()).hexdigest()[:8]


def summary(experience: Experience) -> dict[str, Any]:
    conversations = experience.conversations
    return {
        "conversations": len(conversations),
        "decisions": len(experience.actions),
        "explored": int(experience.explored.sum()),
        "rated": sum(1 for c in conversations if c.rating),
        "since": min(c.began for c in conversations).isoformat(),
        "until": max(c.last for c in conversations).isoformat(),
        "mean_reward": float(np.average(experience.returns, weights=experience.weights)),
    }
