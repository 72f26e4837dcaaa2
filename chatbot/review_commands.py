"""The commands for what was corrected: training data out, and Label Studio's tasks out and in."""

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from chatbot import label_studio
from chatbot.options import Database, Domain, open_with_keys, read_settings
from chatbot.output import Json, fail, show
from domains.loader import load_pack
from domains.schema import Pack
from storage import review
from storage.audit import operator
from storage.staff import list_staff

imports = typer.Typer(no_args_is_help=True, help="Read what other programs wrote.")


def export_corrections(
    out: Annotated[Path, typer.Option(help="JSON Lines file to write, for train nlu --format jsonl.")],
    domain: Domain = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Write the approved corrections as training data; values that identify people are stand-ins."""
    pack, engine = _pack(domain), open_with_keys(database)
    rows = [row for row in map(review.training_row, review.approved(engine, pack.name)) if row]
    _write(out, "".join(f"{json_module.dumps(row, ensure_ascii=False)}\n" for row in rows))
    review.note_export(engine, "corrections.export", str(out), len(rows), operator())
    show({"file": str(out), "examples": len(rows)}, json)


def export_label_studio(
    out: Annotated[Path, typer.Option(help="JSON file to write, to be imported into Label Studio.")],
    interface: Annotated[
        Path | None, typer.Option(help="XML file to write: the labelling interface of the project.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many turns, the newest first.")] = 1000,
    domain: Domain = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Write turns that nobody has looked at as tasks with the bot's understanding as prediction."""
    pack, engine = _pack(domain), open_with_keys(database)
    tasks = label_studio.write_tasks(review.find(engine, pack.name, limit=limit), pack)
    _write(out, json_module.dumps(tasks, ensure_ascii=False, indent=1))
    if interface is not None:
        _write(interface, label_studio.interface(pack))
    review.note_export(engine, "label_studio.export", str(out), len(tasks), operator())
    show({"file": str(out), "tasks": len(tasks)}, json)


@imports.command("label-studio")
def import_label_studio(
    file: Annotated[Path, typer.Argument(help="What Label Studio exported as JSON.")],
    account: Annotated[str, typer.Option(help="Account of staff in whose name the corrections are kept.")],
    domain: Domain = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Read annotated tasks as corrections, to be approved on the page; all of a file or nothing."""
    pack, engine = _pack(domain), open_with_keys(database)
    staff = next((one for one in list_staff(engine) if one.account == account.lower() and one.active), None)
    if staff is None:
        fail(f"there is no active account {account!r}; see: chatbot staff list")
    try:
        document = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} cannot be read: {error}")
    corrections = label_studio.read_tasks(document, pack)
    review.correct_all(engine, corrections, staff)
    show({"corrections": len(corrections)}, json)


def _pack(domain: Path | None) -> Pack:
    return load_pack(read_settings(domain=domain).domain)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror or error}")
