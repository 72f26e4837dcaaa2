"""The commands that run the bot and care for its database."""

import os
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from rich.console import Console

from chatbot.assembly import build_chatbot
from chatbot.bot import BadMessage
from chatbot.output import Json, fail, show
from chatbot.settings import Settings
from storage import migration
from storage.database import open_database

Database = Annotated[
    str | None, typer.Option(help="SQLAlchemy URL. Default: CHATBOT_DATABASE, or sqlite:///chatbot.db.")
]
Domain = Annotated[Path | None, typer.Option(help="Pack folder. Default: the shipped banking pack.")]
Reply = Annotated[str | None, typer.Option(help="How replies are worded: template.")]

SHUTDOWN_SECONDS = 30
"""For requests to end when the server is to stop. The chat page's open streams never end by themselves."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. Default: 7860.")] = None,
    database: Database = None,
    domain: Domain = None,
    reply: Reply = None,
    json: Json = False,
) -> None:
    """Serve the chat page and the API."""
    settings = _settings(host=host, port=port, database=database, domain=domain, reply=reply)
    url = f"http://{settings.host}:{settings.port}"
    show({"page": url, "api": f"{url}/docs", "database": settings.database}, json)
    # Named, not imported: the page lies above this package.
    uvicorn.run(
        "ui.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def chat(database: Database = None, domain: Domain = None, reply: Reply = None, json: Json = False) -> None:
    """Talk to the bot in the terminal; an empty line or Ctrl-D ends."""
    bot = build_chatbot(_settings(database=database, domain=domain, reply=reply))
    console = Console()
    conversation_id = bot.start()

    def tell(text: str, buttons: tuple[str, ...] = ()) -> None:
        if json:
            show({"author": "bot", "text": text, "buttons": list(buttons)}, True)
            return
        console.print(f"[bold cyan]{bot.pack.domain.assistant}[/]: ", end="")
        console.print(text, markup=False, highlight=False)
        if buttons:
            console.print(f"  ({' | '.join(buttons)})", markup=False, style="dim")

    for message in bot.store.history(conversation_id):
        tell(message.text)
    while True:
        try:
            text = input() if json else console.input("[bold]You[/]: ")
        except (EOFError, KeyboardInterrupt):
            break
        if not text.strip():
            break
        try:
            for message in bot.reply(conversation_id, text):
                tell(message.text, tuple(button.text for button in message.buttons))
        except BadMessage as error:
            tell(str(error))


def upgrade_database(
    revision: Annotated[str, typer.Argument(help="Revision to go to.")] = "head",
    database: Database = None,
    json: Json = False,
) -> None:
    """Bring the database to this program's tables."""
    engine = open_database(_settings(database=database).database)
    migration.upgrade(engine, revision)
    show({"revision": migration.current(engine)}, json)


def downgrade_database(
    revision: Annotated[str, typer.Argument(help="Revision to go back to, or `base`.")],
    database: Database = None,
    json: Json = False,
) -> None:
    """Take the database back to an earlier revision; what only later tables held is lost."""
    engine = open_database(_settings(database=database).database)
    migration.downgrade(engine, revision)
    show({"revision": migration.current(engine)}, json)


def check_database(database: Database = None, json: Json = False) -> None:
    """Look for missing migrations, gaps and orphans; exits with 1 where something is wrong."""
    problems = migration.check(open_database(_settings(database=database).database))
    show({"ok": not problems, "problems": problems}, json)
    if problems:
        fail(problems[0])


def _settings(**given: str | int | Path | None) -> Settings:
    """Settings with the command's options put over the environment's, for this process and what it starts."""
    for name, value in given.items():
        if value is not None:
            os.environ[f"CHATBOT_{name.upper()}"] = str(value)
    try:
        return Settings()
    except ValueError as error:
        fail(str(error).splitlines()[2].strip() if len(str(error).splitlines()) > 2 else str(error), 2)
