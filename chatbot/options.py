"""The options that commands share, and the settings that they make."""

import os
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from sqlalchemy import Engine

from chatbot.output import fail
from chatbot.settings import Settings
from storage.database import open_database
from storage.encryption import use_keys
from storage.vault import unlock

Database = Annotated[
    str | None, typer.Option(help="SQLAlchemy URL. Default: CHATBOT_DATABASE, or sqlite:///chatbot.db.")
]
Domain = Annotated[Path | None, typer.Option(help="Pack folder. Default: the shipped banking pack.")]


def read_settings(**given: str | int | Path | None) -> Settings:
    """Settings with the command's options put over the environment's, for this process and what it starts."""
    for name, value in given.items():
        if value is not None:
            os.environ[f"CHATBOT_{name.upper()}"] = str(value)
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        fail(f"CHATBOT_{str(first['loc'][0]).upper()}: {first['msg']}", 2)


def open_with_keys(database: str | None, *, check_keys: bool = True) -> Engine:
    """The database of a command. Raises StorageError; without `check_keys` only once a value is read."""
    settings = read_settings(database=database)
    engine = open_database(settings.database)
    if check_keys:
        unlock(engine, settings.keys, required=settings.encryption == "required")
    else:
        use_keys(engine, settings.keys)
    return engine
