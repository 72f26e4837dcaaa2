"""Identity tokens: whose word is taken, and whose is not."""

import time
from typing import Any

import jwt
import pytest
from pydantic import SecretStr

from chatbot.identity import BadIdentity, read_identity, sign_identity
from chatbot.portal import Site

SECRET = "a secret of the shop that is long enough"
SHOP = Site("shop", ("https://shop.example",), SecretStr(SECRET))


def token(secret: str = SECRET, algorithm: str = "HS256", **changed: Any) -> str:
    now = int(time.time())
    claims = {"sub": "dana", "aud": "shop", "iat": now, "exp": now + 60} | changed
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, secret, algorithm=algorithm)


def test_the_sites_own_signature_is_believed() -> None:
    assert read_identity(token(), SHOP).customer == "dana"
    assert read_identity(sign_identity("H-1", SHOP), SHOP).customer == "H-1"


now = int(time.time())


@pytest.mark.parametrize(
    "text",
    {
        "another secret": token("another secret that is long enough too"),
        "expired": token(iat=now - 600, exp=now - 300),
        "no expiry": token(exp=None),
        "a life of a day": token(exp=now + 86_400),
        "from the future": token(iat=now + 50_000, exp=now + 50_100),
        "another site": token(aud="blog"),
        "no audience": token(aud=None),
        "no customer": token(sub=None),
        "empty customer": token(sub=""),
        "SQL": token(sub="1' OR '1'='1"),
        "a number": token(sub=1),
        "unsigned": token("", algorithm="none"),
        "another algorithm": token(SECRET * 2, algorithm="HS512"),
        "no token": "not.a.token",
        "empty": "",
        "not ASCII": "ü.ü.ü",
    }.items(),
    ids=lambda case: case[0],
)
def test_nothing_else_is(text: tuple[str, str]) -> None:
    with pytest.raises(BadIdentity):
        read_identity(text[1], SHOP)


def test_a_changed_claim_breaks_the_signature() -> None:
    head, _, signature = token().split(".")
    _, other, _ = token("mine, and long enough for a secret!!", sub="omar").split(".")
    with pytest.raises(BadIdentity, match="Signature"):
        read_identity(f"{head}.{other}.{signature}", SHOP)


def test_a_site_without_a_secret_vouches_for_nobody() -> None:
    with pytest.raises(BadIdentity, match="identity_secret"):
        read_identity(token(), Site("shop", ("https://shop.example",)))
