"""The pages for staff, behind their sign-in."""

from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from starlette.requests import Request

from chatbot.bot import Chatbot
from chatbot.desk import AgentDesk
from storage.desk import Desk
from ui.desk import DeskPage
from ui.guard import EVERYBODY, StaffGuard, staff_of
from ui.sign_in import add_sign_in
from ui.staff_page import ENDED
from ui.theme import build_theme

FOLDER = Path(__file__).parent
PAGES = (("/desk", "Desk"),)
ROLES = {"/desk": EVERYBODY}


def add_staff_pages(app: FastAPI, bot: Chatbot) -> None:
    """To be called before anything is mounted on /, which takes all that is left."""
    engine = bot.store.engine
    add_sign_in(app, engine, bot.pack.domain.business, tuple(ROLES))
    desk = AgentDesk(bot, Desk(engine))
    _mount(app, DeskPage(desk, PAGES).blocks, "/desk")
    app.add_middleware(StaffGuard, engine=engine, roles=ROLES)


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
