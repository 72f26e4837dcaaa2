"""Rewards from what a log holds, each part of which may be missing."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from dialog_policy.env import Reward
from dialog_policy.log_reward import CONTENT, LogReward, contradicts, ending_of, learn_reward
from nlu.understanding import Understanding
from storage.logs import LoggedConversation, LoggedDecision, LoggedTurn
from storage.state import DialogueState

NOW = datetime(2026, 5, 1, tzinfo=UTC)
HEARD = Understanding("…", (), (), (), 0.0)


def conversation(
    *turns: tuple[Sequence[str], DialogueState], rating: int = 0, visitor: str | None = "v"
) -> LoggedConversation:
    """Of turns with the bot's actions and the state after them; the rating is of the last one."""
    logged = [
        LoggedTurn(
            number,
            HEARD,
            state,
            tuple(LoggedDecision((0.0,), (True,), action, 1.0, "v1", 2, False) for action in actions),
            (),
            rating if number == len(turns) else 0,
            None,
        )
        for number, (actions, state) in enumerate(turns, 1)
    ]
    last = turns[-1][1]
    status = "closed" if last.closed else "handed_over" if last.handed_over else "open"
    return LoggedConversation("c", "banking", status, visitor, NOW, NOW, tuple(logged))  # type: ignore[arg-type]


DONE = DialogueState(closed=True, goodbye=True, completed=("check_balance",))
SERVED = ((["ask(name)"], DialogueState()), (["execute(check_balance)", "close"], DONE))


@pytest.mark.parametrize(
    ("turns", "ending"),
    [
        (SERVED, "served"),
        (((["close"], DialogueState(closed=True)),), "closed with nothing done"),
        (((["handoff"], DialogueState(handed_over=True)),), "given to a person"),
        (((["handoff"], DialogueState(handed_over=True, wants_person=True)),), "asked for a person"),
        (((["handoff"], DialogueState(handed_over=True, locked=True)),), "asked for a person"),
        (((["ask(name)"], DialogueState()),), "left"),
    ],
)
def test_that_the_ending_is_what_became_of_the_conversation(
    turns: tuple[tuple[list[str], DialogueState], ...], ending: str
) -> None:
    assert ending_of(conversation(*turns)) == ending


def test_that_each_further_message_costs_and_the_end_pays() -> None:
    reward = LogReward(Reward(), CONTENT)
    assert reward.rewards(conversation(*SERVED, rating=1)) == [-4.0, 0.0, 20.0]
    assert reward.rewards(conversation(*SERVED, rating=0)) == pytest.approx([-4.0, 0.0, 18.0])


def test_that_a_thumbs_down_counts_where_it_can_be_meant() -> None:
    reward = LogReward(Reward(), CONTENT)
    misunderstood = ((["rephrase"], DialogueState(failures=1)), (["execute(check_balance)", "close"], DONE))
    assert reward.rewards(conversation(*misunderstood, rating=-1))[-1] == -20.0


def test_that_ratings_which_contradict_what_happened_are_not_believed() -> None:
    reward = LogReward(Reward(), CONTENT)
    left = conversation((["ask(name)"], DialogueState()), rating=1)
    assert contradicts(left)
    assert reward.final(left) == -20.0
    assert contradicts(conversation(*SERVED, rating=-1))
    assert not contradicts(conversation(*SERVED, rating=1))


def test_that_ratings_tell_of_those_who_ended_the_same_way_and_did_not_rate() -> None:
    unhappy = [
        conversation((["close"], DialogueState(closed=True)), rating=-1),
        conversation((["handoff"], DialogueState(handed_over=True)), rating=1),
    ]
    learnt = learn_reward(unhappy * 200, [1.0] * 400, Reward())
    assert learnt.content["closed with nothing done"] < 0.05
    assert learnt.content["given to a person"] > 0.9
    assert learnt.content["served"] == pytest.approx(CONTENT["served"])


def test_that_a_rating_weighs_as_much_as_its_conversation() -> None:
    down = conversation((["close"], DialogueState(closed=True)), rating=-1)
    up = conversation((["close"], DialogueState(closed=True)), rating=1)
    learnt = learn_reward([down] * 500 + [up] * 100, [0.01] * 500 + [1.0] * 100, Reward())
    assert learnt.content["closed with nothing done"] > 0.8
