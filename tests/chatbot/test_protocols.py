"""Other programs' clients, unchanged: of Rasa's REST channel, and the official one of OpenAI."""

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from benchmarks.plain_bot import build_plain_bot
from chatbot.api import create_api
from chatbot.bot import Chatbot
from storage.api_keys import new_api_key, revoke_api_key
from storage.database import open_database
from storage.migration import upgrade
from tests.ui.conftest import free_port, running


@pytest.fixture(scope="module")
def bot(tmp_path_factory: pytest.TempPathFactory) -> Chatbot:
    url = f"sqlite:///{tmp_path_factory.mktemp('protocols') / 'chatbot.db'}"
    upgrade(open_database(url))
    return build_plain_bot(url)


@pytest.fixture(scope="module")
def url(bot: Chatbot) -> Iterator[str]:
    with running(create_api(bot), free_port()) as url:
        yield url


@pytest.fixture
def key(bot: Chatbot) -> str:
    return new_api_key(bot.store.engine, "a test", "ann")[1]


@pytest.fixture
def rasa(url: str, key: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        yield client


@pytest.fixture
def client(url: str, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


def say(rasa: httpx.Client, sender: str, message: str) -> list[dict[str, Any]]:
    answer = rasa.post("/webhooks/rest/webhook", json={"sender": sender, "message": message})
    assert answer.status_code == 200, answer.text
    messages: list[dict[str, Any]] = answer.json()
    return messages


def test_a_rasa_client_holds_a_conversation(rasa: httpx.Client) -> None:
    assert "routing number" in say(rasa, "ann", "get_routing_number")[0]["text"]
    answer = say(rasa, "ann", "report_lost_card | name=Dana Whitfield | ssn=4821 | card_number=6467")
    assert {message["recipient_id"] for message in answer} == {"ann"}
    asked = say(rasa, "ann", "remark | last_used_date=yesterday")
    assert asked[-1]["buttons"][0].keys() == {"title", "payload"}


def test_each_sender_of_each_key_has_a_conversation_of_its_own(
    rasa: httpx.Client, bot: Chatbot, url: str
) -> None:
    proof = "check_balance | name=Dana Whitfield | ssn=4821 | account_number=7316"
    assert "$" in say(rasa, "dana", proof)[-1]["text"]
    assert "$" in say(rasa, "dana", "check_balance")[0]["text"]
    assert "$" not in say(rasa, "eve", "check_balance")[0]["text"]
    other_key = new_api_key(bot.store.engine, "another", "ann")[1]
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {other_key}"}) as other:
        assert "$" not in say(other, "dana", "check_balance")[0]["text"]
    say(rasa, "dana", "/restart")
    assert "$" not in say(rasa, "dana", "check_balance")[0]["text"]


def test_two_first_messages_at_once_are_one_conversation(rasa: httpx.Client, bot: Chatbot) -> None:
    before = len(_owned(bot))
    threads = [threading.Thread(target=say, args=(rasa, "twins", "remark")) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(_owned(bot)) == before + 1


def _owned(bot: Chatbot) -> list[str]:
    from sqlalchemy import select

    from storage.database import transaction
    from storage.tables import ConversationRow

    with transaction(bot.store.engine) as session:
        return list(session.scalars(select(ConversationRow.id)))


@pytest.mark.parametrize("authorization", [{}, {"Authorization": "Bearer dk_000000000000_" + "x" * 43}])
def test_without_a_key_neither_answers(url: str, authorization: dict[str, str]) -> None:
    bodies = {
        "/webhooks/rest/webhook": {"sender": "ann", "message": "hello"},
        "/v1/chat/completions": {"messages": [{"role": "user", "content": "hello"}]},
    }
    for path, body in bodies.items():
        answer = httpx.post(f"{url}{path}", json=body, headers=authorization)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_revoked_key_opens_nothing_any_more(rasa: httpx.Client, bot: Chatbot, key: str) -> None:
    say(rasa, "ann", "hello")
    revoke_api_key(bot.store.engine, key.split("_")[1], "ann")
    answer = rasa.post("/webhooks/rest/webhook", json={"sender": "ann", "message": "hello"})
    assert answer.status_code == 401


def test_a_key_goes_on_with_the_conversations_it_began_and_no_others(
    rasa: httpx.Client, bot: Chatbot, url: str
) -> None:
    mine = rasa.post("/v1/conversations").json()["id"]
    rasa.cookies.clear()
    assert rasa.get(f"/v1/conversations/{mine}").status_code == 200
    theirs = httpx.post(f"{url}/v1/conversations").json()["id"]
    assert rasa.get(f"/v1/conversations/{theirs}").status_code == 404


def ask(client: openai.OpenAI, transcript: list[Any], text: str, **more: Any) -> str:
    """Ask as a chat program does: with the whole transcript, to which question and answer are added."""
    transcript.append({"role": "user", "content": text})
    completion = client.chat.completions.create(model="any", messages=transcript, **more)
    answer = completion.choices[0].message.content
    assert answer
    assert completion.choices[0].finish_reason == "stop"
    transcript.append({"role": "assistant", "content": answer})
    return str(answer)


def test_the_openai_client_holds_a_conversation(client: openai.OpenAI) -> None:
    transcript: list[Any] = [{"role": "system", "content": "You are a bank."}]
    proof = "check_balance | name=Dana Whitfield | ssn=4821 | account_number=7316"
    assert "$" in ask(client, transcript, proof, temperature=0.2)
    assert "$" in ask(client, transcript, "check_balance")  # still known
    assert "$" not in ask(client, [], "check_balance")


def test_the_openai_client_streams(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="deskmoe", messages=[{"role": "user", "content": "get_routing_number"}], stream=True
    )
    pieces = [chunk.choices[0] for chunk in stream]
    words = [piece.delta.content for piece in pieces if piece.delta.content]
    assert len(words) > 3
    assert "021307553" in "".join(words)
    assert pieces[-1].finish_reason == "stop"


def test_a_name_of_the_user_finds_the_conversation(client: openai.OpenAI) -> None:
    transcript: list[Any] = []
    proof = "check_balance | name=Dana Whitfield | ssn=4821 | account_number=7316"
    assert "$" in ask(client, transcript, proof, user="dana")
    shortened: list[Any] = [{"role": "assistant", "content": "What else?"}]
    assert "$" in ask(client, shortened, "check_balance", user="dana")
    assert "$" not in ask(client, [], "check_balance", user="dana")  # a transcript begins


def test_equal_transcripts_of_two_people_do_not_meet(client: openai.OpenAI) -> None:
    """Both said the same so far. What the one says next must not show in the other's conversation."""
    first: list[Any] = []
    second: list[Any] = []
    assert ask(client, first, "get_routing_number") == ask(client, second, "get_routing_number")
    proof = "check_balance | name=Dana Whitfield | ssn=4821 | account_number=7316"
    assert "$" in ask(client, first, proof)
    assert "$" not in ask(client, second, "check_balance")


def test_the_model_is_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["deskmoe"]


def test_an_error_reaches_the_openai_client_as_one(client: openai.OpenAI, url: str) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.chat.completions.create(model="any", messages=[{"role": "assistant", "content": "Hello"}])
    assert "last of the messages" in str(refused.value.body)
    stranger = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        ask(stranger, [], "hello")


def test_a_watched_conversation_shows_what_is_said_and_goes_on_after_a_lost_line(
    url: str, bot: Chatbot
) -> None:
    with httpx.Client(base_url=url, timeout=60) as client:
        path = f"/v1/conversations/{client.post('/v1/conversations').json()['id']}"
        heard: list[str] = []
        with client.stream("GET", f"{path}/events") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: status"
            client.post(f"{path}/messages", json={"text": "get_routing_number"}).raise_for_status()
            while len(heard) < 2:
                line = next(lines)
                if line.startswith("id: "):
                    heard.append(line)
        assert heard == ["id: 2", "id: 3"]
        with client.stream("GET", f"{path}/events", headers={"Last-Event-ID": "2"}) as stream:
            again = next(line for line in stream.iter_lines() if line.startswith("id: "))
        assert again == "id: 3"
