"""The registry in SQL: one live version at every moment, whoever promotes and whatever crashes."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, update
from sqlalchemy.exc import IntegrityError

from storage.audit import entries
from storage.database import transaction
from storage.faults import StorageError
from storage.policies import (
    PolicyVersion,
    UnknownPolicy,
    add_policy,
    install,
    promote,
    read_policies,
    read_weights,
    rollback,
    stop_canary,
)
from storage.tables import PolicyRow

PACK = "banking"


def a_version(name: str, **about: Any) -> PolicyVersion:
    return PolicyVersion(name, PACK, 2, {"sizes": [1, 2]}, **about)


@pytest.fixture
def registry(engine: Engine) -> Engine:
    """With `one` live, `two` and `three` candidates."""
    for name in ("one", "two", "three"):
        add_policy(engine, a_version(name), name.encode(), "ann")
    promote(engine, PACK, "one", "ann")
    return engine


def statuses(engine: Engine) -> dict[str, str]:
    return {policy.version: policy.status for policy in read_policies(engine, PACK)}


def test_that_a_new_version_is_a_candidate_with_all_that_is_known_of_it(registry: Engine) -> None:
    figures = {"gain": {"value": 1.5}, "verdict": "better"}
    add_policy(registry, a_version("four", parent="one", figures=figures), b"four", "ann")
    added = read_policies(registry, PACK)[-1]
    assert (added.status, added.parent, added.figures, added.configuration) == (
        "candidate",
        "one",
        figures,
        {"sizes": [1, 2]},
    )
    assert read_weights(registry, "four") == b"four"


def test_that_a_promotion_retires_who_was_live(registry: Engine) -> None:
    promote(registry, PACK, "two", "ann", reason="better")
    assert statuses(registry) == {"one": "retired", "two": "live", "three": "candidate"}
    assert [(e.action, e.object, e.reason) for e in entries(registry, 1)] == [
        ("policies.live", "two", "better")
    ]


def test_that_a_rollback_brings_the_one_before_back(registry: Engine) -> None:
    promote(registry, PACK, "two", "ann")
    assert rollback(registry, PACK, "ann") == ("two", "one")
    assert statuses(registry) == {"one": "live", "two": "retired", "three": "candidate"}
    assert {p.version for p in read_policies(registry, PACK) if p.withdrawn} == {"two"}


def test_that_rollbacks_go_back_step_by_step_and_end(registry: Engine) -> None:
    promote(registry, PACK, "two", "ann")
    promote(registry, PACK, "three", "ann")
    assert rollback(registry, PACK, "ann") == ("three", "two")
    assert rollback(registry, PACK, "ann") == ("two", "one")
    with pytest.raises(StorageError, match="nothing to roll back to"):
        rollback(registry, PACK, "ann")
    assert statuses(registry)["one"] == "live"


def test_that_a_version_rolled_back_can_be_promoted_again(registry: Engine) -> None:
    promote(registry, PACK, "two", "ann")
    rollback(registry, PACK, "ann")
    promote(registry, PACK, "two", "ann")
    assert [(p.version, p.withdrawn) for p in read_policies(registry, PACK) if p.status == "live"] == [
        ("two", False)
    ]


def test_that_a_canary_runs_beside_the_live_version_and_is_rolled_back_first(registry: Engine) -> None:
    promote(registry, PACK, "two", "ann", "canary", 0.1)
    assert statuses(registry) == {"one": "live", "two": "canary", "three": "candidate"}
    assert rollback(registry, PACK, "ann") == ("two", "one")
    assert statuses(registry) == {"one": "live", "two": "retired", "three": "candidate"}


def test_that_a_canary_is_stopped_once(registry: Engine) -> None:
    promote(registry, PACK, "two", "ann", "canary", 0.1)
    assert stop_canary(registry, "two", "worse")
    assert not stop_canary(registry, "two", "worse")
    assert entries(registry, 1)[0].reason == "worse"


def test_that_a_canary_made_live_is_no_canary_any_more(registry: Engine) -> None:
    promote(registry, PACK, "two", "ann", "canary", 0.1)
    promote(registry, PACK, "two", "ann")
    (live,) = [p for p in read_policies(registry, PACK) if p.status == "live"]
    assert (live.version, live.share) == ("two", 0.0)


@pytest.mark.parametrize("version", ["nobody", "one"])
def test_that_a_promotion_of_nobody_or_of_the_live_version_is_refused(registry: Engine, version: str) -> None:
    before = statuses(registry)
    with pytest.raises(UnknownPolicy if version == "nobody" else StorageError):
        promote(registry, PACK, version, "ann")
    assert statuses(registry) == before


def test_that_a_version_is_added_once(registry: Engine) -> None:
    with pytest.raises(StorageError, match="already"):
        add_policy(registry, a_version("one"), b"other", "ann")
    assert read_weights(registry, "one") == b"one"


def test_that_the_database_itself_refuses_a_second_live_version(registry: Engine) -> None:
    with pytest.raises(IntegrityError), transaction(registry, write=True) as session:
        session.execute(update(PolicyRow).where(PolicyRow.version == "two").values(status="live"))
    assert statuses(registry)["two"] == "candidate"


def test_that_a_crash_in_the_middle_of_a_promotion_leaves_the_old_version_live(
    registry: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("storage.policies.note", die)
    with pytest.raises(KeyboardInterrupt):
        promote(registry, PACK, "two", "ann")
    assert statuses(registry) == {"one": "live", "two": "candidate", "three": "candidate"}


def test_that_of_many_promotions_at_once_one_is_the_last(registry: Engine) -> None:
    def attempt(name: str) -> None:
        with contextlib.suppress(StorageError):  # live already
            promote(registry, PACK, name, name)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(attempt, ["one", "two", "three"] * 8))
    with transaction(registry) as session:
        live = session.scalar(select(func.count()).where(PolicyRow.status == "live"))
    assert live == 1


def test_that_damaged_weights_are_refused(registry: Engine) -> None:
    with transaction(registry, write=True) as session:
        session.execute(update(PolicyRow).where(PolicyRow.version == "one").values(weights=b"xxx"))
    with pytest.raises(StorageError, match="'one' are damaged"):
        read_weights(registry, "one")


def test_that_packs_have_their_own_live_versions(registry: Engine) -> None:
    add_policy(registry, PolicyVersion("other", "library", 2, {}), b"", "ann")
    promote(registry, "library", "other", "ann")
    assert statuses(registry)["one"] == "live"


# ── the program's own policy ──


def test_that_the_first_server_makes_the_shipped_policy_live(engine: Engine) -> None:
    assert install(engine, a_version("shipped"), b"s") is None
    assert install(engine, a_version("shipped"), b"s") is None
    assert statuses(engine) == {"shipped": "live"}


def test_that_servers_that_start_at_once_agree(engine: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: install(engine, a_version("shipped"), b"s"), range(8)))
    assert statuses(engine) == {"shipped": "live"}


def test_that_a_newly_shipped_policy_replaces_an_older_shipped_one(engine: Engine) -> None:
    install(engine, a_version("shipped"), b"old")
    install(engine, a_version("shipped"), b"new")
    (live,) = [p for p in read_policies(engine, PACK) if p.status == "live"]
    assert live.version.startswith("shipped.")
    assert read_weights(engine, live.version) == b"new"


def test_that_what_the_team_promoted_stays(registry: Engine) -> None:
    install(registry, a_version("shipped"), b"s")
    assert statuses(registry)["one"] == "live"


def test_that_a_live_policy_which_this_program_cannot_use_gives_way(registry: Engine) -> None:
    newer = PolicyVersion("shipped", PACK, 3, {})
    assert install(registry, newer, b"s") == ("shipped", "one")
    assert statuses(registry)["one"] == "retired"
