"""Whole turns: scripted understanding, the rules, a real store and the real demo bank."""

import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from chatbot.bot import LONGEST_MESSAGE, BadMessage, Chatbot, clean
from chatbot.gate import Closing
from chatbot.reply import TemplateReply
from dialog_policy.policy import RulePolicy
from dialog_policy.rules import action_set
from domains.backend import ActionResult, BackendError, Holding, Withdrawn
from domains.banking.backend import DemoBank, open_backend
from domains.schema import Pack
from storage.conversations import ConversationStore, UnknownConversation
from storage.database import open_database, transaction
from storage.migration import upgrade
from storage.tables import DecisionRow, ExecutionRow, TurnRow
from tests.hearing import ScriptedParser, understood

CHECKING, SAVINGS = "4400127316", "4400127324"

SCRIPT = (
    understood("Hi, I want to send money", ["greeting", "transfer_money"]),
    understood("Dana Whitfield", ["inform"], {"name": "Dana Whitfield"}),
    understood("4821", ["inform"], {"card_number": "4821"}),
    understood("my account is 4400127316", ["inform"], {"account_number": CHECKING}),
    understood("$450.50", ["inform"], {"charge_amount": "$450.50"}),
    understood("to 4400127324", ["inform"], {"account_number": SAVINGS}),
    understood("Yes, go ahead", ["affirm"]),
    understood("no", ["deny"]),
    understood("no, $20", ["deny"], {"transfer_amount": "$20"}),
    understood("try again", ["remark"]),
    understood("are you there?", ["remark"]),
    understood(
        "send $20 to 4400127324",
        ["transfer_money"],
        {"transfer_amount": "$20", "target_account_number": SAVINGS},
    ),
    understood("what is my balance?", ["check_balance"]),
    understood("I lost my card", ["report_lost_card"]),
    understood("close my account", ["close_account"]),
    understood("my account is 7316", ["inform"], {"card_number": "7316"}),
    understood("how old must I be?", ["age_limit"]),
    understood("let me talk to a person", ["human"]),
    understood("thanks, bye", ["thanks", "goodbye"]),
    understood("no thanks", ["deny"]),
    understood(
        "Dana Whitfield, 4821, card 6467",
        ["inform"],
        {"name": "Dana Whitfield", "ssn": "4821", "card_number": "6467"},
    ),
    understood(
        "Dana Whitfield, 1111, card 6467",
        ["inform"],
        {"name": "Dana Whitfield", "ssn": "1111", "card_number": "6467"},
    ),
)


class Bank:
    """The demo bank, which a test may put out of reach; it notes what it was asked."""

    def __init__(self, bank: DemoBank) -> None:
        self.bank = bank
        self.down = False
        self.lost_answers = 0
        """How many of the next answers do not arrive though the bank has acted."""
        self.keys: list[tuple[str, str]] = []

    def execute(self, task: str, slots: Mapping[str, str], idempotency_key: str) -> ActionResult:
        self.keys.append((task, idempotency_key))
        if self.down:
            raise BackendError("the bank is out of reach")
        result = self.bank.execute(task, slots, idempotency_key)
        if self.lost_answers:
            self.lost_answers -= 1
            raise BackendError("the answer was lost on the way")
        return result

    def withdraw(self, idempotency_key: str) -> ActionResult | None:
        if self.down:
            raise BackendError("the bank is out of reach")
        return self.bank.withdraw(idempotency_key)

    def holdings(self, customer_id: str) -> Mapping[str, Sequence[Holding]]:
        if self.down:
            raise BackendError("the bank is out of reach")
        return self.bank.holdings(customer_id)

    @property
    def checking(self) -> int:
        return self.bank.balance(CHECKING)

    @property
    def savings(self) -> int:
        return self.bank.balance(SAVINGS)


@pytest.fixture(scope="session")
def seeded_bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bank's three hundred customers, put in once."""
    path = tmp_path_factory.mktemp("bank") / "bank.db"
    open_backend(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def bank(seeded_bank: Path, tmp_path: Path) -> Iterator[Bank]:
    shutil.copy(seeded_bank, tmp_path / "bank.db")
    opened = open_backend(f"sqlite:///{tmp_path / 'bank.db'}")
    yield Bank(opened)
    opened.close()


@pytest.fixture
def own_engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'chatbot.db'}")
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def parser() -> ScriptedParser:
    return ScriptedParser(*SCRIPT)


