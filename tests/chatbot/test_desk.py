"""What colleagues do, and what the bot makes of it."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from chatbot.bot import BadMessage, Chatbot
from chatbot.desk import AgentDesk, describe_slots, hide, secrets_of
from domains.schema import Pack
from storage.database import transaction
from storage.desk import Case, Desk, NotYours
from storage.desk_tables import HandoffRow
from storage.slots import SlotValue
from storage.staff import Staff, list_staff
from storage.tables import DecisionRow, ExecutionRow
from tests.chatbot.test_bot import SCRIPT, TO_CONFIRMATION
from tests.hearing import ScriptedParser
from tests.ui.desk import desk_bot, hand_over, hire

ASKED = "Yes, go ahead"
VERIFY = "Dana Whitfield, 4821, card 6467"


@pytest.fixture
def bot(tmp_path: Path, pack: Pack) -> Chatbot:
    bot = desk_bot(tmp_path, pack)
    assert isinstance(bot.parser, ScriptedParser)
    bot.parser.heard |= {one.text: one for one in SCRIPT}
    return bot


@pytest.fixture
def desk(bot: Chatbot) -> AgentDesk:
    return AgentDesk(bot, Desk(bot.store.engine))


@pytest.fixture
def ana(bot: Chatbot) -> Staff:
    hire(bot, "ana", "Ana")
    (ana,) = list_staff(bot.store.engine)
    return ana


def case_of(desk: AgentDesk, conversation: str) -> Case:
    case = desk.store.case(conversation)
    assert case is not None
    return case


def executed(bot: Chatbot) -> list[str]:
    with transaction(bot.store.engine) as session:
        return list(session.scalars(select(ExecutionRow.task)))


def test_a_yes_to_a_colleague_moves_no_money(bot: Chatbot, desk: AgentDesk, ana: Staff) -> None:
    conversation = hand_over(bot, *TO_CONFIRMATION)
    assert bot.store.state(conversation).confirmation == "asked"
    desk.claim(conversation, ana)
    desk.say(conversation, ana, "May I look at your account?")
    assert bot.reply(conversation, ASKED) == ()
    desk.give_back(conversation, ana)
    bot.reply(conversation, "what is my balance?")
    assert "transfer_money" not in executed(bot)
    assert bot.store.state(conversation).customer_id is not None


def test_the_bot_goes_on_where_it_was(bot: Chatbot, desk: AgentDesk, ana: Staff) -> None:
    conversation = hand_over(bot, *TO_CONFIRMATION)
    desk.claim(conversation, ana)
    desk.give_back(conversation, ana)
    assert "transfer money" in bot.store.history(conversation)[-1].text
    (reply,) = bot.reply(conversation, "$450.50")
    assert "$450.50" in reply.text
    assert [button.label for button in reply.buttons] == ["Yes, go ahead", "No"]


def test_messages_to_a_colleague_are_written_down_without_a_decision(
    bot: Chatbot, desk: AgentDesk, ana: Staff
) -> None:
    conversation = hand_over(bot)
    desk.claim(conversation, ana)
    before = bot.store.state(conversation)
    for text in ("hello?", "what is my balance?", "4821"):
        assert bot.reply(conversation, text) == ()
    assert bot.store.state(conversation) == before
    with transaction(bot.store.engine) as session:
        turns = set(session.scalars(select(DecisionRow.turn)))
    assert turns == {1}


@pytest.mark.parametrize(("text", "rating"), [("5", 5), ("1", 1), ("0", None), ("6", None), ("great", None)])
def test_a_rating_is_one_of_five(
    bot: Chatbot, desk: AgentDesk, ana: Staff, text: str, rating: int | None
) -> None:
    conversation = hand_over(bot)
    desk.claim(conversation, ana)
    desk.resolve(conversation, ana)
    last = bot.store.history(conversation)[-1]
    assert [button.text for button in last.buttons] == ["1", "2", "3", "4", "5"]
    bot.reply(conversation, text, "press")
    bot.reply(conversation, text, "press")
    bot.reply(conversation, "3")  # the second is none
    with transaction(bot.store.engine) as session:
        assert session.scalars(select(HandoffRow.rating)).one() == rating


def test_a_customer_may_go_on_instead_of_rating(bot: Chatbot, desk: AgentDesk, ana: Staff) -> None:
    conversation = hand_over(bot)
    desk.claim(conversation, ana)
    desk.resolve(conversation, ana)
    (reply,) = bot.reply(conversation, "please send $50")
    assert "name" in reply.text
    assert bot.store.status(conversation) == "open"


def test_a_suggestion_follows_all_that_was_written_since(bot: Chatbot, desk: AgentDesk, ana: Staff) -> None:
    conversation = hand_over(bot)
    desk.claim(conversation, ana)
    assert not desk.suggest(case_of(desk, conversation)).text
    bot.reply(conversation, "what is my balance?")
    assert "name" in desk.suggest(case_of(desk, conversation)).text
    bot.reply(conversation, VERIFY)
    suggestion = desk.suggest(case_of(desk, conversation))
    assert (suggestion.text, suggestion.execution) == ("", bot.pack.domain.authentication.task)
    assert executed(bot) == []
    desk.say(conversation, ana, "One moment.")
    assert not desk.suggest(case_of(desk, conversation)).execution


@pytest.mark.parametrize("text", ["", "  \n", "\x00", "x" * 4001])
def test_an_empty_or_endless_answer_is_not_sent(bot: Chatbot, desk: AgentDesk, ana: Staff, text: str) -> None:
    conversation = hand_over(bot)
    desk.claim(conversation, ana)
    for act in (desk.say, desk.add_note):
        with pytest.raises(BadMessage):
            act(conversation, ana, text)


def test_a_conversation_that_is_with_nobody_cannot_be_answered(
    bot: Chatbot, desk: AgentDesk, ana: Staff
) -> None:
    conversation = bot.start()
    for act in (desk.claim, desk.give_back, desk.resolve):
        with pytest.raises(NotYours):
            act(conversation, ana)


def test_sensitive_values_are_hidden_wherever_they_stand(
    bot: Chatbot, desk: AgentDesk, ana: Staff, pack: Pack
) -> None:
    conversation = hand_over(bot, *TO_CONFIRMATION)
    case = case_of(desk, conversation)
    secrets = secrets_of(case, pack)
    hidden = " ".join(hide(message.text, secrets) for message in case.messages)
    for secret in ("4821", "4400127324", "7324"):
        assert secret not in hidden.replace("··7324", "")
    assert "$450.50" in hidden
    shown = dict(describe_slots(case.state, pack, revealed=True))
    closed = dict(describe_slots(case.state, pack, revealed=False))
    assert shown["receiving account"] == "4400127324"
    assert closed["receiving account"] == "••••"
    assert closed["amount"] == "$450.50"


def test_what_was_tried_as_a_proof_and_failed_is_hidden_too(
    bot: Chatbot, desk: AgentDesk, ana: Staff, pack: Pack
) -> None:
    case = case_of(desk, hand_over(bot, *TO_CONFIRMATION))
    failed = replace(case.state, slots={}, tried={"ssn": SlotValue("9034", 1.0, 2)})
    assert secrets_of(replace(case, state=failed, heard={}), pack) == {"9034"}
