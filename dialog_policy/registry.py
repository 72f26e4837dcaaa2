"""Which policy decides in which conversation, as the database says: all servers follow it within seconds."""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import Engine

from dialog_policy.canary import find_fault
from dialog_policy.exploration import Exploration, Exploring, lot
from dialog_policy.features import FEATURE_VERSION
from dialog_policy.policy import (
    CONFIG,
    WEIGHTS,
    Choice,
    LearnedPolicy,
    Policy,
    PolicyError,
    build_policy,
    read_folder,
)
from domains.schema import Pack
from storage.faults import StorageError
from storage.policies import (
    SERVING,
    PolicyVersion,
    install,
    read_policies,
    read_weights,
    stop_canary,
)
from storage.state import DialogueState

FOLLOW_SECONDS = 2.0
"""How old the view of the registry may be at the begin of a turn."""
GUARD_SECONDS = 30.0
"""Between two looks at how a canary is doing."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """The registry as it was a moment ago."""

    live: LearnedPolicy
    canary: LearnedPolicy | None = None
    share: float = 0.0
    shadow: LearnedPolicy | None = None
    known: Mapping[str, PolicyVersion] = field(default_factory=dict)


class Shadowed:
    """A policy, and beside it one that only says what it would do."""

    def __init__(self, policy: Policy, shadow: LearnedPolicy) -> None:
        self.policy, self.shadow, self.version = policy, shadow, policy.version

    def choose(self, state: DialogueState) -> Choice:
        choice = self.policy.choose(state)
        return replace(choice, shadow=(self.shadow.version, self.shadow.choose(state).action))


class PolicyRegistry:
    """Safe to use from several threads. Raises PolicyError, StorageError where nothing can be served."""

    def __init__(
        self,
        engine: Engine,
        pack: Pack,
        exploration: Exploration | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine, self.pack = engine, pack
        self.exploration = exploration or Exploration()
        self._clock = clock
        self._loaded: dict[str, LearnedPolicy] = {}
        self._seen: set[str] = set()
        self._following = threading.Lock()
        self._view = self._read()
        self._read_at = self._guarded_at = clock()
        self._rng = random.Random()

    def of(self, conversation_id: str, version: str | None) -> Policy:
        """Who decides now in a conversation in which `version` has decided so far."""
        view = self._follow(news=version is not None and version not in self._seen)
        if version is not None:
            self._seen.add(version)  # also one that is in no registry: it is looked for once
        policy = self._assigned(view, conversation_id, version)
        chooser: Policy = policy
        if self.exploration.explores(conversation_id):
            chooser = Exploring(policy, self.exploration, self._rng)
        return chooser if view.shadow is None else Shadowed(chooser, view.shadow)

    def _assigned(self, view: View, conversation_id: str, version: str | None) -> LearnedPolicy:
        """A conversation keeps its policy, unless that was rolled back."""
        kept = view.known.get(version or "")
        if kept is not None and not kept.withdrawn:
            try:
                return self._load(kept)
            except PolicyError:  # of an earlier program: the conversation has outlived an upgrade
                return view.live
        if version is None and view.canary and lot(view.canary.version, conversation_id) < view.share:
            return view.canary
        return view.live

    def _follow(self, news: bool) -> View:
        """The view, read anew where it is too old; other threads meanwhile go on with the old one.

        `news` is that another server decided by a version which this one has not heard of: then it waits.
        """
        now = self._clock()
        if (news or now - self._read_at >= FOLLOW_SECONDS) and self._following.acquire(blocking=news):
            try:
                self._view = self._read()
                self._guard(now)
            except (StorageError, PolicyError) as error:
                logger.error("The policy registry cannot be followed, the last view stays: %s", error)
            finally:
                self._read_at = now
                self._following.release()
        return self._view

    def _read(self) -> View:
        known = {policy.version: policy for policy in read_policies(self.engine, self.pack.name)}
        self._seen |= known.keys()
        serving = {policy.status: policy for policy in known.values() if policy.status in SERVING}
        if "live" not in serving:
            raise PolicyError(f"No policy of pack '{self.pack.name}' is live; see: chatbot policies list")
        canary, shadow = serving.get("canary"), serving.get("shadow")
        return View(
            live=self._load(serving["live"]),
            canary=self._try(canary),
            share=canary.share if canary else 0.0,
            shadow=self._try(shadow),
            known=known,
        )

    def _try(self, policy: PolicyVersion | None) -> LearnedPolicy | None:
        """A policy without which it goes on as well."""
        try:
            return self._load(policy) if policy else None
        except (StorageError, PolicyError) as error:
            logger.error("A policy is left out: %s", error)
            return None

    def _load(self, policy: PolicyVersion) -> LearnedPolicy:
        if policy.version not in self._loaded:
            self._loaded[policy.version] = load_version(self.engine, policy, self.pack)
        return self._loaded[policy.version]

    def _guard(self, now: float) -> None:
        """Stop a canary that does worse than the live policy."""
        canary = self._view.canary
        if canary is None or now - self._guarded_at < GUARD_SECONDS:
            return
        self._guarded_at = now
        fault = find_fault(self.engine, self._view.known[canary.version], self._view.live.version)
        if fault and stop_canary(self.engine, canary.version, fault):
            logger.warning("Canary %s is stopped: %s", canary.version, fault)
            self._view = self._read()


def load_version(engine: Engine, policy: PolicyVersion, pack: Pack) -> LearnedPolicy:
    """Raises PolicyError, StorageError."""
    name = f"policy {policy.version!r} of the registry"
    return build_policy(
        {**policy.configuration, "version": policy.version},
        read_weights(engine, policy.version),
        pack,
        name,
        name,
    )


def from_folder(folder: Path, pack: Pack) -> tuple[PolicyVersion, bytes]:
    """What `storage.policies.add_policy` takes, checked to be whole. Raises PolicyError."""
    config, weights = read_folder(folder)
    policy = build_policy(config, weights, pack, str(folder / CONFIG), str(folder / WEIGHTS))
    return PolicyVersion(policy.version, pack.name, FEATURE_VERSION, config), weights


def install_shipped(engine: Engine, shipped: PolicyVersion, weights: bytes) -> None:
    """Make the shipped policy live where no other is, or where the live one is an earlier program's.

    A version that the team promoted stays.
    """
    replaced = install(engine, shipped, weights)
    if replaced:
        logger.warning("Policy %s is live in place of %s, which this program cannot use", *replaced)
