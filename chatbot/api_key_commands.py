"""The commands for keys of the API."""

from dataclasses import asdict
from typing import Annotated

import typer

from chatbot.options import Database, open_with_keys
from chatbot.output import Json, show, show_rows
from storage.api_keys import list_api_keys, new_api_key, revoke_api_key
from storage.audit import operator

app = typer.Typer(no_args_is_help=True, help="Make and revoke keys of the API.")


@app.command("new")
def make_api_key(
    name: Annotated[str, typer.Argument(help="Who will use it, for the list.")],
    database: Database = None,
    json: Json = False,
) -> None:
    """Make a key and print it, this once."""
    key, text = new_api_key(open_with_keys(database), name, operator())
    show({"id": key.id, "name": key.name, "key": text}, json)


@app.command("list")
def show_api_keys(database: Database = None, json: Json = False) -> None:
    """Show the keys, revoked ones too, without their secrets."""
    show_rows([asdict(key) for key in list_api_keys(open_with_keys(database))], json)


@app.command("revoke")
def end_api_key(
    id: Annotated[str, typer.Argument(help="The key's id, as `list` shows it.")],
    database: Database = None,
    json: Json = False,
) -> None:
    """End the use of a key at once."""
    revoke_api_key(open_with_keys(database), id, operator())
    show({"revoked": id}, json)
