"""The page on which staff sign in."""

from hmac import compare_digest
from html import escape
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool

from chatbot.problems import problem
from storage.staff import SESSION_HOURS, SignInRefused, form_token, sign_in, sign_out
from ui.guard import COOKIE, SIGN_IN, SIGN_OUT

STYLE = (Path(__file__).parent / "sign_in.css").read_text(encoding="utf-8")
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in – {business}</title>
<style>{style}</style>
</head>
<body>
<main>
  <div class="monogram" aria-hidden="true">{initial}</div>
  <h1>{business}</h1>
  <p>Sign in to the desk</p>
  {fault}
  <form method="post" action="{action}">
    <input type="hidden" name="next" value="{next}">
    <label for="account">Account</label>
    <input id="account" name="account" autocomplete="username" autocapitalize="none" spellcheck="false"
      value="{account}" required maxlength="64" {focus_account}>
    <label for="password">Password</label>
    <input id="password" name="password" type="password" autocomplete="current-password" required
      maxlength="200" {focus_password}>
    <button>Sign in</button>
  </form>
  <small>Forgotten? An administrator can set a new password.</small>
</main>
</body>
</html>
"""


def add_sign_in(app: FastAPI, engine: Engine, business: str, pages: tuple[str, ...]) -> None:
    """`pages` are those that one may come to from here; the first is where one goes without a wish."""

    def show(account: str = "", after: str = "", fault: str = "", status: int = 200) -> Response:
        page = PAGE.format(
            style=STYLE,
            business=escape(business),
            initial=escape(business[:1]),
            fault=f'<p class="fault" role="alert">{escape(fault)}</p>' if fault else "",
            action=SIGN_IN,
            next=escape(after if after in pages else pages[0]),
            account=escape(account),
            focus_account="" if account else "autofocus",
            focus_password="autofocus" if account else "",
        )
        headers = {"content-security-policy": POLICY, "cache-control": "no-store"}
        return HTMLResponse(page, status, headers)

    @app.get(SIGN_IN, include_in_schema=False)
    def open_page(next: str = "") -> Response:
        return show(after=next)

    @app.post(SIGN_IN, include_in_schema=False)
    async def enter(
        request: Request,
        account: Annotated[str, Form()] = "",
        password: Annotated[str, Form()] = "",
        next: Annotated[str, Form()] = "",
    ) -> Response:
        address = request.client.host if request.client else "nowhere"
        try:
            token = await run_in_threadpool(sign_in, engine, account, password, address)
        except SignInRefused as refused:
            return show(account, next, str(refused), refused.status)
        answer = RedirectResponse(f"{next if next in pages else pages[0]}/", 303)
        answer.set_cookie(
            COOKIE,
            token,
            max_age=SESSION_HOURS * 3600,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer

    @app.post(SIGN_OUT, include_in_schema=False)
    async def leave(request: Request, form: Annotated[str, Form()] = "") -> Response:
        token = request.cookies.get(COOKIE, "")
        if not compare_digest(form.encode(), form_token(token).encode()):
            return problem(403, "This form is not of your session. Please load the page again.")
        await run_in_threadpool(sign_out, engine, token)
        answer = RedirectResponse(SIGN_IN, 303)
        answer.delete_cookie(COOKIE)
        return answer
