"""Policies by the names that commands take, and the errors in which they are simulated."""

from pathlib import Path

from sqlalchemy import Engine

from chatbot.settings import Settings
from dialog_policy.policy import LearnedPolicy, load_policy
from dialog_policy.population import Population
from dialog_policy.registry import load_version
from domains.schema import Pack
from nlu.errors import NluErrors, load_errors
from storage.policies import PolicyVersion, UnknownPolicy, read_policies


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
