"""Who a visitor is, as the site's own server signed it: a JSON Web Token that lives for minutes."""

import re
import time
from dataclasses import dataclass

import jwt

from chatbot.portal import Site

LONGEST_LIFE_SECONDS = 3600
LEEWAY_SECONDS = 30
"""By which clocks may differ."""
CUSTOMER = re.compile(r"[\w.@:+-]{1,128}", re.ASCII)


class BadIdentity(Exception):
    """A token that proves nothing; the reason is fit for the site's developer."""


@dataclass(frozen=True)
class Identity:
    customer: str
    """As the site calls the customer; the business system knows whom it means."""


def read_identity(token: str, site: Site) -> Identity:
    """Check signature, audience and times of `token`. Raises BadIdentity."""
    if site.identity_secret is None:
        raise BadIdentity(f"Site {site.name} has no identity_secret, so it cannot say who its visitors are.")
    try:
        claims = jwt.decode(
            token,
            site.identity_secret.get_secret_value(),
            algorithms=["HS256"],
            audience=site.name,
            leeway=LEEWAY_SECONDS,
            options={"require": ["sub", "aud", "iat", "exp"], "enforce_minimum_key_length": True},
        )
    except jwt.InvalidTokenError as error:
        raise BadIdentity(f"The identity token is refused: {error}.") from None
    if int(claims["exp"]) - int(claims["iat"]) > LONGEST_LIFE_SECONDS:
        raise BadIdentity(f"The identity token may live for {LONGEST_LIFE_SECONDS} seconds at most.")
    if not CUSTOMER.fullmatch(claims["sub"]):
        raise BadIdentity(
            "The identity token's sub is no customer's name: 1 to 128 of A-Z a-z 0-9 . _ @ : + -"
        )
    return Identity(claims["sub"])


def sign_identity(customer: str, site: Site, seconds: int = 300) -> str:
    """What a site's server does, here for the demo portal and the tests."""
    assert site.identity_secret is not None
    now = int(time.time())
    claims = {"sub": customer, "aud": site.name, "iat": now, "exp": now + seconds}
    return jwt.encode(claims, site.identity_secret.get_secret_value(), algorithm="HS256")
