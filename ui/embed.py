"""What a site needs to embed the chat: the widget's script, and the origins that its frame trusts."""

from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from chatbot.portal import SELF, Portal

FOLDER = Path(__file__).parent / "widget"
SCRIPTS = {"widget.js": "public, max-age=300", "session.js": "no-cache"}
"""How long browsers keep each: a site's pages come often, and a new version shall come soon."""


def add_widget(app: FastAPI, portal: Portal) -> None:
    """Serve /widget.js for sites, and /session.js with the list of origins for the page in their frame."""
    for name, caching in SCRIPTS.items():
        _add_script(app, name, caching)

    @app.get("/widget/origins", include_in_schema=False)
    def list_origins(request: Request, site: str = "") -> JSONResponse:
        own = str(request.base_url).rstrip("/")
        origins = [own if origin == SELF else origin for origin in portal.ancestors(site)]
        return JSONResponse({"origins": origins})


def _add_script(app: FastAPI, name: str, caching: str) -> None:
    headers = {"Cache-Control": caching, "Cross-Origin-Resource-Policy": "cross-origin"}

    @app.get(f"/{name}", include_in_schema=False)
    def send_script() -> Response:
        return FileResponse(FOLDER / name, media_type="text/javascript", headers=headers)
