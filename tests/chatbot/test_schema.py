"""Requests that schemathesis makes from the OpenAPI document: no 5xx, and answers as the document says."""

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from benchmarks.plain_bot import build_plain_bot
from chatbot.api import ApiConfig, create_api
from chatbot.rates import RateConfig
from storage.api_keys import new_api_key
from storage.database import open_database
from storage.migration import upgrade
from storage.records import Owner

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


@pytest.fixture
def api(tmp_path: Path) -> tuple[Any, str, str]:
    """The API's schema, a key and a conversation of that key."""
    url = f"sqlite:///{tmp_path / 'chatbot.db'}"
    upgrade(open_database(url))
    bot = build_plain_bot(url)
    app = create_api(bot, ApiConfig(rates=RateConfig("", "", "")))
    key = new_api_key(bot.store.engine, "schemathesis", "a test")
    conversation = bot.start(Owner(api_key=key[0].id))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    return schema.exclude(path_regex="events$"), key[1], conversation


def test_every_operation_answers_as_documented(api: tuple[Any, str, str]) -> None:
    """Without schemathesis' own plugin, which does not know this pytest."""
    schema, key, conversation = api
    headers = {"Authorization": f"Bearer {key}"}
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 8
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def ask(case: schemathesis.Case) -> None:
            if "conversation_id" in case.path_parameters:
                case.path_parameters["conversation_id"] = conversation
            case.call_and_validate(headers=headers, checks=CHECKS)

        ask()


ENDLESS = "/v1/conversations/{conversation_id}/events"
SIGNED_BY_A_SITE = "/v1/conversations/{conversation_id}/customer"
"""Its example is no token: every site signs its own."""


def test_every_example_of_the_document_works_as_it_stands(api: tuple[Any, str, str]) -> None:
    schema, key, conversation = api
    document = schema.raw_schema
    client = TestClient(schema.app, headers={"Authorization": f"Bearer {key}"})
    told = 0
    for path, operations in document["paths"].items():
        if path in (ENDLESS, SIGNED_BY_A_SITE):
            continue
        for method, operation in operations.items():
            (status, success), *_ = [
                (code, answer) for code, answer in operation["responses"].items() if code < "300"
            ]
            shown = {place["name"]: place["schema"].get("examples", [""])[0] for place in in_path(operation)}
            assert all(shown.values()), f"{path} shows no example of a path's part"
            example = example_of(operation.get("requestBody", {}), document)
            assert example or "requestBody" not in operation, f"{path} shows no request"
            answer = client.request(
                method, path.format(**shown | {"conversation_id": conversation}), json=example
            )
            assert answer.status_code == int(status), (path, answer.text)
            shape = example_of(success, document)
            if isinstance(shape, dict) and isinstance(answer.json(), dict):
                assert shape.keys() >= answer.json().keys() - {"next"}, path
            told += 1
    assert told > 8


def in_path(operation: dict[str, Any]) -> list[dict[str, Any]]:
    return [found for found in operation.get("parameters", ()) if found["in"] == "path"]


def example_of(body: dict[str, Any], document: dict[str, Any]) -> Any:
    """That of a body in JSON; None where there is none."""
    schema = body.get("content", {}).get("application/json", {}).get("schema", {})
    named = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
    return next(iter(named.get("examples", ())), None)
