"""A customer whom the portal has signed in: known to the bot and the bank, and nobody else is."""

from pathlib import Path

import pytest

from benchmarks.plain_bot import build_plain_bot
from chatbot.bot import Chatbot, UnknownCustomer
from domains.schema import Pack
from storage.conversations import OtherCustomer, UnknownConversation
from storage.database import open_database
from storage.migration import upgrade
from storage.turns import Overtaken

PROOF = "name=Omar Castellanos | ssn=9034 | account_number=5518"


@pytest.fixture
def bot(tmp_path: Path) -> Chatbot:
    url = f"sqlite:///{tmp_path / 'chatbot.db'}"
    upgrade(open_database(url))
    return build_plain_bot(url)


def say(bot: Chatbot, conversation: str, text: str) -> str:
    return " ".join(message.text for message in bot.reply(conversation, text))


def test_who_is_signed_in_needs_no_proof(bot: Chatbot) -> None:
    conversation = bot.start()
    bot.recognise(conversation, "H-1")
    answer = say(bot, conversation, "check_balance")
    assert "$" in answer
    assert bot.store.state(conversation).customer_id == "1"


def test_the_question_for_proof_is_dropped_and_the_task_goes_on(bot: Chatbot) -> None:
    conversation = bot.start()
    assert "$" not in say(bot, conversation, "check_balance")
    bot.recognise(conversation, "H-1")
    assert "$" in say(bot, conversation, "remark")


def test_failed_proofs_are_forgotten(bot: Chatbot) -> None:
    conversation = bot.start()
    for _ in range(3):
        say(bot, conversation, "check_balance | name=Dana Whitfield | ssn=0000 | account_number=7316")
    assert bot.store.state(conversation).locked
    bot.recognise(conversation, "H-1")
    state = bot.store.state(conversation)
    assert (state.locked, state.authentication_failures) == (False, 0)


def test_the_same_customer_again_changes_nothing(bot: Chatbot) -> None:
    heard: list[str] = []
    conversation = bot.start()
    bot.events.subscribe(lambda event: heard.append(event.kind))
    bot.recognise(conversation, "H-1")
    bot.recognise(conversation, "H-1")
    assert heard == ["identified"]


def test_a_conversation_of_one_customer_never_becomes_anothers(bot: Chatbot) -> None:
    proved, signed = bot.start(), bot.start()
    assert "$" in say(bot, proved, f"check_balance | {PROOF}")
    bot.recognise(signed, "H-2")
    for conversation in (proved, signed):
        with pytest.raises(OtherCustomer):
            bot.recognise(conversation, "H-1")
        assert bot.store.state(conversation).customer_id == "2"


@pytest.mark.parametrize("portal_id", ["H-0", "H-99999", "1", "H-", "h-1", "H-1 OR 1=1", "H-1234567890123"])
def test_whom_the_bank_does_not_know_stays_unknown(bot: Chatbot, portal_id: str) -> None:
    conversation = bot.start()
    with pytest.raises(UnknownCustomer):
        bot.recognise(conversation, portal_id)
    assert bot.store.state(conversation).customer_id is None


def test_a_pack_that_does_not_trust_its_portal_keeps_asking(bot: Chatbot, pack: Pack) -> None:
    distrust = pack.domain.authentication.model_copy(update={"portal": False})
    bot.pack = pack.model_copy(update={"domain": pack.domain.model_copy(update={"authentication": distrust})})
    with pytest.raises(UnknownCustomer):
        bot.recognise(bot.start(), "H-1")


def test_a_turn_that_began_before_is_begun_anew(bot: Chatbot) -> None:
    conversation = bot.start()
    with bot.store.turn(conversation, None) as turn:
        bot.recognise(conversation, "H-1")
        with pytest.raises(Overtaken):
            bot._answer(turn, "check_balance")


def test_a_conversation_that_is_not_there_cannot_be_anybodys(bot: Chatbot) -> None:
    with pytest.raises(UnknownConversation):
        bot.recognise("nowhere", "H-1")
