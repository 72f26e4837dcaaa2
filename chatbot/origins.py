"""From which pages the program may be called, and which may hold its own in a frame."""

import secrets
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatbot.portal import Portal
from chatbot.problems import problem

CONTENT = (
    "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors {ancestors}"
)
"""'unsafe-eval' is for Gradio, which makes functions of its listeners; inline scripts need the nonce."""
READING = ("GET", "HEAD")
"""What a page of any site may cause, as with a picture, though it cannot read what it gets."""
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class OriginCheck:
    """Answers 403 to pages of sites that are not listed, and lets pages of the listed ones read answers."""

    def __init__(self, app: ASGIApp, allowed: frozenset[str]) -> None:
        self.app, self._allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None or _is_own(origin, headers):
            return await self.app(scope, receive, send)
        if not scope["path"].startswith("/v1/") or origin.lower() not in self._allowed:
            if scope["method"] in READING:
                return await self.app(scope, receive, _unreadable(send))
            refusal = problem(403, "This site is not on the list of those that may call the chat.")
            return await refusal(scope, receive, send)
        if scope["method"] == "OPTIONS":
            return await _answer_preflight(origin)(scope, receive, send)

        async def send_readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                _allow(MutableHeaders(scope=message), origin)
            await send(message)

        return await self.app(scope, receive, send_readable)


class ContentPolicy:
    """Security headers on every answer, and on pages a policy that lets only their own scripts run."""

    def __init__(self, app: ASGIApp, portal: Portal) -> None:
        self.app, self._portal = app, portal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "staff" in scope:  # whose pages have a policy of their own
            return await self.app(scope, receive, send)
        page = _Page(send, self._ancestors(scope))
        return await self.app(scope, receive, page.send)

    def _ancestors(self, scope: Scope) -> Iterable[str]:
        site = parse_qs(scope["query_string"].decode("latin-1")).get("site", [""])[0]
        return self._portal.ancestors(site) if scope["path"] == "/" else ()


class _Page:
    """Holds an HTML answer back until it is whole, to put the nonce on its scripts."""

    def __init__(self, send: Send, ancestors: Iterable[str]) -> None:
        self._send, self._ancestors = send, " ".join(ancestors) or "'none'"
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in ALWAYS.items():
                headers.setdefault(name, value)
            html = headers.get("content-type", "").startswith("text/html")
            if html and not {"content-encoding", "content-security-policy"} & set(headers.keys()):
                self._start = message
                return
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_page(self._start)
            return
        await self._send(message)

    async def _send_page(self, start: Message) -> None:
        nonce = secrets.token_urlsafe(16)
        body = self._body.replace(b"<script", f'<script nonce="{nonce}"'.encode())
        headers = MutableHeaders(scope=start)
        headers["Content-Security-Policy"] = CONTENT.format(nonce=nonce, ancestors=self._ancestors)
        if "content-length" in headers and self._body:
            headers["Content-Length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _is_own(origin: str, headers: Headers) -> bool:
    """Whether the page is ours. `same-origin` is the browser's own word, which no page can forge."""
    return headers.get("sec-fetch-site") == "same-origin" or urlsplit(origin).netloc == headers.get("host")


def _answer_preflight(origin: str) -> Response:
    answer = Response(status_code=204)
    _allow(answer.headers, origin)
    answer.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT"
    answer.headers["Access-Control-Allow-Headers"] = "Accept, Authorization, Content-Type, Last-Event-ID"
    answer.headers["Access-Control-Max-Age"] = "600"
    return answer


def _unreadable(send: Send) -> Send:
    """Without what Gradio says for itself about other sites."""

    async def send_unreadable(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name in [name for name in headers.keys() if name.startswith("access-control-")]:  # noqa: SIM118
                del headers[name]
        await send(message)

    return send_unreadable


def _allow(headers: MutableHeaders, origin: str) -> None:
    headers["Access-Control-Allow-Origin"] = origin
    headers["Access-Control-Expose-Headers"] = "Retry-After, X-Request-ID"
    headers.add_vary_header("Origin")
