"""The commands of the policy registry."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from chatbot.options import Database, Domain, open_with_keys, read_settings
from chatbot.output import Json, fail, show, show_rows
from chatbot.policies import find_version, let_serve
from dialog_policy.registry import from_folder
from domains.loader import load_pack
from storage import audit, policies
from storage.policies import PolicyVersion, read_policies

Version = Annotated[str, typer.Argument(help="As chatbot policies list names it.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit.")]


def list_policies(database: Database = None, domain: Domain = None, json: Json = False) -> None:
    """All versions and what they do, oldest first."""
    pack = load_pack(read_settings(domain=domain).domain)
    rows = [_row(policy) for policy in read_policies(open_with_keys(database), pack.name)]
    show_rows(rows, json)


def show_policy(
    version: Version, database: Database = None, domain: Domain = None, json: Json = False
) -> None:
    """One version with its configuration, its data and what the judge said of it."""
    pack = load_pack(read_settings(domain=domain).domain)
    policy = find_version(open_with_keys(database), version, pack)
    times = {"data_since": policy.data_since, "data_until": policy.data_until}
    show(
        {
            **_row(policy),
            **{name: time and time.isoformat() for name, time in times.items()},
            "conversations": policy.conversations,
            "feature_version": policy.feature_version,
            "digest": policy.digest,
            "figures": dict(policy.figures),
            "configuration": dict(policy.configuration),
        },
        json,
    )


def add_policy(
    folder: Annotated[Path, typer.Argument(help="Of a policy that chatbot train policy wrote.")],
    database: Database = None,
    domain: Domain = None,
    json: Json = False,
) -> None:
    """Enter a trained policy as a candidate."""
    pack = load_pack(read_settings(domain=domain).domain)
    policy, weights = from_folder(folder, pack)
    policies.add_policy(open_with_keys(database), policy, weights, audit.operator())
    show({"version": policy.version, "status": "candidate"}, json)


def promote_policy(
    version: Version,
    canary: Annotated[
        float | None,
        typer.Option(min=0.001, max=0.999, help="Serve only this share of the new conversations."),
    ] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="Only log what it would do.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Make it live although the judge did not find it better.")
    ] = False,
    reason: Reason = "",
    database: Database = None,
    domain: Domain = None,
    json: Json = False,
) -> None:
    """Let a version serve; running servers follow within seconds, begun conversations keep their policy."""
    if canary is not None and shadow:
        fail("--canary and --shadow exclude each other; give one of them", 2)
    pack = load_pack(read_settings(domain=domain).domain)
    engine = open_with_keys(database)
    to: Literal["live", "canary", "shadow"] = "shadow" if shadow else "live" if canary is None else "canary"
    let_serve(engine, pack, version, audit.operator(), to, canary or 0.0, reason, force=force)
    show(_row(find_version(engine, version, pack)), json)


def rollback_policy(
    reason: Reason = "", database: Database = None, domain: Domain = None, json: Json = False
) -> None:
    """Take the canary back, or where there is none the live version; its conversations change policy, too."""
    pack = load_pack(read_settings(domain=domain).domain)
    taken, live = policies.rollback(open_with_keys(database), pack.name, audit.operator(), reason)
    show({"rolled_back": taken, "live": live}, json)


def _row(policy: PolicyVersion) -> dict[str, Any]:
    return {
        "version": policy.version,
        "status": "rolled back" if policy.withdrawn else policy.status,
        "share": policy.share,
        "parent": policy.parent,
        "verdict": policy.figures.get("verdict"),
        "created": policy.created_at and policy.created_at.isoformat(timespec="seconds"),
        "served": policy.served_at and policy.served_at.isoformat(timespec="seconds"),
    }
