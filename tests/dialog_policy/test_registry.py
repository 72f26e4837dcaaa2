"""Which policy decides where: followed without a restart, kept by conversations, guarded, shadowed."""

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sqlalchemy import Engine, update

from dialog_policy.canary import compare
from dialog_policy.exploration import FINAL, Exploration
from dialog_policy.features import feature_names
from dialog_policy.policy import LearnedPolicy, PolicyError, actor, configuration, save_policy, weights_of
from dialog_policy.registry import (
    FOLLOW_SECONDS,
    GUARD_SECONDS,
    PolicyRegistry,
    from_folder,
    install_shipped,
)
from dialog_policy.rules import action_set
from domains.schema import Pack
from storage.batch import write_conversations
from storage.database import open_database, transaction
from storage.migration import upgrade
from storage.outcomes import Outcomes
from storage.policies import PolicyVersion, add_policy, promote, read_policies, rollback
from storage.state import DialogueState
from storage.tables import PolicyRow
from tests.storage.test_logs import held


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'chatbot.db'}")
    upgrade(engine)
    yield engine
    engine.dispose()


def a_policy(pack: Pack, version: str, seed: int = 0) -> LearnedPolicy:
    """Untrained; it ends no conversation."""
    torch.manual_seed(seed)
    actions = action_set(pack)
    network = actor([len(feature_names(pack, actions)), 8, len(actions)])
    last = network[-1]
    assert isinstance(last, torch.nn.Linear)
    with torch.no_grad():
        last.bias -= torch.tensor([100.0 * (action.kind in FINAL) for action in actions])
    return LearnedPolicy(network, pack, version)


def add(engine: Engine, policy: LearnedPolicy) -> None:
    config = configuration(policy, {})
    version = PolicyVersion(policy.version, policy.pack.name, config["feature_version"], config)
    add_policy(engine, version, weights_of(policy), "ann")


@pytest.fixture
def registry(engine: Engine, pack: Pack, clock: Clock) -> PolicyRegistry:
    for place, name in enumerate(("one", "two", "three")):
        add(engine, a_policy(pack, name, place))
    promote(engine, pack.name, "one", "ann")
    return PolicyRegistry(engine, pack, clock=clock)


def test_that_a_promotion_is_followed_within_seconds_by_new_conversations(
    registry: PolicyRegistry, clock: Clock
) -> None:
    promote(registry.engine, registry.pack.name, "two", "ann")
    assert registry.of("new", None).version == "one"
    clock.now = FOLLOW_SECONDS
    assert registry.of("new", None).version == "two"


def test_that_a_conversation_keeps_its_policy_after_a_promotion(
    registry: PolicyRegistry, clock: Clock
) -> None:
    promote(registry.engine, registry.pack.name, "two", "ann")
    clock.now = FOLLOW_SECONDS
    assert registry.of("begun", "one").version == "one"


def test_that_a_rollback_also_takes_the_conversations_that_began_with_it(
    registry: PolicyRegistry, clock: Clock
) -> None:
    promote(registry.engine, registry.pack.name, "two", "ann")
    rollback(registry.engine, registry.pack.name, "ann")
    clock.now = FOLLOW_SECONDS
    assert registry.of("begun", "two").version == "one"


def test_that_a_server_that_has_not_followed_yet_keeps_what_another_server_began(
    registry: PolicyRegistry, pack: Pack
) -> None:
    add(registry.engine, a_policy(pack, "brand new"))
    promote(registry.engine, pack.name, "brand new", "ann")
    assert registry.of("begun elsewhere", "brand new").version == "brand new"


def test_that_a_version_of_no_registry_gives_way_to_the_live_one(registry: PolicyRegistry) -> None:
    assert registry.of("of old", "rules").version == "one"


def test_that_a_canary_takes_its_share_and_keeps_its_conversations(
    registry: PolicyRegistry, clock: Clock
) -> None:
    promote(registry.engine, registry.pack.name, "two", "ann", "canary", 0.3)
    clock.now = FOLLOW_SECONDS
    names = [f"c{number}" for number in range(1000)]
    first = [registry.of(name, None).version for name in names]
    assert 250 < Counter(first)["two"] < 350
    assert [registry.of(name, None).version for name in names] == first
    assert [registry.of(name, version).version for name, version in zip(names, first, strict=True)] == first


