"""The commands that train and evaluate the dialogue policy."""

from pathlib import Path
from typing import Annotated

import typer

from chatbot.options import Domain, read_settings
from chatbot.output import Json, show
from chatbot.settings import Settings
from dialog_policy.env import DialogueEnv
from dialog_policy.evaluate import evaluate
from dialog_policy.policy import Policy, RulePolicy, load_policy
from dialog_policy.population import Population, load_population
from dialog_policy.train import TrainConfig, demonstrate, export, train
from domains.loader import load_pack
from domains.schema import Pack
from nlu.errors import NluErrors, load_errors

Users = Annotated[str, typer.Option(help="`default`, or a YAML file that describes the simulated customers.")]
Error = Annotated[
    float | None, typer.Option(min=0, max=1, help="Uniform NLU error rate instead of the measured errors.")
]


def train_policy(
    out: Annotated[Path, typer.Option(help="Folder for the policy, checkpoints and logs.")],
    users: Users = "default",
    nlu_error: Error = None,
    steps: Annotated[int, typer.Option(min=1)] = TrainConfig.steps,
    seed: int = 0,
    version: Annotated[str, typer.Option(help="Name under which decisions are logged.")] = "ppo-1",
    domain: Domain = None,
    json: Json = False,
) -> None:
    """Train a policy with simulated customers; continues an interrupted run in --out."""
    settings = read_settings(domain=domain)
    pack = load_pack(settings.domain)
    population = load_population(users)
    errors = _errors(settings, population, nlu_error, pack)
    config = TrainConfig(steps=steps, seed=seed)
    env = DialogueEnv(pack, population, errors)
    shown = demonstrate(RulePolicy(pack), env, config.imitated_episodes, seed + 77)
    model = train(lambda s: DialogueEnv(pack, population, errors, s), config, out, shown)
    policy = export(model, env, out, version, config)
    show({"out": str(out), **evaluate(policy, env, 500, seed + 1)}, json)


def evaluate_policy(
    policy: Annotated[str, typer.Option(help="`live`, `rules`, or the folder of a trained policy.")] = "live",
    users: Users = "default",
    nlu_error: Error = None,
    episodes: Annotated[int, typer.Option(min=1)] = 1000,
    seed: int = 0,
    domain: Domain = None,
    json: Json = False,
) -> None:
    """Score a policy over simulated conversations."""
    settings = read_settings(domain=domain)
    pack = load_pack(settings.domain)
    population = load_population(users)
    env = DialogueEnv(pack, population, _errors(settings, population, nlu_error, pack))
    show(evaluate(_policy(policy, settings, pack), env, episodes, seed), json)


def _policy(name: str, settings: Settings, pack: Pack) -> Policy:
    if name == "rules":
        return RulePolicy(pack)
    return load_policy(settings.models / "policy" if name == "live" else Path(name), pack)


def _errors(settings: Settings, population: Population, rate: float | None, pack: Pack) -> NluErrors:
    if rate is None and isinstance(population.nlu, str):
        return load_errors(settings.models / "nlu")
    return NluErrors.uniform(population.nlu if rate is None else rate, list(pack.intents))  # type: ignore[arg-type]
