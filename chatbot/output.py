"""How commands speak: tables for people, JSON for programs, one line for failures."""

import json as json_module
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def show(data: dict[str, Any], as_json: bool) -> None:
    """Print a mapping as JSON, or as a table of its keys and values."""
    if as_json:
        typer.echo(json_module.dumps(data, ensure_ascii=False))
        return
    table = Table(show_header=False)
    for key, value in data.items():
        text = (
            json_module.dumps(value, ensure_ascii=False, indent=1)
            if isinstance(value, dict | list | tuple)
            else value
        )
        table.add_row(key, f"{text:.4f}" if isinstance(text, float) else str(text))
    Console().print(table)


def show_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print mappings with the same keys as JSON, one a line, or as one table."""
    if as_json:
        for row in rows:
            typer.echo(json_module.dumps(row, ensure_ascii=False, default=str))
        return
    table = Table(*(rows[0] if rows else ()))
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)


def fail(message: str, code: int = 1) -> NoReturn:
    """End the command with a one-line cause."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(code)
