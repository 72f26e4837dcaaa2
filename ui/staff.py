"""The pages for staff, behind their sign-in."""

from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from starlette.requests import Request

from chatbot.bot import Chatbot
from chatbot.desk import AgentDesk
from chatbot.explanation import Explainer
from chatbot.learning import Learning
from storage.desk import Desk
from ui.desk import DeskPage
from ui.downloads import add_downloads
from ui.guard import ROLES, StaffGuard, staff_of
from ui.insights import InsightsPage
from ui.learning import LearningPage
from ui.review import ReviewPage
from ui.sign_in import add_sign_in
from ui.staff_page import ENDED
from ui.theme import build_theme

FOLDER = Path(__file__).parent


def add_staff_pages(app: FastAPI, bot: Chatbot, learning: Learning) -> None:
    """To be called before anything is mounted on /, which takes all that is left."""
    engine = bot.store.engine
    add_sign_in(app, engine, bot.pack.domain.business, tuple(ROLES))
    desk = AgentDesk(bot, Desk(engine, outbox=bot.store.outbox))
    _mount(app, DeskPage(desk).blocks, "/desk")
    explainer = Explainer(bot)
    add_downloads(app, bot, explainer, learning)
    _mount(app, ReviewPage(bot, explainer).blocks, "/review")
    _mount(app, InsightsPage(bot).blocks, "/insights")
    _mount(app, LearningPage(bot, learning).blocks, "/learning")
    app.add_middleware(StaffGuard, engine=engine)


def _mount(app: FastAPI, page: gr.Blocks, path: str) -> None:
    app.add_api_route(path, lambda: RedirectResponse(f"{path}/"), include_in_schema=False)
    gr.mount_gradio_app(
        app,
        page,
        path=path,
        auth_dependency=_account,
        theme=build_theme(),
        css_paths=[FOLDER / "staff.css"],
        head=ENDED,
        footer_links=[],
        run_history=False,
        max_file_size=1,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
    )


def _account(request: Request) -> str | None:
    staff = staff_of(request.scope)
    return staff.account if staff is not None else None