@pytest.fixture
def bot(pack: Pack, parser: ScriptedParser, bank: Bank, own_engine: Engine) -> Chatbot:
    store = ConversationStore(own_engine)
    return Chatbot(pack, parser, RulePolicy(pack), bank, TemplateReply(pack), store)  # type: ignore[arg-type]


class Say:
    """Send messages one after the other in one conversation; returns the last answer."""

    def __init__(self, bot: Chatbot) -> None:
        self.bot, self.conversation = bot, bot.start()

    def __call__(self, *texts: str) -> str:
        answers = [self.bot.reply(self.conversation, text) for text in texts]
        return " ".join(message.text for message in answers[-1])


@pytest.fixture
def say(bot: Chatbot) -> Say:
    return Say(bot)


TO_CONFIRMATION = (
    "Hi, I want to send money",
    "Dana Whitfield",
    "4821",
    "my account is 4400127316",
    "$450.50",
    "to 4400127324",
)


# ── a whole conversation ──


def test_that_a_money_transfer_runs_from_the_greeting_to_the_goodbye(
    bot: Chatbot, bank: Bank, parser: ScriptedParser, own_engine: Engine
) -> None:
    say = Say(bot)
    answer = say("Hi, I want to send money")
    assert "Marlow" in answer
    assert "full name" in answer
    assert "Social Security" in say("Dana Whitfield")
    assert "card number or account number" in say("4821")
    answer = say("my account is 4400127316")
    assert "Dana" in answer
    assert any(word in answer for word in ("How much", "amount"))
    assert "account" in say("$450.50")
    confirmation = say("to 4400127324")
    assert "$450.50" in confirmation
    assert "··7324" in confirmation
    assert bank.checking == 2_450_00, "nothing moves before the yes"
    done = say("Yes, go ahead")
    assert "$450.50" in done
    assert "$1,999.50" in done
    assert (bank.checking, bank.savings) == (1_999_50, 8_571_00)
    assert bot.store.status(say.conversation) == "open"
    say("thanks, bye")
    assert bot.store.status(say.conversation) == "closed"
    assert parser.asked == [
        None,
        "name",
        "ssn",
        "card_number",
        "transfer_amount",
        "target_account_number",
        None,
        None,
    ]
    history = bot.store.history(say.conversation)
    assert [m.author for m in history] == ["bot"] + ["customer", "bot"] * 8
    assert not any("4821" in m.text or CHECKING in m.text for m in history if m.author == "bot")
    with transaction(own_engine) as session:
        executions = session.scalars(select(ExecutionRow).order_by(ExecutionRow.turn)).all()
        assert [(e.task, e.outcome) for e in executions] == [
            ("verify_identity", "verified"),
            ("transfer_money", "done"),
        ]
        assert executions[1].slots["customer_id"] == bot.store.state(say.conversation).customer_id
        decisions = session.scalars(select(DecisionRow)).all()
        assert {d.policy_version for d in decisions} == {"rules"}
        assert all(d.probability == 1.0 for d in decisions)
        assert all(len(d.mask) == len(action_set(bot.pack)) for d in decisions)
        turns = session.scalars(select(TurnRow)).all()
        assert all(turn.latency_ms.keys() == {"understand", "decide", "word"} for turn in turns)


def test_that_a_refusal_moves_nothing(say: Say, bank: Bank) -> None:
    say(*TO_CONFIRMATION, "no")
    assert bank.checking == 2_450_00
    assert [task for task, _ in bank.keys] == ["verify_identity"]


def test_that_a_correction_is_confirmed_anew_and_only_then_carried_out(say: Say, bank: Bank) -> None:
    answer = say(*TO_CONFIRMATION, "no, $20")
    assert "$20.00" in answer
    assert bank.checking == 2_450_00
    say("Yes, go ahead")
    assert bank.checking == 2_430_00


def test_that_a_second_yes_transfers_nothing_more(say: Say, bank: Bank) -> None:
    say(*TO_CONFIRMATION, "Yes, go ahead", "Yes, go ahead", "Yes, go ahead")
    assert bank.checking == 1_999_50


def test_that_a_question_in_between_is_answered_and_the_task_goes_on(
    say: Say, bank: Bank, pack: Pack
) -> None:
    answer = say("Hi, I want to send money", "Dana Whitfield", "how old must I be?")
    assert pack.topics["age_limit"].text in answer
    assert "Social Security" in answer


def test_that_a_verified_customer_is_not_asked_again_for_the_next_task(say: Say) -> None:
    answer = say(*TO_CONFIRMATION, "no", "what is my balance?")
    assert "$2,450.00" in answer
    assert "name" not in answer


