"""The command `chatbot`. Commands that need no model start without importing what models need."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from chatbot import (
    api_key_commands,
    database_commands,
    learning_commands,
    privacy_commands,
    review_commands,
    serve_commands,
    staff_commands,
)
from domains.document import PackError
from nlu.text_files import DataError
from storage.faults import StorageError

MODEL_COMMANDS = {
    "train": {
        "encoder": "encoder_commands.train_encoder",
        "generator": "generator_commands.train_generator",
        "nlu": "nlu_commands.train_nlu",
        "policy": "policy_commands.train_policy",
    },
    "check": {"nlu": "nlu_commands.check_nlu"},
    "evaluate": {
        "generator": "generator_commands.evaluate_generator",
        "nlu": "nlu_commands.evaluate_nlu",
        "policy": "policy_commands.evaluate_policy",
    },
    "policies": {
        "list": "registry_commands.list_policies",
        "show": "registry_commands.show_policy",
        "add": "registry_commands.add_policy",
        "promote": "registry_commands.promote_policy",
        "rollback": "registry_commands.rollback_policy",
    },
}


class LaterGroup(TyperGroup):
    """A group whose commands are imported when one of them is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(MODEL_COMMANDS[str(self.name)])

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        place = MODEL_COMMANDS[str(self.name)].get(cmd_name)
        if place is None:
            return None
        module, _, function = place.partition(".")
        single = typer.Typer(add_completion=False)
        single.command(cmd_name)(getattr(import_module(f"chatbot.{module}"), function))
        return get_command(single)


app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("serve")(serve_commands.serve)
app.command("chat")(serve_commands.chat)
app.command("understand")(serve_commands.understand)
app.add_typer(typer.Typer(no_args_is_help=True, cls=LaterGroup, help="Train a model."), name="train")
checks = typer.Typer(no_args_is_help=True, cls=LaterGroup, help="Check data before it is trained on.")
app.add_typer(checks, name="check")
app.add_typer(typer.Typer(no_args_is_help=True, cls=LaterGroup, help="Measure a model."), name="evaluate")
app.command("simulate")(learning_commands.simulate)
app.command("retrain")(learning_commands.retrain)
versions = typer.Typer(no_args_is_help=True, cls=LaterGroup, help="Versions of the policy: which one serves.")
app.add_typer(versions, name="policies")
app.add_typer(database_commands.app, name="database")
app.add_typer(api_key_commands.app, name="api-keys")
app.add_typer(privacy_commands.customers, name="customers")
app.add_typer(privacy_commands.keys, name="keys")
privacy_commands.export.command("corrections")(review_commands.export_corrections)
privacy_commands.export.command("label-studio")(review_commands.export_label_studio)
app.add_typer(privacy_commands.export, name="export")
app.add_typer(review_commands.imports, name="import")
app.command("audit")(privacy_commands.show_audit)
app.add_typer(staff_commands.app, name="staff")

KNOWN_ERRORS = (PackError, DataError, StorageError)


def main() -> None:
    """Run the command; a known failure ends in one line on standard error and exit code 1."""
    try:
        app(standalone_mode=True)
    except Exception as error:
        if not isinstance(error, KNOWN_ERRORS) and not isinstance(error, _model_errors()):
            raise
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None


def _model_errors() -> tuple[type[Exception], ...]:
    from chatbot.wording.generator import GeneratorMissing
    from dialog_policy.policy import PolicyError
    from nlu.parser import ModelError
    from nlu.pretrained import PretrainedError

    return (GeneratorMissing, ModelError, PolicyError, PretrainedError)


if __name__ == "__main__":
    main()
