"""The commands that care for the database."""

from pathlib import Path
from typing import Annotated

import typer

from chatbot.options import Database, Domain, open_with_keys, read_settings
from chatbot.output import Json, fail, show
from domains.loader import load_pack
from storage import audit, migration
from storage.backup import restore_backup, write_backup
from storage.erasure import purge

app = typer.Typer(no_args_is_help=True, help="Care for the database.")


@app.command("upgrade")
def upgrade_database(
    revision: Annotated[str, typer.Argument(help="Revision to go to.")] = "head",
    database: Database = None,
    json: Json = False,
) -> None:
    """Bring the database to this program's tables."""
    engine = open_with_keys(database, check_keys=False)
    migration.upgrade(engine, revision)
    show({"revision": migration.current(engine)}, json)


@app.command("downgrade")
def downgrade_database(
    revision: Annotated[str, typer.Argument(help="Revision to go back to, or `base`.")],
    database: Database = None,
    json: Json = False,
) -> None:
    """Take the database back to an earlier revision; what only later tables held is lost."""
    engine = open_with_keys(database, check_keys=False)
    migration.downgrade(engine, revision)
    show({"revision": migration.current(engine)}, json)


@app.command("check")
def check_database(database: Database = None, json: Json = False) -> None:
    """Look for missing migrations, gaps, orphans, half turns, unreadable values; exits with 1 at a fault."""
    problems = migration.check(open_with_keys(database, check_keys=False))
    show({"ok": not problems, "problems": problems}, json)
    if problems:
        fail(problems[0])


@app.command("backup")
def backup_database(
    out: Annotated[Path, typer.Argument(help="File to write, such as chatbot-2026-05-01.backup.")],
    database: Database = None,
    json: Json = False,
) -> None:
    """Write every row to one file; conversations go on meanwhile."""
    engine = open_with_keys(database, check_keys=False)
    show({"file": str(out), "rows": write_backup(engine, out, audit.operator())}, json)


@app.command("restore")
def restore_database(
    file: Annotated[Path, typer.Argument(help="File that chatbot database backup wrote.")],
    database: Database = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the conversations that are there.")] = False,
    json: Json = False,
) -> None:
    """Put a backup in place of what the database holds, all or nothing; stop the server first."""
    engine = open_with_keys(database, check_keys=False)
    rows = restore_backup(engine, file, audit.operator(), force=force)
    show({"file": str(file), "rows": rows}, json)


@app.command("purge")
def purge_database(
    days: Annotated[int | None, typer.Option(min=0, help="Instead of the pack's retention_days.")] = None,
    database: Database = None,
    domain: Domain = None,
    json: Json = False,
) -> None:
    """Delete the pack's conversations that are past their time; chatbot serve does so daily."""
    pack = load_pack(read_settings(domain=domain).domain)
    days = pack.domain.retention_days if days is None else days
    if days is None:
        fail(
            f"{pack.folder / 'domain.yaml'} sets no retention_days, so nothing is past its time; give --days"
        )
    show({"purged": purge(open_with_keys(database), pack.name, days, audit.operator()), "days": days}, json)
