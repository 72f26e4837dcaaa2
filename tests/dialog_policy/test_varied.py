import random

import pytest

from dialog_policy.population import Population, load_population
from dialog_policy.varied import AS_DESCRIBED, HIGHEST_ERROR, VariedEnv, vary
from domains.schema import Pack
from nlu.errors import NluErrors


@pytest.fixture(scope="module")
def described(pack: Pack) -> Population:
    return load_population("default", pack)


@pytest.fixture(scope="module")
def env(pack: Pack, described: Population) -> VariedEnv:
    return VariedEnv(pack, described, NluErrors.uniform(0.05, list(pack.intents)), seed=3)


def test_that_a_varied_population_has_the_same_kinds_and_keeps_what_makes_them(described: Population) -> None:
    for seed in range(50):
        varied = vary(described, random.Random(seed))
        assert varied.kinds.keys() == described.kinds.keys()
        assert varied.kinds["person"].wants_person
        assert varied.kinds["asker"].tasks == (0, 0)
        for kind in varied.kinds.values():
            assert Population.model_validate({"kinds": {"one": kind.model_dump()}})
            assert kind.patience[0] >= 2


def test_that_conversations_differ_in_customers_and_errors_and_many_are_as_described(
    env: VariedEnv, described: Population
) -> None:
    populations, rates, same = set(), set(), 0
    for seed in range(400):
        env.begin(seed)
        populations.add(id(env.population))
        rates.add(round(env.errors.slot_missed, 3))
        same += env.population is described
    assert len(populations) > 30
    assert min(rates) == 0
    assert max(rates) >= HIGHEST_ERROR / 2
    assert AS_DESCRIBED - 0.1 < same / 400 < AS_DESCRIBED + 0.1


def test_that_every_row_of_varied_errors_is_a_distribution(env: VariedEnv) -> None:
    for seed in range(100):
        env.begin(seed)
        for row in env.errors.intents.values():
            assert sum(row.values()) == pytest.approx(1.0)
        assert env.errors.slot_missed + env.errors.slot_wrong < 1


def test_that_the_same_seed_brings_the_same_conversation(pack: Pack, described: Population) -> None:
    errors = NluErrors.uniform(0.05, list(pack.intents))
    one, other = (VariedEnv(pack, described, errors, seed=9) for _ in range(2))
    for env in (one, other):
        env.begin(17)
    assert one.heard == other.heard
    assert one.population == other.population


def test_that_typing_errors_and_the_wish_for_a_person_vary_where_a_kind_has_them() -> None:
    kinds = {"sloppy": {"share": 1, "typos": 0.2, "asks_person": 0.8}, "careful": {"share": 1}}
    described = Population.model_validate({"kinds": kinds})
    varied = [vary(described, random.Random(seed)).kinds for seed in range(30)]
    assert len({kinds["sloppy"].typos for kinds in varied}) == 30
    assert all(0 <= kinds["sloppy"].asks_person <= 1 for kinds in varied)
    assert all(kinds["careful"].typos == kinds["careful"].asks_person == 0 for kinds in varied)
