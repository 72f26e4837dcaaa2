"""The web server's application: the API and the chat page on one port."""

from dataclasses import replace
from pathlib import Path

import gradio as gr
from fastapi import FastAPI, HTTPException, Request
from starlette.routing import Match

from chatbot.api import ApiConfig, create_api
from chatbot.assembly import build_chatbot
from chatbot.bot import Chatbot
from chatbot.learning import Learning
from chatbot.logs import configure_logging
from chatbot.portal import load_portal
from chatbot.rates import RateConfig
from chatbot.retention import start_purging
from chatbot.settings import Settings
from ui.chat import build_page
from ui.demo import add_demo, find_demo
from ui.embed import add_widget
from ui.staff import add_staff_pages
from ui.theme import build_theme

FOLDER = Path(__file__).parent
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def create_app() -> FastAPI:
    """The application that CHATBOT_* describes: `uvicorn --factory ui.app:create_app`."""
    settings = Settings()
    configure_logging(settings.log_level, settings.log_format)
    portal = load_portal(settings.portal)
    bot = build_chatbot(settings, portal)
    start_purging(bot.store.engine, bot.pack)
    config = ApiConfig(
        body_limit=settings.body_limit,
        body_seconds=settings.body_seconds,
        portal=portal,
        rates=RateConfig(settings.rate_visitor, settings.rate_key, settings.rate_start),
        open_api=settings.open_api,
        demo=settings.demo,
    )
    return create_app_for(bot, config, Learning(bot.store.engine, bot.pack, settings.runs))


def create_app_for(
    bot: Chatbot, config: ApiConfig | None = None, learning: Learning | None = None
) -> FastAPI:
    """The API of `bot` under /v1, /healthz, /readyz and /docs, its chat page on /, and /desk for staff."""
    config = config or ApiConfig()
    learning = learning or Learning(bot.store.engine, bot.pack, Settings().runs)
    demo = find_demo(bot.pack) if config.demo else None
    if demo is not None:
        config = replace(config, portal=config.portal.with_site(demo.site))
    app = create_api(bot, config)
    operations = tuple(app.router.routes)

    @app.api_route("/v1/{path:path}", methods=METHODS, include_in_schema=False)
    def refuse(path: str, request: Request) -> None:
        """Else the page, which takes all that is left, would answer in its own way."""
        asked = [(method, {**request.scope, "method": method}) for method in METHODS]
        allowed = [
            method
            for method, scope in asked
            if any(route.matches(scope)[0] is Match.FULL for route in operations)
        ]
        if allowed:
            allow = {"Allow": ", ".join(allowed)}
            raise HTTPException(405, "The API has this path, but not for this method.", allow)
        raise HTTPException(404, "The API has no such operation.")

    add_widget(app, config.portal)
    if demo is not None:
        add_demo(app, demo)
    add_staff_pages(app, bot, learning)
    gr.mount_gradio_app(
        app,
        build_page(bot, app.state.access),
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
