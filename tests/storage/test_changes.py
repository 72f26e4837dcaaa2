"""New states from old ones."""

import dataclasses

import pytest

from storage.changes import replace
from storage.state import DialogueState


def test_that_a_changed_state_equals_the_one_of_dataclasses() -> None:
    state = DialogueState(turn=3, task="transfer_money", recent=("hi",))
    changes = {"turn": 4, "greeted": True}
    assert replace(state, **changes) == dataclasses.replace(state, **changes)  # type: ignore[arg-type]
    assert state == DialogueState(turn=3, task="transfer_money", recent=("hi",))


def test_that_a_field_which_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="DialogueState has no field steps"):
        replace(DialogueState(), steps=2)  # type: ignore[call-arg]


def test_that_a_changed_state_is_still_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        replace(DialogueState(), turn=1).turn = 2  # type: ignore[misc]
