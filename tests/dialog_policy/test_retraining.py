"""From a log to a proposal, small: what is learnt, judged and reported, and what is refused."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text

from dialog_policy.env import DialogueEnv, Reward
from dialog_policy.experience import gather, sift
from dialog_policy.fitted_errors import fit_errors
from dialog_policy.judge import wanted_by
from dialog_policy.offline_learning import (
    ConservativeConfig,
    ImitationConfig,
    imitate_corrections,
    learn_conservatively,
)
from dialog_policy.policy import LearnedPolicy, load_policy
from dialog_policy.population import Population
from dialog_policy.report import write_report
from dialog_policy.retraining import TRIAL, Retraining, read_log, retrain
from dialog_policy.simulation import SimulationConfig, simulate
from domains.schema import OUT_OF_SCOPE, Pack
from nlu.errors import NluErrors
from storage.database import connection, open_database
from storage.logs import LogError
from storage.migration import upgrade
from tests.dialog_policy.conftest import KINDS, MakeEnv
from tests.shipped import SETTINGS


@pytest.fixture(scope="module")
def live(pack: Pack) -> LearnedPolicy:
    return load_policy(SETTINGS.models / "policy", pack)


@pytest.fixture(scope="module")
def engine(
    tmp_path_factory: pytest.TempPathFactory, make_env: MakeEnv, live: LearnedPolicy
) -> Iterator[Engine]:
    """With 120 conversations."""
    engine = open_database(f"sqlite:///{tmp_path_factory.mktemp('log') / 'chatbot.db'}")
    upgrade(engine)
    simulate(engine, make_env(0.2), live, SimulationConfig(120, explore=0.5))
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def measured(pack: Pack) -> NluErrors:
    return NluErrors.uniform(0.05, [*pack.intents, OUT_OF_SCOPE])


@pytest.fixture(scope="module")
def run(engine: Engine, pack: Pack, live: LearnedPolicy, measured: NluErrors) -> Retraining:
    return retrain(engine, pack, live, measured, TRIAL)


def test_that_every_way_of_learning_is_judged(run: Retraining) -> None:
    assert [attempt.method for attempt in run.attempts] == ["leashed", "conservative"]
    assert run.data["conversations"] == 120
    assert 25 < run.held_out < 75
    for attempt in run.attempts:
        assert attempt.judgement.robust.low <= attempt.judgement.robust.value <= attempt.judgement.robust.high
        assert attempt.judgement.words
    if run.proposed is None:
        assert all(attempt.judgement.verdict != "better" for attempt in run.attempts)


def test_that_where_none_is_proposed_the_one_is_best_that_promises_most_judged_and_simulated(
    run: Retraining,
) -> None:
    first, second = (
        replace(
            attempt,
            judgement=replace(
                attempt.judgement,
                verdict="not enough data",
                gain=replace(attempt.judgement.gain, value=gain),
            ),
            simulated={**attempt.simulated, "mean_reward": reward},
        )
        for attempt, gain, reward in zip(run.attempts, (0.02, 0.04), (1.3, -0.2), strict=True)
    )
    assert replace(run, attempts=(first, second)).best is first
    better = replace(second, judgement=replace(second.judgement, verdict="better"))
    assert replace(run, attempts=(first, better)).best is better


def test_that_the_report_needs_no_network_and_says_the_verdict(run: Retraining, tmp_path: Path) -> None:
    odd = replace(run, anomalies=("visitor <b>x</b> has 500 of 620 conversations",))
    write_report(odd, tmp_path / "new" / "report.html")
    html = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert "http" not in html.replace("http-equiv", "")
    assert "<script" not in html
    assert "&lt;b&gt;x&lt;/b&gt; has 500 of 620" in html
    assert run.best.judgement.words.split(".")[0] in html.replace("&#39;", "'")
    assert html.count("<svg") >= 2 * len(run.attempts)


def test_that_misheard_intents_are_found_in_a_log_without_labels(
    engine: Engine, pack: Pack, measured: NluErrors, make_env: MakeEnv, live: LearnedPolicy, tmp_path: Path
) -> None:
    rows = {name: {name: 1.0} for name in measured.intents}
    rows["transfer_money"] = {"transfer_money": 0.4, "close_account": 0.6}
    env = DialogueEnv(
        pack, Population.model_validate({"kinds": KINDS}), replace(measured, intents=rows, slot_missed=0.2)
    )
    shifted = open_database(f"sqlite:///{tmp_path / 'shifted.db'}")
    upgrade(shifted)
    simulate(shifted, env, live, SimulationConfig(300))
    experience, _, _ = read_log(shifted, pack)
    fitted = fit_errors(experience.conversations, measured, pack)
    assert fitted.intents["transfer_money"].get("close_account", 0) > 0.3
    assert fitted.intents["check_balance"]["check_balance"] > 0.8
    assert fitted.slot_missed > 0.1
    shifted.dispose()


def test_that_corrections_are_learnt_and_little_else(engine: Engine, pack: Pack, live: LearnedPolicy) -> None:
    experience, _, _ = read_log(engine, pack)
    rows = [i for i, d in enumerate(experience.observations) if experience.masks[i].sum() > 1]
    places = {str(action): index for index, action in enumerate(live.actions)}
    conversations = list(experience.conversations)
    row, wanted = 0, []
    for place, conversation in enumerate(conversations):
        turns = []
        for turn in conversation.turns:
            new = turn
            if turn.decisions and experience.masks[row, places["rephrase"]]:
                new = replace(turn, correction="rephrase")
                wanted.append(row)
            turns.append(new)
            row += len(turn.decisions)
        conversations[place] = replace(conversation, turns=tuple(turns))
    assert rows
    assert wanted
    corrected = replace(experience, conversations=tuple(conversations))
    found = imitate_corrections(corrected, live, "new", ImitationConfig(steps=200))
    assert found is not None
    chosen = wanted_by(found[0], experience)
    assert (chosen[wanted] == places["rephrase"]).mean() > 0.9
    others = np.setdiff1d(np.arange(len(chosen)), wanted)
    assert (chosen[others] == wanted_by(live, experience)[others]).mean() > 0.9
    assert imitate_corrections(experience, live, "new") is None


def test_that_conservative_learning_stays_near_the_log(
    engine: Engine, pack: Pack, live: LearnedPolicy
) -> None:
    experience, _, _ = read_log(engine, pack)
    policy, _ = learn_conservatively(experience, live, "new", ConservativeConfig(steps=300))
    chosen = wanted_by(policy, experience)
    assert experience.masks[np.arange(len(chosen)), chosen].all()
    assert (chosen == experience.actions).mean() > 0.8


def test_that_a_log_of_another_pack_is_refused(engine: Engine, pack: Pack) -> None:
    with pytest.raises(LogError, match=r"no conversation of pack 'library' \(120 of 'banking'\)"):
        read_log(engine, pack.model_copy(update={"name": "library"}))


def test_that_an_empty_database_is_refused(pack: Pack, tmp_path: Path) -> None:
    empty = open_database(f"sqlite:///{tmp_path / 'empty.db'}")
    upgrade(empty)
    with pytest.raises(LogError, match="none at all"):
        read_log(empty, pack)
    empty.dispose()


def test_that_poison_changes_the_rewards_little_and_is_named(
    engine: Engine, pack: Pack, tmp_path: Path
) -> None:
    clean, reward, anomalies = read_log(engine, pack)
    assert anomalies == ()
    flood = tuple(
        replace(c, id=f"f{n}", visitor="one client", turns=tuple(replace(t, rating=-1) for t in c.turns[:2]))
        for n, c in enumerate(clean.conversations * 4)
    )
    sifted = sift((*clean.conversations, *flood), pack, datetime.now(UTC))
    poisoned, learnt = gather(sifted, pack, Reward())
    assert any("visitor" in anomaly for anomaly in sifted.anomalies)
    assert poisoned.weights[len(clean) :].sum() <= 5.01
    for ending, share in reward.content.items():
        assert learnt.content[ending] == pytest.approx(share, abs=0.1)


def test_that_a_decision_without_probability_stops_the_retraining(
    pack: Pack, make_env: MakeEnv, live: LearnedPolicy, measured: NluErrors, tmp_path: Path
) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'log.db'}")
    upgrade(engine)
    simulate(engine, make_env(), live, SimulationConfig(40))
    with connection(engine, write=True) as opened:
        opened.execute(text("PRAGMA ignore_check_constraints = ON"))
        opened.execute(text("UPDATE decisions SET probability = 0 WHERE rowid = 7"))
    with pytest.raises(LogError, match="without its probability"):
        retrain(engine, pack, live, measured, TRIAL)
    engine.dispose()
