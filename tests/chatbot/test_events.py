"""Telling what happens in conversations, within the process."""

import pytest

from chatbot.events import Events
from storage.records import Event

SAID = Event("message", "c1", {"seq": 1, "author": "bot", "text": "Hello"})


def test_everybody_who_listens_is_told_in_order() -> None:
    events, heard = Events(), []
    events.subscribe(lambda event: heard.append(("first", event)))
    events.subscribe(lambda event: heard.append(("second", event)))
    events.publish(SAID)
    assert heard == [("first", SAID), ("second", SAID)]


def test_who_has_left_is_told_nothing_more() -> None:
    events, heard = Events(), []
    leave = events.subscribe(heard.append)
    events.publish(SAID)
    leave()
    leave()
    events.publish(SAID)
    assert heard == [SAID]


def test_a_listener_that_fails_is_logged_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    events, heard = Events(), []
    events.subscribe(lambda event: [][0])
    events.subscribe(heard.append)
    events.publish(SAID)
    assert heard == [SAID]
    assert "message of conversation c1" in caplog.text
