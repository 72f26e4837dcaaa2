"""The commands that make and use logs. What takes seconds to import is imported where it is needed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from chatbot.options import Database, Domain, open_with_keys, read_settings
from chatbot.output import Json, show
from domains.loader import load_pack
from storage.migration import upgrade


def simulate(
    episodes: Annotated[int, typer.Option(min=1, help="Conversations to hold.")],
    users: Annotated[
        str, typer.Option(help="`default`, or a YAML file that describes the simulated customers.")
    ] = "default",
    explore: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the conversations in which the policy explores.")
    ] = 0.0,
    ratings: Annotated[float, typer.Option(min=0, max=1, help="Share of the customers who rate.")] = 0.5,
    nlu_error: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Uniform NLU error rate instead of the measured errors."),
    ] = None,
    seed: int = 0,
    database: Database = None,
    domain: Domain = None,
    json: Json = False,
) -> None:
    """Let the live policy talk to simulated customers, and log it as served conversations are."""
    from chatbot.policies import errors_for, live_policy
    from dialog_policy.env import DialogueEnv
    from dialog_policy.population import load_population
    from dialog_policy.simulation import SimulationConfig
    from dialog_policy.simulation import simulate as hold

    settings = read_settings(domain=domain, database=database)
    pack = load_pack(settings.domain)
    population = load_population(users, pack)
    env = DialogueEnv(pack, population, errors_for(settings, population, nlu_error, pack))
    engine = open_with_keys(database, check_keys=False)
    upgrade(engine)
    open_with_keys(database).dispose()  # whether the keys fit is known once there are tables
    config = SimulationConfig(episodes, seed, explore, ratings)
    show(hold(engine, env, live_policy(engine, settings, pack), config), json)


def retrain(
    out: Annotated[Path, typer.Option(help="Folder for the candidate and the report.")],
    since: Annotated[
        datetime | None, typer.Option(help="Only conversations that began then or later (UTC).")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Bot actions to practise with the fitted customers.")
    ] = None,
    trial: Annotated[
        bool,
        typer.Option("--trial", help="Everything small, to see that it works; its word is worth nothing."),
    ] = False,
    seed: int = 0,
    database: Database = None,
    domain: Domain = None,
    json: Json = False,
) -> None:
    """Learn from the log, judge what was learnt by held-out conversations, and propose it or not.

    The candidate is entered in the registry. It is never live by itself.
    """
    from dataclasses import asdict, replace

    from chatbot.policies import live_policy
    from dialog_policy.policy import configuration, save_policy, weights_of
    from dialog_policy.report import write_report
    from dialog_policy.retraining import TRIAL, RetrainConfig, figures
    from dialog_policy.retraining import retrain as learn
    from nlu.errors import load_errors
    from storage.audit import operator
    from storage.policies import PolicyVersion, add_policy

    settings = read_settings(domain=domain, database=database)
    pack = load_pack(settings.domain)
    engine = open_with_keys(database)
    plan = TRIAL if trial else RetrainConfig()
    config = replace(
        plan,
        tuning=replace(plan.tuning, seed=seed, steps=steps or plan.tuning.steps),
        conservative=replace(plan.conservative, seed=seed),
        imitation=replace(plan.imitation, seed=seed),
    )
    begin = since.replace(tzinfo=UTC) if since and since.tzinfo is None else since
    live = live_policy(engine, settings, pack)
    run = learn(
        engine,
        pack,
        live,
        load_errors(settings.models / "nlu"),
        config,
        begin,
        tell=lambda line: typer.echo(line, err=True),
    )
    best, report = run.best, out / "report.html"
    training: dict[str, Any] = {"method": best.method, "parent": live.version, **asdict(config)}
    save_policy(best.policy, out / best.policy.version, training)
    write_report(run, report)
    settings_of = configuration(best.policy, training)
    add_policy(
        engine,
        PolicyVersion(
            best.policy.version,
            pack.name,
            settings_of["feature_version"],
            settings_of,
            figures(best),
            live.version,
            datetime.fromisoformat(run.data["since"]),
            datetime.fromisoformat(run.data["until"]),
            run.data["conversations"],
        ),
        weights_of(best.policy),
        operator(),
    )
    show(
        {
            "candidate": best.policy.version,
            "proposed": run.proposed is not None,
            "verdict": best.judgement.verdict,
            "words": best.judgement.words,
            "anomalies": list(run.anomalies),
            "conversations": run.data["conversations"],
            "policy": str(out / best.policy.version),
            "report": str(report),
            "attempts": {attempt.method: figures(attempt) for attempt in run.attempts},
        },
        json,
    )
