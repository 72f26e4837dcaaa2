"""The commands that train and evaluate the dialogue policy."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from chatbot.options import Domain, open_with_keys, read_settings
from chatbot.output import Json, show
from chatbot.policies import errors_for, named_policy
from chatbot.simulators import Error, Level, Sentences, SentencesFormat, Users, open_simulator
from dialog_policy.env import DialogueEnv
from dialog_policy.evaluate import evaluate
from dialog_policy.policy import RulePolicy, save_policy
from dialog_policy.population import load_population
from dialog_policy.train import TrainConfig, demonstrate, export, train
from dialog_policy.varied import VariedEnv
from domains.loader import load_pack


def train_policy(
    out: Annotated[Path, typer.Option(help="Folder for the policy, checkpoints and logs.")],
    users: Users = "default",
    nlu_error: Error = None,
    varied: Annotated[
        bool,
        typer.Option(help="Vary customers and errors around what is described."),
    ] = True,
    steps: Annotated[int, typer.Option(min=1)] = TrainConfig.steps,
    seed: int = 0,
    version: Annotated[str, typer.Option(help="Name under which decisions are logged.")] = "ppo-1",
    domain: Domain = None,
    json: Json = False,
) -> None:
    """Train a policy with simulated customers; continues an interrupted run in --out."""
    settings = read_settings(domain=domain)
    pack = load_pack(settings.domain)
    population = load_population(users, pack)
    errors = errors_for(settings, population, nlu_error, pack)
    config = TrainConfig(steps=steps, seed=seed)
    kind = VariedEnv if varied else DialogueEnv
    env = DialogueEnv(pack, population, errors)
    practice = kind(pack, population, errors, seed)
    shown = demonstrate(RulePolicy(pack), practice, config.imitated_episodes, seed + 77)
    model = train(lambda s: kind(pack, population, errors, s), config, out, shown)
    policy = export(model, env, version)
    save_policy(policy, out, asdict(config))
    show({"out": str(out), **evaluate(policy, env, 500, seed + 1)}, json)


def evaluate_policy(
    policy: Annotated[
        str, typer.Option(help="`live`, `rules`, a trained policy's folder, or a version of the database.")
    ] = "live",
    users: Users = "default",
    nlu_error: Error = None,
    level: Level = "semantic",
    sentences: Sentences = [],  # noqa: B006
    sentences_format: SentencesFormat = [],  # noqa: B006
    episodes: Annotated[int, typer.Option(min=1)] = 1000,
    seed: int = 0,
    database: Annotated[
        str | None, typer.Option(help="URL of the database whose versions and live policy are meant.")
    ] = None,
    domain: Domain = None,
    json: Json = False,
) -> None:
    """Score a policy over simulated conversations."""
    settings = read_settings(domain=domain)
    pack = load_pack(settings.domain)
    env = open_simulator(settings, pack, users, nlu_error, level, sentences, sentences_format)
    engine = open_with_keys(database) if database else None
    chosen = RulePolicy(pack) if policy == "rules" else named_policy(policy, settings, pack, engine)
    show({"level": level, **evaluate(chosen, env, episodes, seed)}, json)
