"""The loader, on copies of the banking pack with one thing broken each."""

import re
import shutil
from pathlib import Path

import pytest

from domains.document import PackError
from domains.loader import load_pack
from domains.schema import OPTIONAL_PART

SOURCE = Path(__file__).parents[2] / "domains" / "banking"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "banking"
    shutil.copytree(SOURCE, target, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    return target


def change(folder: Path, name: str, old: str, new: str) -> int:
    """Replace the first `old`; returns the line on which it stood."""
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{name} does not hold {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text.split(old)[0].count("\n") + 1


def refuse(folder: Path) -> str:
    with pytest.raises(PackError) as refused:
        load_pack(folder)
    return str(refused.value)


def test_that_the_pack_itself_is_sound(folder: Path) -> None:
    pack = load_pack(folder)
    assert pack.name == "banking"
    assert pack.folder == folder
    assert pack.askable[:3] == ("name", "ssn", "card_number")
    assert len(set(pack.askable)) == len(pack.askable)


# ── domain.yaml ──


@pytest.mark.parametrize(
    ("old", "new", "key", "reason"),
    [
        ("    confirm: true", "    confrim: true", "confrim", "Extra inputs are not permitted"),
        ("currency: ", "curency: ", "curency", "Extra inputs are not permitted"),
        ("{type: time, label: time of the charge}", "{type: hour, label: x}", "hour|type", "Input should be"),
        ("{kind: task, description: check your balance}", "{kind: task}", "description", "Field required"),
        ("  attempts: 3", "  attempts: 0", "attempts", "greater than or equal to 1"),
    ],
)
def test_that_an_unknown_or_wrong_key_of_the_domain_is_refused_with_its_line(
    folder: Path, old: str, new: str, key: str, reason: str
) -> None:
    line = change(folder, "domain.yaml", old, new)
    message = refuse(folder)
    assert re.match(rf"{re.escape(str(folder))}/domain\.yaml:{line}: .*({key}).*{reason}", message), message


def test_that_a_key_that_stands_twice_is_refused_with_the_second_line(folder: Path) -> None:
    line = change(
        folder,
        "domain.yaml",
        "  check_balance: {kind",
        "  check_balance: {kind: faq, description: x}\n  check_balance: {kind",
    )
    assert refuse(folder) == f"{folder}/domain.yaml:{line + 1}: key 'check_balance' stands twice"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("slots: [transfer_amount,", "slots: [transfer_sum,", "slot 'transfer_sum' does not exist"),
        ("optional: [last_used_time,", "optional: [last_used_hour,", "slot 'last_used_hour' does not exist"),
        ("  slots: [name, ssn,", "  slots: [name, passport,", "slot 'passport' does not exist"),
        ("  task: verify_identity", "  task: verify_me", "task 'verify_me' does not exist"),
        (
            "  open_account: {kind: task",
            "  open_acount: {kind: task",
            "intent 'open_acount' is of kind task, but no task",
        ),
        (
            "  greeting: {kind: social",
            "  greetings: {kind: social",
            "intent 'greeting' of kind social is missing",
        ),
        ("  human: {kind: social", "  human: {kind: faq", "intent 'human' of kind social is missing"),
        ("  age_limit: {kind: faq", "  out_of_scope: {kind: faq", "'out_of_scope' is reserved"),
        ("  ssn: {type", "  customer_id: {type", "'customer_id' is reserved"),
        (
            "  age_limit: {kind: faq, offers: open_account",
            "  age_limit: {kind: faq, offers: thanks",
            "offers names a task",
        ),
        ("  help: proof_not_at_hand", "  help: greeting", "'greeting' is no intent of kind faq"),
        ("    may_skip: [last_used_date]", "    may_skip: [address]", "the task does not need 'address'"),
        ("  greeting: {kind: social,", "  greeting: {kind: social, asks: true,", "asks goes with kind faq"),
        ("  greeting: {kind: social,", "  greeting: {kind: social, offers: open_account,", "kind faq alone"),
        ("  charge_time: {type: time", "  charge_time: {type: choice", "choices go with type choice"),
        (
            "    type: choice\n    label: offer",
            "    type: text\n    label: offer",
            "choices go with type choice",
        ),
    ],
)
def test_that_names_that_lead_nowhere_are_refused_with_file_and_line(
    folder: Path, old: str, new: str, reason: str
) -> None:
    change(folder, "domain.yaml", old, new)
    message = refuse(folder)
    assert reason in message
    assert re.match(rf"{re.escape(str(folder))}/domain\.yaml:\d+: ", message), message


