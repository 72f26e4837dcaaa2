"""The pack's golden conversations, held over HTTP with the shipped models and a real database."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from chatbot.api import create_api
from domains.document import Document
from domains.loader import load_pack
from tests.shipped import SETTINGS, shipped_bot

pytestmark = pytest.mark.shipped

DIALOGUES: list[dict[str, Any]] = Document(SETTINGS.domain / "dialogues.yaml").data


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    """A server with a fresh bank: what one conversation does to it, the next does not see."""
    with TestClient(create_api(shipped_bot(tmp_path))) as client:
        yield client


def test_that_there_are_forty_conversations_over_all_tasks_and_every_file_of_knowledge() -> None:
    pack = load_pack(SETTINGS.domain)
    assert sum("gap" not in dialogue for dialogue in DIALOGUES) >= 40
    covered = {word for dialogue in DIALOGUES if "gap" not in dialogue for word in dialogue["covers"]}
    assert covered >= {name for name, intent in pack.intents.items() if intent.kind == "task"}
    files = {topic.source.partition(":")[0] for topic in pack.topics.values()}
    assert {pack.topics[word].source.partition(":")[0] for word in covered if word in pack.topics} == files


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda dialogue: str(dialogue["name"]))
def test_that_the_golden_conversation_runs_as_written(
    dialogue: dict[str, Any], client: TestClient, request: pytest.FixtureRequest
) -> None:
    if "gap" in dialogue:
        request.applymarker(pytest.mark.xfail(reason=dialogue["gap"]))
    started = client.post("/v1/conversations").json()
    path = f"/v1/conversations/{started['id']}/messages"
    for turn in dialogue["turns"]:
        response = client.post(path, json={"text": turn["customer"]})
        assert response.status_code == 200, response.text
        said = " ".join(message["text"] for message in response.json()["messages"])
        for pattern in turn.get("says", ()):
            assert re.search(pattern, said, re.IGNORECASE), f"{turn['customer']!r} was answered: {said!r}"
        for pattern in turn.get("never", ()):
            assert not re.search(pattern, said, re.IGNORECASE), f"{turn['customer']!r} was answered: {said!r}"
