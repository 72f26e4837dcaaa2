"""The command `chatbot`."""

import typer

from chatbot import nlu_commands, policy_commands, serve_commands
from dialog_policy.policy import PolicyError
from domains.document import PackError
from nlu.parser import ModelError
from nlu.pretrained import PretrainedError
from nlu.text_files import DataError
from storage.database import StorageError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
train = typer.Typer(no_args_is_help=True, help="Train a model.")
evaluate = typer.Typer(no_args_is_help=True, help="Measure a model.")
check = typer.Typer(no_args_is_help=True, help="Check data before it is trained on.")
app.add_typer(train, name="train")
app.add_typer(check, name="check")
app.add_typer(evaluate, name="evaluate")

app.command("understand")(nlu_commands.understand)
train.command("nlu")(nlu_commands.train_nlu)
check.command("nlu")(nlu_commands.check_nlu)
evaluate.command("nlu")(nlu_commands.evaluate_nlu)
train.command("policy")(policy_commands.train_policy)
evaluate.command("policy")(policy_commands.evaluate_policy)
app.command("serve")(serve_commands.serve)
app.command("chat")(serve_commands.chat)
database = typer.Typer(no_args_is_help=True, help="Care for the database.")
app.add_typer(database, name="database")
database.command("upgrade")(serve_commands.upgrade_database)
database.command("downgrade")(serve_commands.downgrade_database)
database.command("check")(serve_commands.check_database)

KNOWN_ERRORS = (PackError, DataError, ModelError, PolicyError, PretrainedError, StorageError)


def main() -> None:
    """Run the command; a known failure ends in one line on standard error and exit code 1."""
    try:
        app(standalone_mode=True)
    except KNOWN_ERRORS as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None
