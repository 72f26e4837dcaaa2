"""The commands for what stands in the database about people, and for who did what."""

import json as json_module
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from chatbot.options import Database, open_with_keys
from chatbot.output import Json, fail, show, show_rows
from storage import audit
from storage.encryption import new_key
from storage.erasure import erase, scrub
from storage.person import Person, copy_data
from storage.turn_export import export_turns
from storage.vault import rotate

customers = typer.Typer(no_args_is_help=True, help="Copy or erase one person's data.")
keys = typer.Typer(no_args_is_help=True, help="Make and change the keys of the encryption.")
export = typer.Typer(no_args_is_help=True, help="Write data for other programs.")

CustomerId = Annotated[str | None, typer.Argument(help="Id of the customer in the business system.")]
Conversation = Annotated[
    str | None, typer.Option(help="A conversation's id instead, as of a visitor who was never identified.")
]
Reason = Annotated[str, typer.Option(help="Why, for the audit.")]


@customers.command("export")
def export_customer(
    out: Annotated[Path, typer.Option(help="JSON file to write; only you will be able to read it.")],
    customer_id: CustomerId = None,
    conversation: Conversation = None,
    reason: Reason = "",
    database: Database = None,
    json: Json = False,
) -> None:
    """Copy all that is stored about one person, for that person."""
    person = _person(customer_id, conversation)
    engine = open_with_keys(database)
    copy = copy_data(engine, person, audit.operator(), reason)
    try:
        with open(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json_module.dump(copy, file, ensure_ascii=False, indent=1)
    except OSError as error:
        fail(f"{out} cannot be written: {error.strerror}")
    show({"file": str(out), "conversations": len(copy["conversations"])}, json)


@customers.command("erase")
def erase_customer(
    customer_id: CustomerId = None,
    conversation: Conversation = None,
    reason: Reason = "",
    database: Database = None,
    json: Json = False,
) -> None:
    """Delete all that is stored about one person; a restored backup does not bring it back."""
    person = _person(customer_id, conversation)
    show({"erased": erase(open_with_keys(database), person, audit.operator(), reason)}, json)


@keys.command("new")
def make_key(json: Json = False) -> None:
    """Print a new key for CHATBOT_ENCRYPTION_KEYS."""
    if json:
        show({"key": new_key()}, True)
    else:
        typer.echo(new_key())


@keys.command("rotate")
def rotate_keys(database: Database = None, json: Json = False) -> None:
    """Encrypt everything with the first of CHATBOT_ENCRYPTION_KEYS; the others can be dropped afterwards."""
    engine = open_with_keys(database)
    written = rotate(engine, audit.operator())
    scrub(engine, rewrite=True)
    show({"encrypted": written}, json)


@export.command("turns")
def export_learning(
    out: Annotated[Path, typer.Option(help="File to write; .jsonl or .parquet names the format.")],
    since: Annotated[datetime | None, typer.Option(help="Only turns from then on, in UTC.")] = None,
    texts: Annotated[
        bool, typer.Option("--texts", help="With texts, recognised values and numbers masked.")
    ] = False,
    database: Database = None,
    json: Json = False,
) -> None:
    """Write every turn for learning and off-policy evaluation; nothing in it identifies a person."""
    engine = open_with_keys(database)
    start = since and since.replace(tzinfo=since.tzinfo or UTC)
    show({"file": str(out), "turns": export_turns(engine, out, audit.operator(), start, texts=texts)}, json)


def show_audit(
    last: Annotated[int, typer.Option(min=1, help="How many entries.")] = 50,
    database: Database = None,
    json: Json = False,
) -> None:
    """Show what staff and administrators did, oldest first."""
    show_rows([asdict(entry) for entry in audit.entries(open_with_keys(database), last)], json)


def _person(customer_id: str | None, conversation: str | None) -> Person:
    if bool(customer_id) == bool(conversation):
        fail("give either a customer's id or --conversation", 2)
    return Person("customer", customer_id) if customer_id else Person("conversation", str(conversation))
