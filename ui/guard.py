"""Who may see the pages for staff: only people who have signed in, and no other site in their name."""

from urllib.parse import urlsplit

from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatbot.problems import problem
from storage.records import Role
from storage.staff import Staff, signed_in

COOKIE = "staff"
SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
EVERYBODY: tuple[Role, ...] = ("agent", "supervisor", "administrator")
SUPERVISORS: tuple[Role, ...] = ("supervisor", "administrator")
ROLES = {"/desk": EVERYBODY, "/review": EVERYBODY, "/insights": SUPERVISORS, "/learning": SUPERVISORS}
"""Page → who may see it."""
SAFE_METHODS = ("GET", "HEAD")
HEADERS = {
    # Gradio compiles its pages' templates in the browser, hence the two 'unsafe'.
    "content-security-policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "base-uri 'self'; object-src 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


class StaffGuard:
    """Lets requests to the pages in ROLES through with the person in their scope as "staff"."""

    def __init__(self, app: ASGIApp, engine: Engine) -> None:
        self.app, self.engine = app, engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = self._page(scope)
        if page is not None:
            send = _with_headers(send)
        answer = None if page is None else await self._refusal(page, scope)
        await (answer or self.app)(scope, receive, send)

    def _page(self, scope: Scope) -> str | None:
        """The page that a request belongs to; of the sign-in itself its own path."""
        if scope["type"] not in ("http", "websocket"):
            return None
        for page in (SIGN_IN, SIGN_OUT, *ROLES):
            if scope["path"] == page or scope["path"].startswith(f"{page}/"):
                return page
        return None

    async def _refusal(self, page: str, scope: Scope) -> Response | None:
        """The answer instead of the page; None where it may be seen."""
        connection = HTTPConnection(scope)
        method = scope.get("method", "")
        if method not in SAFE_METHODS and not is_own_site(connection.headers):
            return problem(403, "This request did not come from a page of this site.")
        if page not in ROLES:
            return None
        staff = await run_in_threadpool(signed_in, self.engine, connection.cookies.get(COOKIE))
        if staff is None and method == "GET" and scope["path"].rstrip("/") == page:
            return RedirectResponse(f"{SIGN_IN}?next={page}", 303)
        if staff is None:
            return problem(401, "Please sign in.")
        if staff.role not in ROLES[page]:
            return problem(403, f"Your role, {staff.role}, does not go with this page.")
        scope["staff"] = staff
        return None


def is_own_site(headers: Headers) -> bool:
    """Whether a page of this site sent the request: browsers say so, and other sites cannot make them lie."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") == "same-origin"
    return urlsplit(origin).netloc == headers.get("host", "")


def staff_of(scope: Scope) -> Staff | None:
    staff = scope.get("staff")
    return staff if isinstance(staff, Staff) else None


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
