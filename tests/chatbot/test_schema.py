"""Requests that schemathesis makes from the OpenAPI document: no 5xx, and answers as the document says."""

from typing import Any

import pytest
import schemathesis
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

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str, str]:
    """The API's schema, a key and a conversation of that key."""
    url = f"sqlite:///{tmp_path_factory.mktemp('schema') / 'chatbot.db'}"
    upgrade(open_database(url))
    bot = build_plain_bot(url)
    app = create_api(bot, ApiConfig(rates=RateConfig("", "", "")))
    key = new_api_key(bot.store.engine, "schemathesis", "a test")
    from storage.records import Owner

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
