"""Turns that went wrong, from the finding to a training sentence."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from chatbot.bot import Chatbot
from chatbot.label_studio import interface, read_tasks, write_tasks
from chatbot.marked_text import mark, read_marks
from chatbot.stand_ins import stand_in
from domains.schema import Pack
from nlu.data import load_data
from nlu.labels import label_map
from storage.database import transaction
from storage.desk_tables import CorrectionRow
from storage.erasure import erase
from storage.person import Person
from storage.records import Label
from storage.review import (
    Correction,
    Finding,
    ReviewError,
    approved,
    correct,
    find,
    find_one,
    scene,
    training_row,
)
from storage.staff import Staff, add_staff
from tests.hearing import ScriptedParser, understood
from tests.ui.desk import PASSWORD, PERSON, desk_bot

SECRET = "I am Dana Whitfield, card 5412 7500 0343 6467, dana@example.org, ref 99887766"
HEARD = (
    understood("weather?", outside=0.9),
    understood("hm balance maybe", ["check_balance"], sure=0.4),
    understood("what is my balance?", ["check_balance"]),
    understood("how old must I be?", ["age_limit"]),
    understood(PERSON, ["human"]),
    understood(
        SECRET, ["inform"], {"name": "Dana Whitfield", "card_number": "5412 7500 0343 6467"}, sure=0.5
    ),
)


@pytest.fixture
def bot(tmp_path: Path, pack: Pack) -> Chatbot:
    bot = desk_bot(tmp_path, pack)
    bot.parser = ScriptedParser(*HEARD)  # type: ignore[assignment]
    return bot


@pytest.fixture
def ana(bot: Chatbot) -> Staff:
    return add_staff(bot.store.engine, "ana", "Ana", "supervisor", PASSWORD, "test")


@pytest.fixture
def ben(bot: Chatbot) -> Staff:
    return add_staff(bot.store.engine, "ben", "Ben", "agent", PASSWORD, "test")


def play(bot: Chatbot, *texts: str) -> str:
    conversation = bot.start()
    for text in texts:
        bot.reply(conversation, text)
    return conversation


def found(bot: Chatbot, **filters: object) -> list[str]:
    return [one.heard.text for one in find(bot.store.engine, "banking", **filters)]  # type: ignore[arg-type]


def a_correction(finding: Finding, **changes: object) -> Correction:
    made = {
        "text": "is it warm?",
        "intent": "age_limit",
        "entities": (),
        "action": None,
        "status": "corrected",
        "by": "",
    }
    return Correction(finding.conversation_id, finding.turn, **(made | changes))  # type: ignore[arg-type]


def test_turns_are_found_for_each_reason_and_only_for_one(bot: Chatbot) -> None:
    conversation = play(
        bot, "what is my balance?", "hm balance maybe", "weather?", "how old must I be?", PERSON, "weather?"
    )
    (liked,) = [one for one in bot.store.history(conversation) if "18" in one.text and one.author == "bot"][
        :1
    ]
    bot.store.rate(conversation, liked.seq, -1)
    assert found(bot, reason="low_confidence") == ["hm balance maybe"]
    assert found(bot, reason="out_of_scope") == ["weather?"]
    assert found(bot, reason="handoff") == [PERSON]
    assert found(bot, reason="thumbs_down") == ["how old must I be?"]
    assert found(bot) == [PERSON, "how old must I be?", "weather?", "hm balance maybe"]
    assert found(bot, status="approved") == []


def test_pages_follow_each_other_without_gap_or_repetition(bot: Chatbot) -> None:
    for _ in range(7):
        play(bot, "weather?", "hm balance maybe")
    seen: list[tuple[str, int]] = []
    after = None
    while page := find(bot.store.engine, "banking", after=after, limit=3):
        seen += [(one.conversation_id, one.turn) for one in page]
        after = page[-1].place
    assert len(seen) == len(set(seen)) == 14


def test_a_scene_shows_what_was_said_before_and_after(bot: Chatbot) -> None:
    conversation = play(bot, "weather?")
    played = scene(bot.store.engine, conversation, 1)
    assert [message.author for message in played.messages] == ["bot", "customer", "bot"]
    assert played.actions[0] == "decline"


def test_what_is_corrected_waits_for_a_supervisor(bot: Chatbot, ana: Staff, ben: Staff) -> None:
    play(bot, "weather?")
    engine = bot.store.engine
    (finding,) = find(engine, "banking")
    correct(engine, a_correction(finding), ben)
    assert found(bot) == []
    assert found(bot, status="corrected") == ["weather?"]
    assert list(approved(engine, "banking")) == []
    with pytest.raises(ReviewError, match="supervisors"):
        correct(engine, a_correction(finding, status="approved"), ben)
    correct(engine, a_correction(finding, status="approved"), ana)
    (learnt,) = approved(engine, "banking")
    assert (learnt.text, learnt.intent, learnt.by) == ("is it warm?", "age_limit", "Ana")
    with transaction(engine) as session:
        assert session.scalars(select(CorrectionRow.decided_by)).one() == ana.id


def test_a_correction_of_a_turn_that_is_not_there_is_refused(bot: Chatbot, ana: Staff) -> None:
    conversation = play(bot, "weather?")
    (finding,) = find(bot.store.engine, "banking")
    erase(bot.store.engine, Person("conversation", conversation), "test")
    with pytest.raises(ReviewError, match="not there"):
        correct(bot.store.engine, a_correction(finding), ana)
    assert find_one(bot.store.engine, conversation, 1) is None


def test_an_approved_correction_can_be_trained_on(bot: Chatbot, ana: Staff, tmp_path: Path) -> None:
    play(bot, SECRET)
    (finding,) = find(bot.store.engine, "banking")
    text, labels = stand_in(finding.heard, bot.pack, "seed")
    correct(
        bot.store.engine,
        a_correction(finding, text=text, entities=labels, intent="inform", status="approved"),
        ana,
    )
    file = tmp_path / "corrections.jsonl"
    rows = [training_row(one) for one in approved(bot.store.engine, "banking")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (example,) = load_data(str(file), "jsonl", label_map(bot.pack, "jsonl")).examples
    assert example.intents == ("inform",)
    assert [(span.slot, example.text[span.start : span.end]) for span in example.spans or ()] == [
        (label.slot, text[label.start : label.end]) for label in labels
    ]


def test_an_action_alone_is_no_training_sentence(bot: Chatbot) -> None:
    play(bot, "weather?")
    (finding,) = find(bot.store.engine, "banking")
    assert training_row(a_correction(finding, intent=None, action="handoff")) is None


def test_stand_ins_keep_shape_and_place_and_nothing_of_the_person(pack: Pack) -> None:
    heard = HEARD[-1]
    text, labels = stand_in(heard, pack, "seed")
    for secret in ("Dana", "Whitfield", "5412", "0343", "6467", "dana@example.org", "99887766"):
        assert secret not in text
    assert [label.slot for label in labels] == ["name", "card_number"]
    card = text[labels[1].start : labels[1].end]
    assert [part.isdigit() and len(part) for part in card.split()] == [4, 4, 4, 4]
    assert stand_in(heard, pack, "seed") == (text, labels)
    assert stand_in(heard, pack, "another seed")[0] != text


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("hello", ()),
        ("send $50 to Ann", (Label(5, 8, "transfer_amount"),)),
        ("4821 and $5", (Label(0, 4, "ssn"), Label(9, 11, "transfer_amount"))),
        ("a [bracket] (alone) }{ ${x}", ()),
    ],
)
def test_marks_read_back_as_they_were_written(text: str, labels: Sequence[Label], pack: Pack) -> None:
    assert read_marks(mark(text, labels), pack) == (text, tuple(labels))


@pytest.mark.parametrize("marked", ["", "  ", "x" * 4001, "a\x00b", "send [$50](money)"])
def test_marks_that_make_no_sense_are_refused(marked: str, pack: Pack) -> None:
    with pytest.raises(ReviewError):
        read_marks(marked, pack)


def test_label_studio_gets_tasks_and_gives_corrections_back(bot: Chatbot, ben: Staff) -> None:
    play(bot, SECRET, "weather?")
    findings = find(bot.store.engine, "banking")
    tasks = write_tasks(findings, bot.pack)
    assert "Dana" not in json.dumps(tasks)
    for task in tasks:
        task["annotations"] = [{"result": task["predictions"][0]["result"], "id": 7, "lead_time": 3.2}]
        task["id"] = 3
    first, second = read_tasks(json.dumps(tasks), bot.pack)
    assert (first.intent, second.intent) == ("out_of_scope", "inform")
    assert [label.slot for label in second.entities] == ["name", "card_number"]
    for one in (first, second):
        correct(bot.store.engine, one, ben)
    assert len(found(bot, status="corrected")) == 2
    again = write_tasks(find(bot.store.engine, "banking", status="corrected"), bot.pack)
    assert [task["annotations"][0]["result"] for task in again] == [
        task["annotations"][0]["result"] for task in tasks
    ]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ("{", "no JSON"),
        ("{}", "list of tasks"),
        ('[{"data": {}}]', "Task 1: data.text"),
        ("[7]", "Task 1"),
        (
            '[{"data": {"text": "a", "conversation": "c", "turn": 1}, "annotations": [{"result": []}]}]',
            "no intent",
        ),
        (
            '[{"data": {"text": "a", "conversation": "c", "turn": 1}, "annotations": [{"result": '
            '[{"from_name": "intent", "value": {"choices": ["fly"]}}]}]}]',
            "no intent 'fly'",
        ),
        (
            '[{"data": {"text": "a", "conversation": "c", "turn": 1}, "annotations": [{"result": '
            '[{"from_name": "slots", "value": {"start": 0, "end": 9, "labels": ["ssn"]}}]}]}]',
            "outside",
        ),
    ],
)
def test_a_file_that_label_studio_did_not_write_so_is_refused(document: str, fault: str, pack: Pack) -> None:
    with pytest.raises(ReviewError, match=fault):
        read_tasks(document, pack)


def test_tasks_without_an_annotation_are_left_out(bot: Chatbot) -> None:
    play(bot, "weather?")
    tasks = write_tasks(find(bot.store.engine, "banking"), bot.pack)
    tasks[0]["annotations"] = [{"result": [], "was_cancelled": True}]
    assert read_tasks(json.dumps(tasks), bot.pack) == []


def test_the_labelling_interface_has_every_intent_and_slot(pack: Pack) -> None:
    text = interface(pack)
    assert all(f'value="{name}"' in text for name in (*pack.intents, *pack.slots, "out_of_scope"))
