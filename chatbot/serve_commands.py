"""The commands that run the bot. What takes seconds to import is imported where it is needed."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from chatbot.options import Database, Domain, read_settings
from chatbot.output import Json, show

Reply = Annotated[str | None, typer.Option(help="How replies are worded: template, moe or openai.")]

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
    import uvicorn

    settings = read_settings(host=host, port=port, database=database, domain=domain, reply=reply)
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
    from rich.console import Console

    from chatbot.assembly import build_chatbot
    from chatbot.bot import BadMessage

    bot = build_chatbot(read_settings(database=database, domain=domain, reply=reply))
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


def understand(text: str, domain: Domain = None, model: Path | None = None, json: Json = False) -> None:
    """Show the intents, entities and out-of-scope score of TEXT."""
    from chatbot.nlu_commands import open_parser

    parser, _ = open_parser(model, domain)
    show(asdict(parser.parse(text)), json)
