"""Whose conversation it is, how often one may come, and from which pages."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from chatbot.api import ApiConfig, create_api
from chatbot.identity import sign_identity
from chatbot.portal import Portal, Site
from chatbot.rates import RateConfig
from tests.stand_in_bot import StandInBot

SHOP = Site("shop", ("https://shop.example",), SecretStr("a secret of the shop that is long enough"))
BLOG = Site("blog", ("https://blog.example",))
BROWSER = {"Sec-Fetch-Site": "same-origin"}
PORTAL = Portal({"shop": SHOP, "blog": BLOG})


@pytest.fixture
def bot() -> StandInBot:
    return StandInBot()


@pytest.fixture
def visit(bot: StandInBot) -> Iterator[Callable[..., TestClient]]:
    """Another visitor, with cookies of its own."""
    app = create_api(bot, ApiConfig(portal=PORTAL, rates=RateConfig("20/minute", "", "6/minute")))
    with TestClient(app, raise_server_exceptions=False) as first:
        yield lambda address="somewhere", **headers: TestClient(
            app, raise_server_exceptions=False, client=(address, 50_000), headers=headers or BROWSER
        )
        assert first


def begin(client: TestClient, **headers: str) -> dict[str, str]:
    started = client.post("/v1/conversations", headers=headers)
    assert started.status_code == 201
    return {
        "path": f"/v1/conversations/{started.json()['id']}",
        "Authorization": f"Bearer {started.json()['token']}",
    }


def uses(client: TestClient, path: str, headers: dict[str, str]) -> list[httpx.Response]:
    return [
        client.get(path, headers=headers),
        client.get(f"{path}/events", headers=headers),
        client.post(f"{path}/messages", json={"text": "hello"}, headers=headers),
        client.post(f"{path}/messages/1/rating", json={"rating": 1}, headers=headers),
        client.put(f"{path}/customer", json={"token": "x"}, headers=headers),
    ]


@pytest.mark.parametrize("shown", ["nothing", "another's", "rubbish", "no key"])
def test_another_visitors_conversation_is_not_there(
    visit: Callable[..., TestClient], bot: StandInBot, shown: str
) -> None:
    mine, theirs = begin(visit()), begin(visit())
    headers = {
        "nothing": {},
        "another's": {"Authorization": theirs["Authorization"]},
        "rubbish": {"Authorization": "Bearer ' OR 1=1 --"},
        "no key": {"Authorization": "Basic dXNlcjpwYXNz"},
    }[shown]
    assert {answer.status_code for answer in uses(visit(), mine["path"], headers)} == {404}
    assert bot.calls == []


def test_the_token_opens_the_conversation_and_so_does_the_cookie_that_goes_with_it(
    visit: Callable[..., TestClient],
) -> None:
    client = visit()
    mine = begin(client)
    assert client.get(mine["path"]).status_code == 200
    elsewhere = visit()
    token = {"Authorization": mine["Authorization"]}
    assert elsewhere.get(mine["path"], headers=token).status_code == 200
    (cookie,) = client.cookies.jar
    assert cookie.path == mine["path"]
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "strict"


def test_a_program_goes_on_from_the_address_where_it_began_and_shows_nothing(
    visit: Callable[..., TestClient],
) -> None:
    script = {"User-Agent": "curl/8.0"}
    mine = begin(visit("10.0.0.7", **script))
    assert visit("10.0.0.7", **script).get(mine["path"]).status_code == 200
    assert {a.status_code for a in uses(visit("10.0.0.8", **script), mine["path"], {})} == {404}
    assert visit("10.0.0.7").get(mine["path"]).status_code == 404, "a page in a browser has to show its token"
    token = {"Authorization": mine["Authorization"]}
    assert visit("10.0.0.8", **script).get(mine["path"], headers=token).status_code == 200


def test_a_program_does_not_get_at_what_a_browser_began(visit: Callable[..., TestClient]) -> None:
    mine = begin(visit("10.0.0.7"))
    program = visit("10.0.0.7", **{"User-Agent": "curl/8.0"})
    assert {answer.status_code for answer in uses(program, mine["path"], {})} == {404}


def test_a_program_on_this_machine_may_come_often(visit: Callable[..., TestClient]) -> None:
    program = visit("127.0.0.1", **{"User-Agent": "curl/8.0"})
    paths = [begin(program)["path"] for _ in range(8)]
    assert {program.get(path).status_code for path in 4 * paths} == {200}


def test_a_token_of_anothers_form_of_key_is_refused(visit: Callable[..., TestClient]) -> None:
    client = visit()
    answer = client.get("/v1/conversations/x", headers={"Authorization": "Bearer dk_0_0"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_visitor_who_comes_too_often_has_to_wait_and_others_have_not(
    visit: Callable[..., TestClient],
) -> None:
    client, other = visit("a"), visit("b")
    mine, theirs = begin(client), begin(other)
    answers = [client.get(mine["path"]) for _ in range(25)]
    assert [answer.status_code for answer in answers] == [200] * 20 + [429] * 5
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    assert answers[-1].headers["content-type"] == "application/problem+json"
    assert other.get(theirs["path"]).status_code == 200


def test_one_address_begins_only_so_many_conversations(visit: Callable[..., TestClient]) -> None:
    statuses = [visit("a").post("/v1/conversations").status_code for _ in range(8)]
    assert statuses == [201] * 6 + [429] * 2
    assert visit("b").post("/v1/conversations").status_code == 201


def test_a_listed_site_may_call_and_read(visit: Callable[..., TestClient], bot: StandInBot) -> None:
    client = visit("somewhere", **{"Sec-Fetch-Site": "cross-site"})
    preflight = client.options(
        "/v1/conversations",
        headers={"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"},
    )
    assert preflight.status_code == 204
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    started = client.post("/v1/conversations", headers={"Origin": "https://shop.example"})
    assert started.headers["access-control-allow-origin"] == "https://shop.example"
    assert "Origin" in started.headers["vary"]
    assert "access-control-allow-credentials" not in started.headers
    (owner,) = bot.store.owners.values()
    assert owner.site == "shop"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://shop.example", "null", "https://shop.example.evil"]
)
def test_a_site_that_is_not_listed_may_not(
    visit: Callable[..., TestClient], bot: StandInBot, origin: str
) -> None:
    answer = visit().post("/v1/conversations", headers={"Origin": origin, "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    assert bot.store.conversations == {}


def test_the_programs_own_pages_may_call(visit: Callable[..., TestClient]) -> None:
    client = visit()
    assert client.post("/v1/conversations", headers={"Origin": "http://testserver"}).status_code == 201
    behind_proxy = {"Origin": "https://chat.example", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/v1/conversations", headers=behind_proxy).status_code == 201


def test_a_signed_customer_is_taken_and_any_other_is_not(
    visit: Callable[..., TestClient], bot: StandInBot
) -> None:
    client = visit()
    path = begin(client, Origin="https://shop.example")["path"]

    def say(token: str) -> int:
        return client.put(f"{path}/customer", json={"token": token}).status_code

    forged = Site("shop", SHOP.origins, SecretStr("a secret that the shop has never seen"))
    assert say(sign_identity("dana", forged)) == 401
    assert say(sign_identity("dana", SHOP, seconds=-60)) == 401
    assert bot.store.customers == {}
    assert say(sign_identity("nobody", SHOP)) == 422
    assert say(sign_identity("dana", SHOP)) == 204
    assert say(sign_identity("dana", SHOP)) == 204
    assert say(sign_identity("omar", SHOP)) == 409
    assert list(bot.store.customers.values()) == ["dana"]


def test_another_sites_signature_says_nothing_here(visit: Callable[..., TestClient], bot: StandInBot) -> None:
    client = visit()
    for origin in ("https://blog.example", "http://testserver"):
        path = begin(client, Origin=origin)["path"]
        answer = client.put(f"{path}/customer", json={"token": sign_identity("dana", SHOP)})
        assert answer.status_code in (401, 422)
    assert bot.store.customers == {}


def test_the_history_comes_page_by_page(visit: Callable[..., TestClient]) -> None:
    client = visit()
    path = begin(client)["path"]
    for _ in range(2):
        client.post(f"{path}/messages", json={"text": "hello"}).raise_for_status()
    seen, after = [], 0
    while after is not None:
        page = client.get(path, params={"after": after, "limit": 3}).json()
        assert len(page["messages"]) <= 3
        seen += [message["seq"] for message in page["messages"]]
        after = page.get("next")
    assert seen == list(range(1, 8))