def test_that_weights_which_cannot_be_loaded_leave_the_last_view(
    registry: PolicyRegistry, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with transaction(registry.engine, write=True) as session:
        session.execute(update(PolicyRow).where(PolicyRow.version == "two").values(weights=b"damaged"))
    promote(registry.engine, registry.pack.name, "two", "ann")
    clock.now = FOLLOW_SECONDS
    assert registry.of("new", None).version == "one"
    assert "damaged" in caplog.text


def test_that_the_last_view_stays_while_the_database_is_away(registry: PolicyRegistry, clock: Clock) -> None:
    with transaction(registry.engine, write=True) as session:
        session.connection().exec_driver_sql("ALTER TABLE policies RENAME TO gone")
    clock.now = FOLLOW_SECONDS
    assert registry.of("new", None).version == "one"


def test_that_nothing_is_served_where_nothing_is_live(engine: Engine, pack: Pack) -> None:
    with pytest.raises(PolicyError, match="is live"):
        PolicyRegistry(engine, pack)


def test_that_a_shadow_says_what_it_would_do_and_does_nothing(registry: PolicyRegistry, clock: Clock) -> None:
    state = DialogueState(turn=1)
    alone = registry.of("c", None).choose(state)
    promote(registry.engine, registry.pack.name, "two", "ann", "shadow")
    clock.now = FOLLOW_SECONDS
    policy = registry.of("c", None)
    choice = policy.choose(state)
    assert (policy.version, choice.action) == ("one", alone.action)
    assert choice.shadow is not None
    assert choice.shadow[0] == "two"
    logged = choice.logged(choice.action, policy.version)
    assert (logged.shadow_version, logged.shadow_action) == ("two", str(choice.shadow[1]))


def test_that_exploration_is_off_unless_asked_for(registry: PolicyRegistry, clock: Clock) -> None:
    assert not registry.of("c", None).choose(DialogueState(turn=1)).explored
    exploring = PolicyRegistry(registry.engine, registry.pack, Exploration(1.0), clock)
    assert exploring.of("c", None).choose(DialogueState(turn=1)).explored


def test_that_a_canary_that_hands_over_too_often_is_stopped(
    registry: PolicyRegistry, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    engine, name = registry.engine, registry.pack.name
    promote(engine, name, "two", "ann", "canary", 0.5)
    clock.now = FOLLOW_SECONDS
    assert registry.of("c", "two").version == "two"
    with transaction(engine, write=True) as session:  # it has been running for long
        long_ago = held("x").began.replace(year=2020)
        session.execute(update(PolicyRow).where(PolicyRow.version == "two").values(served_at=long_ago))
    write_conversations(engine, name, [by("one", f"live{n}", closed=True) for n in range(60)])
    write_conversations(engine, name, [by("two", f"canary{n}", handed_over=n % 2 == 0) for n in range(60)])
    clock.now += GUARD_SECONDS
    registry.of("c", "two")
    assert "handed over to a person" in caplog.text
    clock.now += FOLLOW_SECONDS
    assert registry.of("c", "two").version == "one"
    assert {p.version: p.withdrawn for p in read_policies(engine, name)}["two"]


def by(version: str, name: str, **state: bool) -> "object":
    conversation = held(name, **state)
    turns = tuple(
        replace(t, decisions=tuple(replace(d, policy_version=version) for d in t.decisions))
        for t in conversation.turns
    )
    return replace(conversation, turns=turns)


@pytest.mark.parametrize(
    ("canary", "live", "fault"),
    [
        (Outcomes(200, 20, 10, 5), Outcomes(1000, 100, 50, 25), ""),
        (Outcomes(200, 60, 10, 5), Outcomes(1000, 100, 50, 25), "handed over"),
        (Outcomes(200, 20, 40, 5), Outcomes(1000, 100, 50, 25), "left by the customer"),
        (Outcomes(200, 20, 10, 40), Outcomes(1000, 100, 50, 25), "thumbs down"),
        (Outcomes(10, 10, 0, 0), Outcomes(1000, 100, 50, 25), ""),
    ],
)
def test_that_the_guard_looks_at_each_figure_once_there_are_enough(
    canary: Outcomes, live: Outcomes, fault: str
) -> None:
    found = compare(canary, live)
    assert fault in found
    assert bool(found) == bool(fault)


def test_that_the_shipped_policy_is_installed_from_its_folder(
    engine: Engine, pack: Pack, tmp_path: Path
) -> None:
    save_policy(a_policy(pack, "shipped"), tmp_path / "policy", {})
    install_shipped(engine, *from_folder(tmp_path / "policy", pack))
    assert PolicyRegistry(engine, pack).of("c", None).version == "shipped"


def test_that_a_folder_with_a_broken_file_enters_no_registry(pack: Pack, tmp_path: Path) -> None:
    save_policy(a_policy(pack, "v"), tmp_path, {})
    weights = tmp_path / "policy.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(PolicyError, match="broken file"):
        from_folder(tmp_path, pack)


def test_that_what_is_loaded_from_the_registry_decides_as_it_did_before(
    registry: PolicyRegistry, pack: Pack
) -> None:
    before = a_policy(pack, "one", 0)
    state = DialogueState(turn=1, failures=1)
    served = registry.of("c", None).choose(state)
    assert served.action == copy.copy(before).choose(state).action
