"""Policies by the names that commands take, and the errors in which they are simulated."""

from pathlib import Path
from typing import Literal

from sqlalchemy import Engine

from chatbot.settings import Settings
from dialog_policy.policy import LearnedPolicy, load_policy
from dialog_policy.population import Population
from dialog_policy.registry import load_version
from domains.schema import Pack
from nlu.errors import NluErrors, load_errors
from storage.faults import StorageError
from storage.policies import PolicyVersion, UnknownPolicy, promote, read_policies


def live_policy(engine: Engine, settings: Settings, pack: Pack) -> LearnedPolicy:
    """What the database says is live; where no server has begun yet, the shipped policy."""
    live = [policy for policy in read_policies(engine, pack.name) if policy.status == "live"]
    return load_version(engine, live[0], pack) if live else load_policy(settings.models / "policy", pack)


def find_version(engine: Engine, version: str, pack: Pack) -> PolicyVersion:
    """Raises UnknownPolicy."""
    found = [policy for policy in read_policies(engine, pack.name) if policy.version == version]
    if not found:
        raise UnknownPolicy(version, pack.name)
    return found[0]


def let_serve(
    engine: Engine,
    pack: Pack,
    version: str,
    actor: str,
    to: Literal["live", "canary", "shadow"] = "live",
    share: float = 0.0,
    reason: str = "",
    *,
    force: bool = False,
) -> None:
    """Promote a version that can be loaded and, unless it is tried out, that the judge found better.

    Raises PolicyError, StorageError.
    """
    policy = find_version(engine, version, pack)
    load_version(engine, policy, pack)  # what cannot be loaded is refused before anything changes
    verdict = policy.figures.get("verdict", "better")
    if to == "live" and verdict != "better" and not force and policy.served_at is None:
        raise StorageError(
            f"The judge's word on policy {version!r} is: {verdict}; try it as a canary or in the shadow "
            "(--canary 0.1, --shadow), or insist (--force)"
        )
    promote(engine, pack.name, version, actor, to, share, reason)


def named_policy(name: str, settings: Settings, pack: Pack, engine: Engine | None) -> LearnedPolicy:
    """`live`, a folder, or with a database the version of that name."""
    if name == "live":
        if engine is not None:
            return live_policy(engine, settings, pack)
        return load_policy(settings.models / "policy", pack)
    if engine is not None and not Path(name).is_dir():
        return load_version(engine, find_version(engine, name, pack), pack)
    return load_policy(Path(name), pack)


def errors_for(settings: Settings, population: Population, rate: float | None, pack: Pack) -> NluErrors:
    """The errors of a population, or of a uniform `rate` in place of them."""
    if rate is None:
        if isinstance(population.nlu, str):
            return load_errors(settings.models / "nlu")
        rate = population.nlu
    return NluErrors.uniform(rate, list(pack.intents))