def test_that_wrong_details_lock_after_three_attempts_and_call_a_person(
    say: Say, bot: Chatbot, bank: Bank
) -> None:
    say("what is my balance?")
    wrong = "Dana Whitfield, 1111, card 6467"
    assert "in one message" in say(wrong).lower()
    assert "2,450" not in say(wrong, wrong)
    assert bot.store.status(say.conversation) == "handed_over"
    assert len(bank.keys) == 3
    assert len({key for _, key in bank.keys}) == 3, "each attempt is one of its own"


# ── once, and only once ──


def test_that_the_same_client_message_id_acts_once(bot: Chatbot, bank: Bank) -> None:
    conversation = bot.start()
    for text in TO_CONFIRMATION:
        bot.reply(conversation, text)
    first = bot.reply(conversation, "Yes, go ahead", "message-7")
    again = bot.reply(conversation, "Yes, go ahead", "message-7")
    assert again == first
    assert bank.checking == 1_999_50
    assert len(bot.store.history(conversation)) == 1 + 2 * 7


def test_that_the_same_id_in_another_conversation_is_another_message(bot: Chatbot) -> None:
    first, second = bot.start(), bot.start()
    assert bot.reply(first, "no thanks", "m1")[0].text
    bot.reply(second, "Hi, I want to send money", "m1")
    assert bot.store.state(second).task == "transfer_money"


def test_that_a_bank_out_of_reach_leaves_the_task_and_the_next_yes_tries_again_with_the_same_key(
    say: Say, bot: Chatbot, bank: Bank, pack: Pack
) -> None:
    say(*TO_CONFIRMATION)
    bank.down = True
    answer = say("Yes, go ahead")
    assert any(answer.endswith(text) for text in pack.replies["backend_unavailable"])
    assert bot.store.state(say.conversation).task == "transfer_money"
    bank.down = False
    assert "$450.50" in say("try again")
    assert bank.checking == 2_450_00, "a new yes is needed"
    say("Yes, go ahead")
    assert bank.checking == 1_999_50
    (_, first), (_, second) = [pair for pair in bank.keys if pair[0] == "transfer_money"]
    assert first == second


def test_that_an_answer_that_was_lost_on_the_way_does_not_move_the_money_twice(say: Say, bank: Bank) -> None:
    say(*TO_CONFIRMATION)
    bank.lost_answers = 1
    say("Yes, go ahead")
    assert bank.checking == 1_999_50
    assert "$1,999.50" in say("try again", "Yes, go ahead")
    assert bank.checking == 1_999_50


def test_that_another_amount_after_a_failure_has_another_key(say: Say, bank: Bank) -> None:
    say(*TO_CONFIRMATION)
    bank.down = True
    say("Yes, go ahead")
    bank.down = False
    say("no, $20", "Yes, go ahead")
    assert bank.checking == 2_430_00
    first, second = (key for task, key in bank.keys if task == "transfer_money")
    assert first != second
    with pytest.raises(Withdrawn):  # late on its way, it comes to nothing
        bank.bank.execute("transfer_money", {}, first)


def test_that_after_a_lost_answer_another_amount_is_not_sent_as_well(
    say: Say, bot: Chatbot, bank: Bank, pack: Pack
) -> None:
    say(*TO_CONFIRMATION)
    bank.lost_answers = 1
    say("Yes, go ahead")
    answer = say("no, $20", "Yes, go ahead")
    assert any(answer.startswith(text) for text in pack.replies["earlier_request"])
    assert "$450.50" in answer
    assert "$20" not in answer
    assert bank.checking == 1_999_50
    assert bot.store.state(say.conversation).completed == ("transfer_money",)


def test_that_what_was_settled_once_stands_in_the_way_no_more(say: Say, bank: Bank) -> None:
    say(*TO_CONFIRMATION)
    bank.lost_answers = 1
    say("Yes, go ahead", "no, $20", "Yes, go ahead")
    say("send $20 to 4400127324", "Yes, go ahead")
    assert bank.checking == 1_979_50


def test_that_a_lost_answer_is_settled_in_the_customers_next_conversation(bot: Chatbot, bank: Bank) -> None:
    first, second = Say(bot), Say(bot)
    first(*TO_CONFIRMATION)
    bank.lost_answers = 1
    first("Yes, go ahead")
    assert "earlier request" in second(*TO_CONFIRMATION, "Yes, go ahead")
    assert bank.checking == 1_999_50


