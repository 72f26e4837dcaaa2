"""The web server's application: the API and the chat page on one port."""

from pathlib import Path

import gradio as gr
from fastapi import FastAPI, HTTPException

from chatbot.api import BODY_LIMIT, create_api
from chatbot.assembly import build_chatbot
from chatbot.bot import Chatbot
from chatbot.logs import configure_logging
from chatbot.retention import start_purging
from chatbot.settings import Settings
from ui.chat import build_page
from ui.staff import add_staff_pages
from ui.theme import build_theme

FOLDER = Path(__file__).parent
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


def create_app() -> FastAPI:
    """The application that CHATBOT_* describes: `uvicorn --factory ui.app:create_app`."""
    settings = Settings()
    configure_logging(settings.log_level)
    bot = build_chatbot(settings)
    start_purging(bot.store.engine, bot.pack)
    return create_app_for(bot, settings.body_limit)


def create_app_for(bot: Chatbot, body_limit: int = BODY_LIMIT) -> FastAPI:
    """The API of `bot` under /v1, /healthz, /readyz and /docs, its chat page on /, and /desk for staff."""
    app = create_api(bot, body_limit)

    @app.api_route("/v1/{path:path}", methods=METHODS, include_in_schema=False)
    def refuse(path: str) -> None:
        """Else the page, which takes all that is left, would answer in its own way."""
        raise HTTPException(404, "The API has no such operation.")

    add_staff_pages(app, bot)
    gr.mount_gradio_app(
        app,
        build_page(bot),
        path="/",
        theme=build_theme(),
        css_paths=FOLDER / "chat.css",
        favicon_path=str(FOLDER / "favicon.svg"),
        footer_links=[],
        run_history=False,
        max_file_size=1,  # nobody sends files here, so none are taken
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
    )
    return app
