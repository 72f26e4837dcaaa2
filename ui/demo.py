"""/demo: the support portal of the pack's fictional business, which embeds the chat as any site would."""

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import FileResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from chatbot.identity import CUSTOMER, sign_identity
from chatbot.portal import DEMO, SELF, Site
from domains.schema import Pack

FILE = re.compile(r"[a-z]+\.(html|css|js|svg)")


@dataclass(frozen=True)
class Demo:
    folder: Path
    site: Site


class SignIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    customer: str = Field(pattern=rf"^{CUSTOMER.pattern}$")


def find_demo(pack: Pack) -> Demo | None:
    """The portal in the pack's folder, if it has one. Its secret lives as long as the process."""
    folder = pack.folder / "portal"
    if not folder.is_dir():
        return None
    return Demo(folder, Site(DEMO, (SELF,), SecretStr(secrets.token_urlsafe(32))))


def add_demo(app: FastAPI, demo: Demo) -> None:
    """Serve the portal's pages, and sign in its fictional customers: they have no passwords."""

    @app.get("/demo", include_in_schema=False)
    def enter() -> RedirectResponse:
        return RedirectResponse("demo/index.html")

    @app.get("/demo/{name}", include_in_schema=False)
    def show_page(name: str) -> FileResponse:
        path = demo.folder / name
        if not FILE.fullmatch(name) or not path.is_file():
            raise HTTPException(404, "The demo portal has no such page.")
        return FileResponse(path)

    @app.post("/demo/identity", include_in_schema=False)
    def sign_in(asked: SignIn) -> dict[str, str]:
        return {"token": sign_identity(asked.customer, demo.site)}