def test_that_nothing_is_executed_before_an_earlier_call_is_settled(
    say: Say, bot: Chatbot, bank: Bank
) -> None:
    say(*TO_CONFIRMATION)
    bank.lost_answers = 1
    say("Yes, go ahead", "no, $20")
    bank.down = True
    asked = len(bank.keys)
    say("Yes, go ahead")
    assert len(bank.keys) == asked
    assert bot.store.interrupted() == ()
    bank.down = False
    assert "$450.50" in say("are you there?", "Yes, go ahead")
    assert bank.checking == 1_999_50


def test_that_a_turn_whose_key_was_withdrawn_ends_without_its_execution(
    say: Say, bot: Chatbot, bank: Bank, pack: Pack
) -> None:
    say(*TO_CONFIRMATION)

    def die(task: str, slots: Mapping[str, str], idempotency_key: str) -> ActionResult:
        bank.bank.withdraw(idempotency_key)
        raise KeyboardInterrupt

    real, bank.execute = bank.execute, die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        say("Yes, go ahead")
    bank.execute = real  # type: ignore[method-assign]
    bot.recover(say.conversation)
    assert bot.store.interrupted() == ()
    assert bot.store.history(say.conversation)[-1].text in pack.replies["backend_unavailable"]
    assert bank.checking == 2_450_00


def test_that_authentication_survives_a_bank_out_of_reach(say: Say, bank: Bank) -> None:
    bank.down = True
    say("what is my balance?", "Dana Whitfield, 4821, card 6467")
    bank.down = False
    assert "$2,450.00" in say("try again")


def test_that_a_turn_that_fails_leaves_nothing_behind(
    bot: Chatbot, parser: ScriptedParser, bank: Bank
) -> None:
    conversation = bot.start()
    bot.reply(conversation, "Hi, I want to send money")
    before = bot.store.history(conversation), bot.store.state(conversation)

    def explode() -> None:
        raise RuntimeError("out of memory")

    parser.before = explode
    with pytest.raises(RuntimeError, match="out of memory"):
        bot.reply(conversation, "Dana Whitfield", "m2")
    parser.before = lambda: None
    assert (bot.store.history(conversation), bot.store.state(conversation)) == before
    assert "Social Security" in bot.reply(conversation, "Dana Whitfield", "m2")[0].text


def test_that_an_interrupted_turn_which_cannot_be_completed_does_not_stop_the_conversation(
    say: Say, bot: Chatbot, bank: Bank, pack: Pack, caplog: pytest.LogCaptureFixture
) -> None:
    say(*TO_CONFIRMATION)

    def refuse(*_: object) -> ActionResult:
        raise ValueError("the slot 'transfer_amount' is no amount")

    bank.execute = refuse  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="no amount"):
        say("Yes, go ahead")
    assert bot.store.interrupted() == (say.conversation,)
    say("how old must I be?")
    assert bot.store.interrupted() == ()
    assert bot.store.history(say.conversation)[-3].text in pack.replies["backend_unavailable"]
    assert "cannot be completed" in caplog.text


def test_that_an_interrupted_conversation_goes_on_only_when_the_bank_has_told_what_it_did(
    say: Say, bot: Chatbot, bank: Bank
) -> None:
    say(*TO_CONFIRMATION)

    def die(task: str, slots: Mapping[str, str], idempotency_key: str) -> ActionResult:
        bank.bank.execute(task, slots, idempotency_key)
        raise KeyboardInterrupt

    real, bank.execute = bank.execute, die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        say("Yes, go ahead")
    bank.execute, bank.down = real, True  # type: ignore[method-assign]
    for use in (lambda: bot.recover(say.conversation), lambda: say("how old must I be?")):
        with pytest.raises(BackendError):
            use()
    assert bot.store.interrupted() == (say.conversation,)
    bank.down = False
    say("how old must I be?")
    assert bot.store.interrupted() == ()
    assert "$450.50" in bot.store.history(say.conversation)[-3].text
    assert bank.checking == 1_999_50


def test_that_a_bot_which_stops_finishes_the_turns_that_have_begun(
    bot: Chatbot, parser: ScriptedParser
) -> None:
    conversation, thinking, go_on = bot.start(), threading.Event(), threading.Event()

    def think() -> None:
        thinking.set()
        assert go_on.wait(10)

    parser.before = think
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(bot.reply, conversation, "Hi, I want to send money")
        assert thinking.wait(10)
        closing = pool.submit(bot.close)
        while not bot.gate._closed:
            time.sleep(0.001)
        with pytest.raises(Closing):
            bot.reply(conversation, "hello")
        assert not closing.done()
        go_on.set()
        closing.result(10)
        assert answer.result(0)
    assert len(bot.store.history(conversation)) == 3


