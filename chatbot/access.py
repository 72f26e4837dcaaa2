"""Who calls, and whose conversation it is: another's is not there at all."""

import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Cookie, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from chatbot.bot import Chatbot
from chatbot.portal import Portal
from chatbot.rates import Rates
from chatbot.workers import Workers
from storage.api_keys import PREFIX, ApiKey, digest
from storage.conversations import UnknownConversation
from storage.records import Owner

PATH = "/v1/conversations"
COOKIE = "visitor"
BROWSERS = ("origin", "sec-fetch-site")
"""Headers that browsers set and pages cannot."""
LOCAL = ("127.0.0.1", "::1")
OPEN = "open"
"""Stands for the key of callers who need none."""

bearer = HTTPBearer(
    auto_error=False,
    description="An API key (`chatbot api-keys new`), or the token that a new conversation came with.",
)


class Unauthorized(Exception):
    """Nothing, or something that is no key in use, was shown."""


@dataclass(frozen=True)
class Caller:
    address: str
    api_key: str | None = None
    visitor: str | None = None
    """Digest of the token that was shown. It need not be anybody's."""
    browser: bool = True

    @property
    def local(self) -> bool:
        """A program on this very machine, which may come as often as it likes."""
        return self.address in LOCAL and not self.browser


@dataclass(frozen=True)
class Session:
    """A conversation with the token to go on with it; as one text it is what a browser keeps."""

    conversation_id: str
    token: str

    @classmethod
    def read(cls, text: str | None) -> "Session | None":
        """The inverse of str(); None where the text is no session."""
        conversation_id, dot, token = (text or "").partition(".")
        return cls(conversation_id, token) if conversation_id and dot and token else None

    def __str__(self) -> str:
        return f"{self.conversation_id}.{self.token}"


class Access:
    def __init__(
        self,
        bot: Chatbot,
        workers: Workers,
        find_key: Callable[[str], ApiKey | None],
        token_of: Callable[[str], str],
        portal: Portal | None = None,
        rates: Rates | None = None,
        open_api: bool = False,
    ) -> None:
        """`token_of` gives the token of an address: programs need not show any, they go on from there."""
        self.bot, self.portal, self.rates = bot, portal or Portal(), rates or Rates()
        self._workers, self._find_key, self._open_api = workers, find_key, open_api
        self._token_of = token_of

    async def __call__(
        self,
        request: Request,
        shown: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
        kept: Annotated[str | None, Cookie(alias=COOKIE, include_in_schema=False)] = None,
    ) -> Caller:
        """Who calls. Raises Unauthorized for a key that is not in use."""
        address = request.client.host if request.client else ""
        browser = any(name in request.headers for name in BROWSERS)
        token = shown.credentials if shown is not None else kept
        if token is None and not browser:
            token = await self._workers.run(self._token_of, address)
        if token is None or not token.startswith(f"{PREFIX}_"):
            return Caller(address, visitor=digest(token) if token else None, browser=browser)
        key = await self._workers.run(self._find_key, token)
        if key is None:
            raise Unauthorized("The API key is not in use.")
        return Caller(address, api_key=key.id, browser=browser)

    def start(self, caller: Caller, site: str | None = None) -> Session:
        """A new conversation for the caller. Raises TooMany."""
        if caller.api_key is not None:
            self.rates.spend("key", caller.api_key)
        elif not caller.local:
            self.rates.spend("start", caller.address)
        token = secrets.token_urlsafe(32) if caller.browser else self._token_of(caller.address)
        owner = Owner(digest(token), site if site in self.portal.sites else None, caller.api_key)
        return Session(self.bot.start(owner), token)

    def enter(self, conversation_id: str, caller: Caller) -> Owner:
        """Let the caller on with a conversation. Raises TooMany, UnknownConversation."""
        if caller.api_key is not None:
            self.rates.spend("key", caller.api_key)
        elif not caller.local:
            self.rates.spend("visitor", caller.visitor or caller.address)
        return self._own(conversation_id, caller)

    def check(self, session: Session) -> None:
        """Like `enter`, for what a page does by itself and nobody too often. Raises UnknownConversation."""
        self._own(session.conversation_id, Caller("", visitor=digest(session.token)))

    def _own(self, conversation_id: str, caller: Caller) -> Owner:
        owner = self.bot.store.owner(conversation_id)
        if not (_same(owner.api_key, caller.api_key) or _same(owner.visitor, caller.visitor)):
            raise UnknownConversation(conversation_id)
        return owner

    def require_key(self, caller: Caller) -> str:
        """The caller's key, for those whose protocol knows no visitors. Raises Unauthorized, TooMany."""
        if caller.api_key is None and not self._open_api:
            raise Unauthorized("An API key is needed here: chatbot api-keys new")
        key = caller.api_key or OPEN
        self.rates.spend("key", key)
        return key


def keep(session: Session, response: Response, request: Request) -> None:
    """Let a client that keeps cookies go on without showing the token: only there, and from no other site."""
    response.set_cookie(
        COOKIE,
        session.token,
        path=f"{PATH}/{session.conversation_id}",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def name_of(*parts: str) -> str:
    """One name for `parts`, from which they cannot be read back."""
    return digest(json.dumps(parts))


def _same(known: str | None, shown: str | None) -> bool:
    return known is not None and shown is not None and hmac.compare_digest(known, shown)