def test_that_a_task_without_outcomes_is_refused(folder: Path) -> None:
    change(
        folder,
        "domain.yaml",
        "    authentication: none\n    outcomes:\n      done: [routing_number]",
        "    authentication: none\n    outcomes: {}",
    )
    assert "task 'get_routing_number' has no outcomes" in refuse(folder)


def test_that_a_task_without_its_intent_is_refused(folder: Path) -> None:
    change(folder, "domain.yaml", "  open_account: {kind: task, description: open an account}\n", "")
    assert "task 'open_account' has no intent of that name" in refuse(folder)


def test_that_a_task_whose_intent_is_of_another_kind_is_refused(folder: Path) -> None:
    change(folder, "domain.yaml", "  open_account: {kind: task", "  open_account: {kind: social")
    assert "task 'open_account' has no intent of that name and of kind task" in refuse(folder)


# ── replies.yaml ──


def test_that_a_placeholder_that_the_action_does_not_give_is_refused(folder: Path) -> None:
    line = change(
        folder, "replies.yaml", "confirm.open_account:\n", "confirm.open_account:\n  - Open {colour}?\n"
    )
    message = refuse(folder)
    assert message.startswith(
        f"{folder}/replies.yaml:{line}: 'confirm.open_account' uses {{colour}}; it may use:"
    )
    assert "account_type" in message


def test_that_a_placeholder_inside_of_brackets_must_exist_too(folder: Path) -> None:
    change(folder, "replies.yaml", "[, from account {account_number}]", "[, from account {purse}]")
    assert "'confirm.transfer_money' uses {purse}" in refuse(folder)


def test_that_what_a_customer_may_not_know_is_confirmed_in_brackets(folder: Path) -> None:
    change(folder, "replies.yaml", "[, last used on {last_used_date}]", ", last used on {last_used_date}")
    assert "'confirm.report_lost_card' needs {last_used_date} in [brackets]" in refuse(folder)


def test_that_what_may_be_unknown_needs_words_for_it(folder: Path) -> None:
    text = (folder / "domain.yaml").read_text(encoding="utf-8")
    (folder / "domain.yaml").write_text(re.sub(r"(?m)^unknown: \[[^]]*\]\n", "", text), encoding="utf-8")
    assert "may_skip needs words" in refuse(folder)


@pytest.mark.parametrize(
    "key",
    [
        "choose.card_number",
        "greet",
        "confirm.transfer_money",
        "transfer_money.limit_exceeded",
        "ask.ssn",
        "answer.insult",
    ],
)
def test_that_a_missing_reply_is_refused(folder: Path, key: str) -> None:
    text = (folder / "replies.yaml").read_text(encoding="utf-8")
    shortened = re.sub(rf"^{re.escape(key)}:\n(?:  .*\n)+", "", text, flags=re.MULTILINE)
    assert shortened != text
    (folder / "replies.yaml").write_text(shortened, encoding="utf-8")
    assert re.search(rf"replies\.yaml:\d+: reply '{re.escape(key)}' is missing", refuse(folder))


def test_that_a_reply_to_nothing_is_refused_with_its_line(folder: Path) -> None:
    line = change(folder, "replies.yaml", "offer_help:\n", "sing: [la la la]\noffer_help:\n")
    assert refuse(folder) == f"{folder}/replies.yaml:{line}: 'sing' is no action of this domain"


@pytest.mark.parametrize("phrasings", ["[]", "['']", "[1]", "{a: b}", "", "5"])
def test_that_a_reply_without_words_is_refused(folder: Path, phrasings: str) -> None:
    text = (folder / "replies.yaml").read_text(encoding="utf-8")
    text = re.sub(r"^close:\n(?:  .*\n)+", f"close: {phrasings}\n", text, flags=re.MULTILINE)
    (folder / "replies.yaml").write_text(text, encoding="utf-8")
    assert "'close' needs at least one phrasing, each a text" in refuse(folder)


def test_that_one_phrasing_needs_no_list(folder: Path) -> None:
    text = (folder / "replies.yaml").read_text(encoding="utf-8")
    text = re.sub(r"^close:\n(?:  .*\n)+", "close: Bye from {business}.\n", text, flags=re.MULTILINE)
    (folder / "replies.yaml").write_text(text, encoding="utf-8")
    assert load_pack(folder).replies["close"] == ("Bye from {business}.",)