# ── handing over ──


def test_that_after_the_handover_the_bot_only_acknowledges(
    say: Say, bot: Chatbot, bank: Bank, pack: Pack
) -> None:
    say(*TO_CONFIRMATION, "let me talk to a person")
    assert bot.store.status(say.conversation) == "handed_over"
    for text in ("Yes, go ahead", "what is my balance?", "let me talk to a person"):
        assert say(text) in pack.replies["with_colleague"]
    assert bank.checking == 2_450_00
    assert [task for task, _ in bank.keys] == ["verify_identity"]
    assert bot.store.status(say.conversation) == "handed_over"


# ── what is not taken ──


@pytest.mark.parametrize(
    "text", ["", "   ", "\n\t", "\x00\x07", "\u200b\u200d", "\ud800", "\ufeff", "\u00a0\u3000", "\ue000"]
)
def test_that_an_empty_message_is_refused(bot: Chatbot, text: str) -> None:
    conversation = bot.start()
    with pytest.raises(BadMessage, match="empty"):
        bot.reply(conversation, text)
    assert len(bot.store.history(conversation)) == 1


def test_that_a_message_that_is_too_long_is_refused_with_its_length(bot: Chatbot) -> None:
    conversation = bot.start()
    with pytest.raises(BadMessage, match=r"4,001 characters; I can read up to 4,000"):
        bot.reply(conversation, "x" * (LONGEST_MESSAGE + 1))
    assert bot.reply(conversation, "x" * LONGEST_MESSAGE)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("  hello \n", "hello"),
        ("he\x00llo\x1b[31m", "hello[31m"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("👩‍💻 été 你好", "👩‍💻 été 你好"),
        ("a\ud800b", "ab"),
    ],
)
def test_that_control_characters_and_outer_space_go_and_the_rest_stays(text: str, kept: str) -> None:
    assert clean(text) == kept


def test_that_the_parser_and_the_history_get_the_cleaned_text(bot: Chatbot) -> None:
    conversation = bot.start()
    bot.reply(conversation, " Hi, I want to \x00send money\x07 ")
    assert bot.store.history(conversation)[1].text == "Hi, I want to send money"
    assert bot.store.state(conversation).task == "transfer_money"


def test_that_an_unknown_conversation_is_refused(bot: Chatbot) -> None:
    with pytest.raises(UnknownConversation):
        bot.reply("nowhere", "hello")


# ── what the bank knows of a customer ──


def test_that_nobody_needs_the_number_of_a_lost_card(say: Say) -> None:
    answer = say("I lost my card", "Dana Whitfield", "4821", "my account is 4400127316")
    assert "last" in answer
    assert "card number" not in answer
    answer = say("I don't know")
    assert "card ··6467" in answer
    assert "None" not in answer
    assert "card ··6467" in say("Yes, go ahead")


def test_that_the_digits_of_an_account_are_not_taken_for_the_lost_card(say: Say) -> None:
    say("I lost my card", "Dana Whitfield", "4821", "my account is 7316")
    assert "card ··6467" in say("I don't know")


def test_that_one_of_several_accounts_is_chosen_from_a_list(bot: Chatbot) -> None:
    conversation = bot.start()
    for text in ("close my account", "Dana Whitfield", "4821"):
        bot.reply(conversation, text)
    (asked,) = bot.reply(conversation, "Dana Whitfield, 4821, card 6467")
    assert "checking ending in 7316, or savings ending in 7324" in asked.text
    assert [button.text for button in asked.buttons] == ["Checking ending in 7316", "Savings ending in 7324"]
    (confirmed,) = bot.reply(conversation, asked.buttons[1].text)
    assert "··7324" in confirmed.text


def test_that_a_bank_that_does_not_say_what_there_is_leaves_the_customer_to_say_it(
    say: Say, bank: Bank, caplog: pytest.LogCaptureFixture
) -> None:
    say("what is my balance?", "Dana Whitfield", "4821", "my account is 4400127316")
    bank.down = True
    assert "card number" in say("I lost my card")
    assert "what the customer has is not known" in caplog.text


def test_that_a_backend_need_not_know_what_there_is(bot: Chatbot, bank: Bank) -> None:
    class Silent:
        execute, withdraw, find_customer = bank.execute, bank.withdraw, bank.bank.find_customer

    bot.backend = Silent()
    answer = Say(bot)("I lost my card", "Dana Whitfield", "4821", "my account is 4400127316")
    assert "card number" in answer
