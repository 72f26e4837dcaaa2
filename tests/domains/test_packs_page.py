"""The pack that docs/packs.md prints file by file: it loads, has sentences, and serves its customers."""

import random
import re
from pathlib import Path

import pytest

from dialog_policy.env import DialogueEnv
from dialog_policy.evaluate import evaluate
from dialog_policy.policy import RulePolicy
from dialog_policy.population import load_population
from dialog_policy.varied import VariedEnv
from domains.loader import load_pack
from domains.schema import OUT_OF_SCOPE, Pack
from nlu.checks import check
from nlu.errors import NluErrors
from nlu.sentences import load_pack_examples

PAGE = Path(__file__).parents[2] / "docs" / "packs.md"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder = tmp_path_factory.mktemp("packs") / "library"
    for name, text in re.findall(r"(?ms)^```\w+ file=(\S+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return load_pack(folder)


def test_that_the_printed_pack_has_sentences_to_learn_from(library: Pack) -> None:
    examples = load_pack_examples(library, random.Random(0))
    check(examples, pack=library).raise_errors()
    assert {intent for e in examples for intent in e.intents} == {*library.intents, OUT_OF_SCOPE}


def test_that_the_printed_pack_serves_simulated_customers(library: Pack) -> None:
    errors = NluErrors.uniform(0.1, [*library.intents, OUT_OF_SCOPE])
    population = load_population("default", library)
    for env in (DialogueEnv(library, population, errors), VariedEnv(library, population, errors, seed=0)):
        figures = evaluate(RulePolicy(library), env, 100, seed=0)
        assert figures["success_rate"] > 0.8
        assert figures["wrong_executions"] == 0


def test_that_the_printed_backend_does_what_the_page_says(library: Pack) -> None:
    backend = library.backend("sqlite://")
    proof = {"name": "ada byron", "member_number": "0031"}
    found = backend.execute("verify_member", proof, "1")
    assert (found.outcome, found.facts["first_name"]) == ("verified", "Ada")
    asked = {**found.facts, "title": "dune", "branch": "harbor"}
    done = backend.execute("reserve_book", asked, "2")
    assert backend.execute("reserve_book", {}, "2") == backend.withdraw("2") == done
    assert set(done.facts) == set(library.tasks["reserve_book"].outcomes["done"])
    assert backend.execute("reserve_book", {**asked, "title": "Emma"}, "3").outcome == "not_found"
    assert backend.execute("verify_member", {**proof, "name": "Ada Lovelace"}, "4").outcome == "not_matched"