def test_that_optional_parts_are_those_in_brackets() -> None:
    assert OPTIONAL_PART.findall("Send {a}[ from {b}][, at {c}]?") == [" from {b}", ", at {c}"]


# ── knowledge ──


def test_that_a_question_without_an_answer_is_refused(folder: Path) -> None:
    change(
        folder,
        "domain.yaml",
        "  age_limit: {kind: faq",
        "  shoe_size: {kind: faq, description: x}\n  age_limit: {kind: faq",
    )
    assert refuse(folder) == f"{folder}/knowledge: intent 'shoe_size' of kind faq has no answer"


def test_that_an_answer_to_no_question_is_refused_with_its_line(folder: Path) -> None:
    line = change(folder, "knowledge/account.md", "## age_limit:", "## age_limits:")
    assert (
        refuse(folder)
        == f"{folder}/knowledge/account.md:{line}: 'age_limits' is no intent of kind faq in domain.yaml"
    )


def test_that_a_question_answered_twice_is_refused_with_both_places(folder: Path) -> None:
    with (folder / "knowledge" / "cards.md").open("a", encoding="utf-8") as file:
        file.write("\n## age_limit: Again\nNo.\n")
    message = refuse(folder)
    assert re.search(r"cards\.md:\d+: topic 'age_limit' is answered twice \(also in account\.md:3\)", message)


def test_that_an_unknown_fact_is_refused_with_the_line_of_its_section(folder: Path) -> None:
    change(folder, "knowledge/account.md", "{minimum_age}", "{shoe_size}")
    assert (
        refuse(folder)
        == f"{folder}/knowledge/account.md:3: fact '{{shoe_size}}' does not stand in facts.yaml"
    )


def test_that_an_answer_needs_a_title_and_a_text(folder: Path) -> None:
    line = change(
        folder,
        "knowledge/account.md",
        "## age_limit: How old you must be to have an account",
        "## age_limit:",
    )
    assert (
        refuse(folder) == f"{folder}/knowledge/account.md:{line}: topic 'age_limit' needs a title and a text"
    )


def test_that_a_fact_changes_every_answer_that_states_it(folder: Path) -> None:
    change(folder, "facts.yaml", 'minimum_age: "18"', 'minimum_age: "21"')
    assert "from the age of 21" in load_pack(folder).topics["age_limit"].text


# ── files ──


def test_that_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"nowhere: no such folder; a pack is a folder with a domain\.yaml"):
        load_pack(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["domain.yaml", "replies.yaml", "facts.yaml"])
def test_that_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert refuse(folder) == f"{folder}/{name}: file is missing"


@pytest.mark.parametrize("name", ["domain.yaml", "replies.yaml", "facts.yaml"])
@pytest.mark.parametrize("text", ["a: [1, 2", "- just\n- a list\n", "plain words", ""])
def test_that_a_file_of_another_shape_is_refused_by_name(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")
    assert refuse(folder).startswith(f"{folder}/")


@pytest.mark.parametrize("name", ["domain.yaml", "replies.yaml", "facts.yaml", "knowledge/account.md"])
def test_that_bytes_that_are_no_utf8_are_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"caf\xe9: 1\n")
    assert f"{name}: cannot be read as UTF-8 text" in refuse(folder)


def test_that_a_pack_without_a_backend_is_refused_when_it_is_opened(folder: Path) -> None:
    with pytest.raises(PackError, match=r"backend\.py: file is missing"):
        load_pack(folder).backend("sqlite://")
    (folder / "backend.py").write_text("def open_bank(url): ...\n", encoding="utf-8")
    with pytest.raises(PackError, match=r"backend\.py: function open_backend\(database_url\) is missing"):
        load_pack(folder).backend("sqlite://")


def test_that_a_pack_elsewhere_opens_its_own_backend(folder: Path) -> None:
    (folder / "backend.py").write_text(
        "def open_backend(url):\n    return f'opened {url}'\n", encoding="utf-8"
    )
    assert str(load_pack(folder).backend("sqlite://")) == "opened sqlite://"


def test_that_an_error_inside_of_a_backend_is_not_taken_for_a_missing_function(folder: Path) -> None:
    (folder / "backend.py").write_text("def open_backend(url):\n    return url.port\n", encoding="utf-8")
    with pytest.raises(AttributeError, match="port"):
        load_pack(folder).backend("sqlite://")
