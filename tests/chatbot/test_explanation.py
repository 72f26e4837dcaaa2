"""A turn explained from what was logged: reasons, doubts, and nothing that identifies."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from chatbot.bot import Chatbot
from chatbot.desk import HIDDEN
from chatbot.explanation import Explainer, as_json, shown_words
from domains.schema import Pack
from nlu.calibration import Calibration
from nlu.parser import Parser, save_parser
from nlu.pieces import PieceSplitter
from storage.audit import entries
from storage.database import transaction
from storage.played import UnknownTurn
from storage.staff import Staff, add_staff
from storage.tables import ConversationRow, TurnRow
from tests.chatbot.test_review import HEARD, SECRET, play
from tests.hearing import ScriptedParser, understood
from tests.nlu.conftest import model as model
from tests.nlu.conftest import splitter as splitter
from tests.nlu.conftest import tokenizer_file as tokenizer_file
from tests.ui.desk import PASSWORD, PERSON, SCRIPT, TRANSFER, desk_bot
from ui.explanation_view import show_explanation

BALANCE = "what is my balance?"


@pytest.fixture
def bot(tmp_path: Path, pack: Pack) -> Chatbot:
    bot = desk_bot(tmp_path, pack)
    bot.parser = ScriptedParser(*SCRIPT, *HEARD, understood("4821", ["inform"], {"ssn_last4": "4821"}))  # type: ignore[assignment]
    return bot


@pytest.fixture
def ana(bot: Chatbot) -> Staff:
    return add_staff(bot.store.engine, "ana", "Ana", "supervisor", PASSWORD, "test")


@pytest.fixture
def explainer(bot: Chatbot) -> Explainer:
    return Explainer(bot)


def test_what_the_rules_forbade_is_told_with_its_reason(
    bot: Chatbot, explainer: Explainer, ana: Staff
) -> None:
    found = explainer.explain(play(bot, TRANSFER), 1, ana)
    (step,) = found.steps
    forbidden = {option.action: option.forbidden for option in step.options if option.forbidden}
    assert step.doubt == ""
    assert step.decision.action in {option.action for option in step.options if not option.forbidden}
    assert forbidden["execute(transfer_money)"].endswith(": missing")
    assert forbidden["greet"] == "there is no greeting to return"
    assert found.intents[0].intent == "transfer_money"
    assert [text for _, text, _ in found.values] == ["$50"]
    assert found.replies[0][1].startswith("a phrasing of the pack")


def test_every_turn_of_a_conversation_with_an_execution_is_played_again(
    bot: Chatbot, explainer: Explainer, ana: Staff
) -> None:
    conversation = play(bot, BALANCE, "Dana Whitfield", "4821", "my account is 4400127316", PERSON)
    for turn in range(1, 6):
        found = explainer.explain(conversation, turn, ana)
        assert (found.turn, found.turns) == (turn, 5)
        assert found.steps
        assert [step.doubt for step in found.steps] == [""] * len(found.steps)


def test_a_turn_that_looked_up_what_the_customer_has_is_played_again(
    bot: Chatbot, explainer: Explainer, ana: Staff
) -> None:
    bot.parser = ScriptedParser(  # type: ignore[assignment]
        *SCRIPT,
        understood("I lost my card", ["report_lost_card"]),
        understood("close my account", ["close_account"]),
    )
    conversation = bot.start()
    bot.recognise(conversation, "H-1")
    for text in ("I lost my card", "no idea", "close my account"):
        bot.reply(conversation, text)
    for turn in (2, 3):  # before the first the portal said who it is
        found = explainer.explain(conversation, turn, ana)
        assert [step.doubt for step in found.steps] == [""] * len(found.steps)


def test_that_somebody_looked_is_in_the_audit(bot: Chatbot, explainer: Explainer, ana: Staff) -> None:
    conversation = play(bot, TRANSFER)
    explainer.explain(conversation, 1, ana)
    last = entries(bot.store.engine)[-1]
    assert (last.action, last.actor) == ("review.explain", ana.actor)
    assert conversation in last.object


def test_what_identifies_the_customer_stays_hidden(bot: Chatbot, explainer: Explainer, ana: Staff) -> None:
    told = json.dumps(as_json(explainer.explain(play(bot, SECRET), 1, ana)))
    for secret in ("5412", "0343", "6467", "dana@example.org", "99887766"):
        assert secret not in told


def test_words_are_shown_as_a_whole_or_not_at_all() -> None:
    text = "send 4400127316 or 4821, ok?"
    spans = [(0, 4), (5, 15), (16, 18), (19, 24), (25, 28)]
    assert shown_words(text, spans, set()) == ("send", HIDDEN, "or", HIDDEN, "ok?")
    assert shown_words("is Bob Bobson here", [(0, 2), (3, 6), (7, 13)], {"Bob Bobson"}) == (
        "is",
        HIDDEN,
        HIDDEN,
    )


def test_a_state_that_was_changed_in_between_is_said_to_be_lost(
    bot: Chatbot, explainer: Explainer, ana: Staff
) -> None:
    conversation = bot.start()
    with transaction(bot.store.engine, write=True) as session:
        row = session.get_one(ConversationRow, conversation)
        row.state = type(row.state)(task="check_balance", turn=3)
    bot.reply(conversation, "Dana Whitfield")
    (step,) = explainer.explain(conversation, 1, ana).steps
    assert "cannot be found again" in step.doubt
    assert all(option.forbidden in ("", "not known any more") for option in step.options)


@pytest.mark.parametrize("turn", [0, 2, -1])
def test_there_must_be_such_a_turn(bot: Chatbot, explainer: Explainer, ana: Staff, turn: int) -> None:
    with pytest.raises(UnknownTurn, match="There is no turn"):
        explainer.explain(play(bot, TRANSFER), turn, ana)
    with pytest.raises(UnknownTurn):
        explainer.explain("nobody's", 1, ana)


def test_the_words_are_weighed_by_the_model_that_serves(
    bot: Chatbot,
    ana: Staff,
    pack: Pack,
    tmp_path: Path,
    model: object,
    splitter: PieceSplitter,
    tokenizer_file: Path,
) -> None:
    save_parser(Parser(model, splitter, Calibration(), pack), tmp_path / "nlu", tokenizer_file)  # type: ignore[arg-type]
    bot.parser.folder = tmp_path / "nlu"
    found = Explainer(bot).explain(play(bot, SECRET), 1, ana)
    assert found.nlu is not None
    assert len(found.words) == len(found.nlu.words) == len(SECRET.split())
    assert found.words[0] == "I"
    assert found.changed
    json.dumps(as_json(found))


def test_misspelt_words_are_weighed_as_they_were_read(
    bot: Chatbot,
    ana: Staff,
    pack: Pack,
    tmp_path: Path,
    model: object,
    splitter: PieceSplitter,
    tokenizer_file: Path,
) -> None:
    save_parser(Parser(model, splitter, Calibration(), pack), tmp_path / "nlu", tokenizer_file)  # type: ignore[arg-type]
    typed = replace(understood("i lsot my crad", ["report_lost_card"]), read_as="i lost my card")
    bot.parser = ScriptedParser(*SCRIPT, typed)  # type: ignore[assignment]
    bot.parser.folder = tmp_path / "nlu"
    found = Explainer(bot).explain(play(bot, typed.text), 1, ana)
    assert (found.text, found.words, found.respelt) == (typed.text, ("i", "lost", "my", "card"), True)
    assert "<q>i lsot my crad</q>" in show_explanation(found)


def test_an_unfinished_turn_is_not_explained(bot: Chatbot, explainer: Explainer, ana: Staff) -> None:
    conversation = play(bot, TRANSFER)
    with transaction(bot.store.engine, write=True) as session:
        row = session.get_one(TurnRow, (conversation, 1))
        row.reply_seq = row.last_seq = None
    with pytest.raises(UnknownTurn):
        explainer.explain(conversation, 1, ana)
