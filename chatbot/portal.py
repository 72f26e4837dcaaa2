"""Which sites may embed the chat, and which addresses are told what happens: the file CHATBOT_PORTAL."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from domains.document import Document
from storage.records import EventKind

SHORTEST_SECRET = 32
SELF = "'self'"
"""Stands among a site's origins for the program's own."""
DEMO = "demo"
"""The site of the demo portal, which the program serves itself."""


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if (
        parts.scheme not in ("http", "https")
        or not parts.netloc
        or text != f"{parts.scheme}://{parts.netloc}"
    ):
        raise ValueError("an origin is https://name[:port], without a path and without a slash at its end")
    return text.lower()


def _address(text: str) -> str:
    if urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).netloc:
        raise ValueError("an address starts with https:// and names a host")
    return text


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _SiteEntry(_Strict):
    origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = Field(min_length=1)
    identity_secret: str | None = None
    """Environment variable with the secret that the site signs its customers' identities with."""


class _WebhookEntry(_Strict):
    url: Annotated[str, AfterValidator(_address)]
    secret: str
    """Environment variable with the secret that signs what is sent."""
    events: tuple[EventKind, ...] = ()


class _PortalFile(_Strict):
    sites: Mapping[Name, _SiteEntry] = Field(default_factory=dict)
    webhooks: Mapping[Name, _WebhookEntry] = Field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    name: str
    origins: tuple[str, ...]
    identity_secret: SecretStr | None = None
    """None where the site cannot say who its visitors are."""


@dataclass(frozen=True)
class Webhook:
    name: str
    url: str
    secret: SecretStr
    events: frozenset[EventKind] = frozenset()
    """Empty: all."""


@dataclass(frozen=True)
class Portal:
    sites: Mapping[str, Site] = field(default_factory=dict)
    webhooks: Mapping[str, Webhook] = field(default_factory=dict)

    @property
    def origins(self) -> frozenset[str]:
        return frozenset(origin for site in self.sites.values() for origin in site.origins)

    def with_site(self, site: Site) -> "Portal":
        return replace(self, sites={**self.sites, site.name: site})

    def site_of(self, origin: str | None) -> str | None:
        """The site to which a page of `origin` belongs."""
        found = (site.name for site in self.sites.values() if origin and origin.lower() in site.origins)
        return next(found, None)

    def ancestors(self, site: str | None) -> tuple[str, ...]:
        """The origins whose pages may hold the chat of `site` in a frame."""
        return self.sites[site].origins if site is not None and site in self.sites else ()


def load_portal(path: Path | None, environment: Mapping[str, str] = os.environ) -> Portal:
    """Read the file; no file, no sites. Raises PackError, which names file, line and key."""
    if path is None:
        return Portal()
    document = Document(path)
    entries = document.parse(_PortalFile)

    def secret(variable: str, *key_path: str) -> SecretStr:
        value = environment.get(variable, "")
        if len(value) < SHORTEST_SECRET:
            problem = "is not set" if not value else f"has less than {SHORTEST_SECRET} characters"
            raise document.error(
                f"{'.'.join(key_path)}: the environment variable {variable} {problem}", *key_path
            )
        return SecretStr(value)

    sites = {}
    for name, site in entries.sites.items():
        if name == DEMO:
            raise document.error(f"sites.{DEMO}: this name is taken by the demo portal", "sites", DEMO)
        variable = site.identity_secret
        signed = secret(variable, "sites", name, "identity_secret") if variable else None
        sites[name] = Site(name, site.origins, signed)
    webhooks = {
        name: Webhook(name, hook.url, secret(hook.secret, "webhooks", name, "secret"), frozenset(hook.events))
        for name, hook in entries.webhooks.items()
    }
    return Portal(sites, webhooks)
