"""The file of sites and webhooks, and what is wrong with one."""

from pathlib import Path

import pytest

from chatbot.portal import Portal, load_portal
from domains.document import PackError

ENVIRONMENT = {"SHOP_SECRET": "s" * 32, "SHORT": "s" * 31}
WHOLE = """
sites:
  shop:
    origins: [https://shop.example, "http://localhost:8000"]
    identity_secret: SHOP_SECRET
  blog:
    origins: [https://blog.example]
webhooks:
  crm:
    url: https://crm.example/hooks
    secret: SHOP_SECRET
    events: [message, handoff]
"""


def load(tmp_path: Path, text: str) -> Portal:
    path = tmp_path / "portal.yaml"
    path.write_text(text, encoding="utf-8")
    return load_portal(path, ENVIRONMENT)


def test_without_a_file_no_site_is_listed() -> None:
    assert load_portal(None, {}) == Portal()
    assert Portal().origins == frozenset()
    assert Portal().ancestors(None) == ()


def test_a_file_names_sites_with_their_origins_and_secrets(tmp_path: Path) -> None:
    portal = load(tmp_path, WHOLE)
    assert portal.ancestors("shop") == ("https://shop.example", "http://localhost:8000")
    assert portal.site_of("https://BLOG.example") == "blog"
    assert portal.site_of("https://other.example") is None
    assert portal.sites["blog"].identity_secret is None
    assert portal.webhooks["crm"].events == {"message", "handoff"}
    assert "s" * 32 not in repr(portal)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sites:\n  shop:\n    origins: []", "portal.yaml:3: sites.shop.origins"),
        ("sites:\n  shop:\n    origins: [https://shop.example/]", "without a slash at its end"),
        ("sites:\n  shop:\n    origins: ['*']", "an origin is https://"),
        ("sites:\n  Shop One:\n    origins: [https://a.example]", "portal.yaml:2"),
        ("sites:\n  demo:\n    origins: [https://a.example]", "taken by the demo portal"),
        (
            "sites:\n  shop:\n    origins: [https://a.example]\n    identity_secret: MISSING",
            "portal.yaml:4: sites.shop.identity_secret: the environment variable MISSING is not set",
        ),
        (
            "sites:\n  shop:\n    origins: [https://a.example]\n    identity_secret: SHORT",
            "SHORT has less than 32 characters",
        ),
        ("webhooks:\n  crm:\n    url: ftp://crm.example\n    secret: SHOP_SECRET", "webhooks.crm.url"),
        (
            "webhooks:\n  crm:\n    url: https://a.example\n    secret: SHOP_SECRET\n    events: [sneeze]",
            "webhooks.crm.events",
        ),
        ("pages: {}", "pages"),
    ],
)
def test_a_broken_file_is_refused_with_its_line_and_key(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(PackError) as refused:
        load(tmp_path, text)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)
