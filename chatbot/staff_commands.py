"""The commands for the people who may sign in. Passwords are never arguments, which others can see."""

import os
from typing import Annotated

import typer

from chatbot.options import Database, open_with_keys
from chatbot.output import Json, fail, show, show_rows
from storage import staff
from storage.audit import operator
from storage.records import Role

VARIABLE = "CHATBOT_STAFF_PASSWORD"

app = typer.Typer(no_args_is_help=True, help="Let people sign in to the desk.")

Account = Annotated[str, typer.Argument(help="What is given to sign in, such as ana or ana@example.com.")]


@app.command("add")
def add(
    account: Account,
    name: Annotated[str, typer.Option(help="As customers see it.")],
    role: Annotated[Role, typer.Option(help="What the person may do.")] = "agent",
    database: Database = None,
    json: Json = False,
) -> None:
    """Add an account. The password is asked for, or taken from CHATBOT_STAFF_PASSWORD."""
    added = staff.add_staff(open_with_keys(database), account, name, role, _password(), operator())
    show({"account": added.account, "name": added.name, "role": added.role}, json)


@app.command("list")
def list_accounts(database: Database = None, json: Json = False) -> None:
    """Show who may sign in."""
    fields = ("account", "name", "role", "active", "created_at")
    people = staff.list_staff(open_with_keys(database))
    show_rows([{field: getattr(one, field) for field in fields} for one in people], json)


@app.command("deactivate")
def deactivate(account: Account, database: Database = None, json: Json = False) -> None:
    """Let nobody sign in with the account any more; its sessions end, what it holds waits again."""
    staff.deactivate(open_with_keys(database), account, operator())
    show({"deactivated": account}, json)


@app.command("password")
def change_password(account: Account, database: Database = None, json: Json = False) -> None:
    """Give an account a new password, and let it sign in again where it was deactivated."""
    staff.change_password(open_with_keys(database), account, _password(), operator())
    show({"changed": account}, json)


def _password() -> str:
    given = os.environ.get(VARIABLE)
    if given is None:
        given = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    if len(given) < staff.SHORTEST_PASSWORD:
        fail(f"a password has at least {staff.SHORTEST_PASSWORD} characters", 2)
    return given
