"""The knowledge of the banking pack: complete, free of literal numbers, short enough for a chat."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from domains.document import Document
from domains.loader import _load_topics
from domains.schema import PLACEHOLDER, Domain, Topic

PACK = Path(__file__).parents[2] / "domains" / "banking"
LONGEST_ANSWER = 600
SHARED_WITH_BACKEND = frozenset({"max_accounts"})
"""Facts that no answer needs, kept because the demo bank works with the same values."""

NUMBER_WORDS = re.compile(
    r"\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|hundred|thousand)\b", re.IGNORECASE
)
MARKDOWN = re.compile(r"^\s*([-*+#>|]|\d+\.)|\*\*|__|`|\]\(", re.MULTILINE)


@pytest.fixture(scope="module")
def domain() -> Domain:
    return Document(PACK / "domain.yaml").parse(Domain)


@pytest.fixture(scope="module")
def topics(domain: Domain) -> Mapping[str, Topic]:
    return _load_topics(PACK, domain)


def facts() -> dict[str, object]:
    return dict(Document(PACK / "facts.yaml").data)


def written_answers() -> dict[str, str]:
    """Intent → its answer as it stands in the folder, with the placeholders still in it."""
    answers: dict[str, str] = {}
    for path in sorted((PACK / "knowledge").glob("*.md")):
        for section in path.read_text(encoding="utf-8").split("\n## ")[1:]:
            heading, _, body = section.partition("\n")
            answers[heading.partition(":")[0]] = body.strip()
    return answers


def test_every_faq_intent_has_an_answer(domain: Domain, topics: Mapping[str, Topic]) -> None:
    assert set(topics) == {name for name, intent in domain.intents.items() if intent.kind == "faq"}
    assert set(written_answers()) == set(topics)


def test_every_knowledge_file_opens_with_a_title() -> None:
    paths = list((PACK / "knowledge").glob("*.md"))
    assert paths
    assert [p.name for p in paths if not re.match(r"# \S", p.read_text(encoding="utf-8"))] == []


def test_no_answer_holds_a_number_before_the_facts_are_filled_in() -> None:
    bare = {name: PLACEHOLDER.sub("", text) for name, text in written_answers().items()}
    assert [name for name, text in bare.items() if re.search(r"\d", text) or NUMBER_WORDS.search(text)] == []


def test_no_placeholder_is_left_once_the_facts_are_filled_in(topics: Mapping[str, Topic]) -> None:
    assert [name for name, topic in topics.items() if "{" in topic.text or "}" in topic.text] == []


def test_every_fact_is_a_text_ready_for_display() -> None:
    assert [key for key, value in facts().items() if not isinstance(value, str) or not value.strip()] == []


def test_every_fact_is_used_or_shared_with_the_backend() -> None:
    used = {fact for text in written_answers().values() for fact in PLACEHOLDER.findall(text)}
    assert set(facts()) - used == SHARED_WITH_BACKEND


def test_every_answer_is_short_enough_for_a_chat(topics: Mapping[str, Topic]) -> None:
    sentences = {name: len(re.findall(r"[.!?](?=\s|$)", topic.text)) for name, topic in topics.items()}
    assert [name for name, topic in topics.items() if len(topic.text) >= LONGEST_ANSWER] == []
    assert [name for name, count in sentences.items() if not 2 <= count <= 4] == []


def test_every_answer_is_one_plain_paragraph(topics: Mapping[str, Topic]) -> None:
    assert [name for name, topic in topics.items() if "\n" in topic.text or MARKDOWN.search(topic.text)] == []


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("card_payment_not_recognised", "dispute a charge"),
        ("cash_withdrawal_not_recognised", "dispute a charge"),
        ("direct_debit_payment_not_recognised", "dispute a charge"),
        ("transaction_charged_twice", "dispute a charge"),
        ("extra_charge_on_statement", "dispute a charge"),
        ("compromised_card", "report a lost card"),
        ("card_swallowed", "report a lost card"),
        ("card_about_to_expire", "replace my card"),
        ("card_not_working", "replace my card"),
        ("edit_personal_details", "update my address"),
    ],
)
def test_an_answer_names_the_task_that_the_bot_can_do_itself(
    topics: Mapping[str, Topic], name: str, phrase: str
) -> None:
    assert f'"{phrase}"' in topics[name].text
