"""What of a log is used: whole, settled, of this program's schema, and nobody's flood."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from dialog_policy.experience import FEWEST, gather, general, sift
from dialog_policy.features import FEATURE_VERSION, feature_names
from dialog_policy.rules import action_set
from domains.schema import Pack
from storage.logs import SILENCE, LogError, LoggedConversation, LoggedDecision
from storage.state import DialogueState
from tests.dialog_policy.test_log_reward import NOW, SERVED, conversation

LATER = NOW + SILENCE + timedelta(minutes=1)


def log_of(
    pack: Pack, count: int, rating: int = 1, visitor: str | None = None, mark: float = 0.0
) -> list[LoggedConversation]:
    """Conversations with observations that are all different, unless they have the same mark and place."""
    actions = action_set(pack)
    width = len(feature_names(pack, actions))
    found = []
    for place in range(count):
        observation = (mark + place / 10_000, *([0.0] * (width - 1)))
        decision = LoggedDecision(
            observation, (True,) * len(actions), "close", 1.0, "v1", FEATURE_VERSION, False
        )
        base = conversation((["ask(name)"], DialogueState()), *SERVED, rating=rating)
        turns = tuple(
            replace(turn, decisions=tuple(replace(decision, action=d.action) for d in turn.decisions))
            for turn in base.turns
        )
        name = f"{mark}-{place}"
        found.append(replace(base, id=name, turns=turns, visitor=visitor or name))
    return found


def test_that_arrays_hold_the_log_decision_by_decision(pack: Pack) -> None:
    experience, _ = gather(sift(log_of(pack, 40), pack, LATER), pack)
    assert len(experience) == 40
    assert experience.returns.tolist() == [12.0] * 40
    assert [str(action_set(pack)[i]) for i in experience.actions[:4]] == [
        "ask(name)",
        "ask(name)",
        "execute",
        "close",
    ]
    assert experience.final[:4].tolist() == [False, False, False, True]
    half = experience.select(np.arange(40) % 2 == 0)
    assert (half.first == np.arange(20) * 4).all()
    assert [c.id for c in half.conversations] == [c.id for c in experience.conversations[::2]]


def test_that_actions_are_read_as_in_the_action_set() -> None:
    assert [general(a) for a in ("ask(name)", "execute(check_balance)", "answer(age_limit)", "close")] == [
        "ask(name)",
        "execute",
        "answer",
        "close",
    ]


def test_that_exact_replays_are_dropped_and_named(pack: Pack) -> None:
    log = log_of(pack, 40)
    sifted = sift([*log, *(replace(log[3], id=f"again-{i}") for i in range(60))], pack, LATER)
    assert len(sifted.conversations) == 40
    assert "60 conversations are exact replays of 1 others" in sifted.anomalies[0]
    assert log[3].id in sifted.anomalies[0]


def test_that_a_visitors_flood_weighs_as_much_as_a_few_conversations_and_is_named(pack: Pack) -> None:
    flood = log_of(pack, 500, rating=-1, visitor="token", mark=0.5)
    sifted = sift([*log_of(pack, 500), *flood], pack, LATER)
    weights = np.array(sifted.weights)
    assert weights[:500].tolist() == [1.0] * 500
    assert weights[500:].sum() == pytest.approx(5.0)
    (line,) = [a for a in sifted.anomalies if "visitor" in a]
    assert "500 of 1000 conversations, 500 of them with thumbs down" in line
    assert "token" not in line


def test_that_flipped_ratings_are_noticed(pack: Pack) -> None:
    flipped = log_of(pack, 20, rating=-1, mark=0.5)
    anomalies = sift([*log_of(pack, 180), *flipped], pack, LATER).anomalies
    assert any("20 of 200 ratings contradict" in anomaly for anomaly in anomalies)
    assert not sift(log_of(pack, 200), pack, LATER).anomalies


def test_that_conversations_still_going_on_are_left_out(pack: Pack) -> None:
    going = [replace(c, id=f"{c.id}-open", status="open") for c in log_of(pack, 5, mark=0.5)]
    sifted = sift([*log_of(pack, 40), *going], pack, NOW)
    assert len(sifted.conversations) == 40
    assert "5 conversations left out: still going on" in sifted.anomalies


def older(log: list[LoggedConversation]) -> list[LoggedConversation]:
    return [
        replace(
            c,
            turns=tuple(
                replace(t, decisions=tuple(replace(d, feature_version=1) for d in t.decisions))
                for t in c.turns
            ),
        )
        for c in log
    ]


def test_that_a_log_of_an_older_feature_schema_is_refused(pack: Pack) -> None:
    with pytest.raises(LogError, match=f"feature version 1, this program has {FEATURE_VERSION}"):
        sift(older(log_of(pack, 200)), pack, LATER)


def test_that_what_is_new_enough_of_a_mixed_log_is_used(pack: Pack) -> None:
    sifted = sift([*older(log_of(pack, 10, mark=0.5)), *log_of(pack, 40)], pack, LATER)
    assert len(sifted.conversations) == 40


def test_that_too_few_conversations_are_refused(pack: Pack) -> None:
    with pytest.raises(LogError, match=f"at least {FEWEST} are needed"):
        sift(log_of(pack, FEWEST - 1), pack, LATER)


def test_that_a_log_of_a_pack_with_other_slots_is_refused(pack: Pack) -> None:
    short = [
        replace(
            c,
            turns=tuple(
                replace(t, decisions=tuple(replace(d, observation=(0.0,)) for d in t.decisions))
                for t in c.turns
            ),
        )
        for c in log_of(pack, 40)
    ]
    with pytest.raises(LogError, match="other slots or tasks"):
        sift(short, pack, LATER)
