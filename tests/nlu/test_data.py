"""Every data format from a small file, and the pack's own sentences."""

import json
import random
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from domains.document import PackError
from domains.loader import load_pack
from domains.schema import OUT_OF_SCOPE, Pack
from nlu.data import DataError, Example, Span, load_data, thin
from nlu.labels import LabelMap, LabelRule, label_map
from nlu.past import NO_PAST
from nlu.sentences import fill_sentence, load_pack_examples

PLAIN = LabelMap()
HEADER = "conversationId\tturnNumber\tutteranceId\tutterance\tslot-labels\tintent\n"


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def covered(example: Example) -> list[tuple[str, str]]:
    return [(example.text[s.start : s.end], s.slot) for s in example.spans or ()]


# ── formats ──


def test_that_multidogo_turns_bring_slots_words_and_the_customers_earlier_turns(tmp_path: Path) -> None:
    rows = (
        "c1\t0\tu0\thi\tO\tOpeningGreeting\n"
        "c1\t2\tu1\tsend $50 to  4400 1273\tO TransferAmount O AccountNumber AccountNumber\tTransferMoney\n"
        "c2\t0\tu2\thello\tO\tOpeningGreeting\n"
        "c1\t4\tu3\tthanks bye\tO O\tThankYou<div>ClosingGreeting\n"
    )
    loaded = load_data(write(tmp_path / "d.tsv", HEADER + rows), "multidogo", PLAIN)
    first, second, third, fourth = loaded.examples
    assert loaded.skipped == ()
    assert covered(second) == [("$50", "transferamount"), ("4400 1273", "accountnumber")]
    assert [second.text[start:end] for start, end in second.words] == ["send", "$50", "to", "4400", "1273"]
    assert fourth.intents == ("thankyou", "closinggreeting")
    assert (first.context, second.context, third.context) == ((), ("hi",), ())
    assert fourth.context == ("send $50 to  4400 1273", "hi")


def test_that_malformed_multidogo_rows_are_counted(tmp_path: Path) -> None:
    rows = "c1\t0\tu0\thi there\tO\tGreeting\nc1\t1\tu1\thi\n\tx\t\t \t\t\nc1\t2\tu2\tbye\tO\tBye\n"
    loaded = load_data(write(tmp_path / "d.tsv", HEADER + rows), "multidogo", PLAIN)
    assert [e.text for e in loaded.examples] == ["bye"]
    assert len(loaded.skipped) == 3


def test_that_a_line_separator_inside_of_a_message_does_not_cut_it(tmp_path: Path) -> None:
    rows = "c1\t0\tu0\tone\u2028two\tO O\tGreeting\n"
    loaded = load_data(write(tmp_path / "d.tsv", HEADER + rows), "multidogo", PLAIN)
    assert [e.text for e in loaded.examples] == ["one\u2028two"]


def test_that_another_table_is_no_multidogo_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"d\.tsv:1: not a MultiDoGO table"):
        load_data(write(tmp_path / "d.tsv", "text\tintent\nhi\tgreeting\n"), "multidogo", PLAIN)


def test_that_banking77_rows_have_an_intent_and_no_slots(tmp_path: Path) -> None:
    rows = (
        'text,category\n"Where is my card, please?",card_arrival\n'
        "why??,Refund_not_showing_up\n,card_arrival\nonly text\n"
    )
    loaded = load_data(write(tmp_path / "b.csv", rows), "banking77", PLAIN)
    assert loaded.examples == (
        Example("Where is my card, please?", ("card_arrival",), None),
        Example("why??", ("refund_not_showing_up",), None),
    )
    assert len(loaded.skipped) == 2


def test_that_a_csv_without_the_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b\.csv:1: columns 'text' and 'category' are needed"):
        load_data(write(tmp_path / "b.csv", "text,label\nhi,greeting\n"), "banking77", PLAIN)


@pytest.fixture
def clinc(tmp_path: Path) -> str:
    splits = {
        "train": [["what is my balance", "balance"], ["too", "many", "cells"], [" ", "balance"]],
        "oos_train": [["feed the cat", "oos"]],
        "test": [["never read", "balance"]],
    }
    return write(tmp_path / "data.json", json.dumps(splits))


def test_that_clinc150_reads_the_splits_that_are_named(clinc: str) -> None:
    labels = LabelMap(intents={"oos": OUT_OF_SCOPE})
    loaded = load_data(f"{clinc}#train,oos_train", "clinc150", labels)
    assert [(e.text, e.intents) for e in loaded.examples] == [
        ("what is my balance", ("balance",)),
        ("feed the cat", (OUT_OF_SCOPE,)),
    ]
    assert len(loaded.skipped) == 2
    assert len(load_data(clinc, "clinc150", labels).examples) == 3


def test_that_a_split_that_does_not_exist_is_refused_with_those_that_do(clinc: str) -> None:
    with pytest.raises(DataError, match=r"no split 'valid'; there are train, oos_train, test"):
        load_data(f"{clinc}#valid", "clinc150", PLAIN)


@pytest.mark.parametrize(
    ("text", "reason"), [('{"train": [\n["a", ', r"c\.json:2: not valid JSON"), ("[]", "not an object")]
)
def test_that_a_broken_clinc150_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        load_data(write(tmp_path / "c.json", text), "clinc150", PLAIN)


def test_that_slu_folders_give_spans_from_bio_tags(tmp_path: Path) -> None:
    write(tmp_path / "seq.in", "fly to new york from new york today\nbad row\nhi\n")
    write(tmp_path / "seq.out", "O O B-to I-to O B-from I-from O\nO\nO\n")
    write(tmp_path / "label", "flight#fare\nflight\ngreet\n")
    loaded = load_data(str(tmp_path), "slu", PLAIN)
    flight, greeting = loaded.examples
    assert covered(flight) == [("new york", "to"), ("new york", "from")]
    assert flight.intents == ("flight", "fare")
    assert greeting.spans == ()
    assert len(loaded.skipped) == 1


def test_that_neighbours_of_one_slot_are_two_where_the_tags_say_so(tmp_path: Path) -> None:
    write(tmp_path / "seq.in", "monday tuesday")
    write(tmp_path / "seq.out", "B-day B-day")
    write(tmp_path / "label", "x")
    assert len(load_data(str(tmp_path), "slu", PLAIN).examples[0].spans or ()) == 2


def test_that_fewshot_folders_have_an_intent_a_line(tmp_path: Path) -> None:
    write(tmp_path / "seq.in", "where is it\n\nagain\n")
    write(tmp_path / "label", "card_arrival\ncard_arrival\nReverted_card_payment?\n")
    loaded = load_data(str(tmp_path), "fewshot", PLAIN)
    assert [e.intents for e in loaded.examples] == [("card_arrival",), ("reverted_card_payment",)]
    assert all(e.spans is None for e in loaded.examples)
    assert len(loaded.skipped) == 1


@pytest.mark.parametrize("data_format", ["slu", "fewshot"])
def test_that_parallel_files_must_be_there_and_equally_long(tmp_path: Path, data_format: str) -> None:
    write(tmp_path / "seq.in", "one\ntwo\n")
    write(tmp_path / "seq.out", "O\nO\n")
    with pytest.raises(DataError, match="label: file is missing"):
        load_data(str(tmp_path), data_format, PLAIN)
    write(tmp_path / "label", "a\n")
    with pytest.raises(DataError, match="have different numbers of lines"):
        load_data(str(tmp_path), data_format, PLAIN)


def test_that_jsonl_rows_give_character_spans_and_context(tmp_path: Path) -> None:
    rows = [
        {
            "text": "send $50",
            "intent": "transfer_money",
            "entities": [{"start": 5, "end": 8, "slot": "amount"}],
        },
        {"text": "two\u2028lines", "intent": "greeting", "context": ["before", "long before"]},
    ]
    text = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"
    loaded = load_data(
        write(tmp_path / "r.jsonl", text), "jsonl", LabelMap(slots={"amount": "transfer_amount"})
    )
    assert covered(loaded.examples[0]) == [("$50", "transfer_amount")]
    assert loaded.examples[1] == Example("two\u2028lines", ("greeting",), (), ("before", "long before"))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"text": "hi"}', r"not a row with text, intent, entities \(intent: Field required\)"),
        ('{"text": "hi", "intent": ', "not a row"),
        ('["hi", "greeting"]', "not a row"),
        ('{"text": "hi", "intent": null}', "not a row"),
        ('{"text": "hi", "intent": "a", "entities": [{"start": "0", "end": 1, "slot": "x"}]}', "not a row"),
        (
            '{"text": "hi", "intent": "a", "entities": [{"start": 0, "end": 3, "slot": "x"}]}',
            "span 0–3 lies outside of the text",
        ),
        (
            '{"text": "hi", "intent": "a", "entities": [{"start": 1, "end": 1, "slot": "x"}]}',
            "span 1–1 lies outside of the text",
        ),
        (
            '{"text": "hi", "intent": "a", "entities": [{"start": -1, "end": 1, "slot": "x"}]}',
            "span -1–1 lies outside of the text",
        ),
    ],
)
def test_that_a_broken_jsonl_row_is_refused_with_its_line(tmp_path: Path, row: str, reason: str) -> None:
    source = write(tmp_path / "r.jsonl", f'{{"text": "fine", "intent": "a"}}\n{row}\n')
    with pytest.raises(DataError, match=rf"r\.jsonl:2: {reason}"):
        load_data(source, "jsonl", PLAIN)


def test_that_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DataError, match="unknown data format 'rasa'; known: multidogo, banking77"):
        load_data("anything", "rasa", PLAIN)


def test_that_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv: no such file or folder"):
        load_data(str(tmp_path / "nowhere.csv"), "banking77", PLAIN)


def test_that_only_clinc150_has_splits(tmp_path: Path) -> None:
    source = write(tmp_path / "b.csv", "text,category\nhi,greeting\n")
    with pytest.raises(DataError, match="only clinc150 files have splits"):
        load_data(f"{source}#train", "banking77", PLAIN)


def test_that_a_file_without_a_usable_row_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "b.csv", "text,category\n,greeting\n")
    with pytest.raises(DataError, match=r"b\.csv:1: no usable row in format banking77; .*b\.csv:2: no text"):
        load_data(source, "banking77", PLAIN)


def test_that_bytes_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(b"text,category\ncaf\xe9,greeting\n")
    with pytest.raises(DataError, match=r"b\.csv:2: cannot be read as UTF-8 text \(byte 0xe9\)"):
        load_data(str(tmp_path / "b.csv"), "banking77", PLAIN)


# ── label maps ──


def test_that_rules_come_before_the_list_and_the_list_before_the_default() -> None:
    labels = LabelMap(
        intents={"personal": "edit_details", "noise": None},
        rules=(LabelRule(label="personal", matching=r"\baddress\b", intent="update_address"),),
        default=OUT_OF_SCOPE,
    )
    assert labels.intent("Personal", "my ADDRESS changed") == "update_address"
    assert labels.intent("personal", "my addresses") == "edit_details"
    assert labels.intent("noise", "x") is None
    assert labels.intent("weather", "x") == OUT_OF_SCOPE
    assert LabelMap().intent("Weather?", "x") == "weather"


def test_that_rows_whose_label_maps_to_null_are_left_out_and_counted(tmp_path: Path) -> None:
    source = write(tmp_path / "b.csv", "text,category\na,noise\nb,weather\n")
    loaded = load_data(source, "banking77", LabelMap(intents={"noise": None}))
    assert [e.text for e in loaded.examples] == ["b"]
    assert len(loaded.skipped) == 1


def test_that_the_packs_own_map_names_only_its_own_intents_and_slots(pack: Pack) -> None:
    assert label_map(pack, "multidogo").intent("ReportLostCard", "x") == "report_lost_card"
    assert label_map(pack, "banking77").intent("edit_personal_details", "new address") == "update_address"
    assert label_map(pack, "clinc150").intent("weather", "x") == OUT_OF_SCOPE
    assert label_map(pack, "jsonl") == LabelMap()
    assert label_map(None, "multidogo") == LabelMap()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("banking77: {intents: {a: fly}}", "'fly' is no intent of the pack"),
        ("banking77: {default: fly}", "'fly' is no intent of the pack"),
        ("banking77: {rules: [{label: a, matching: b, intent: fly}]}", "'fly' is no intent of the pack"),
        ("banking77: {slots: {a: wings}}", "'wings' is no slot of the pack"),
        ("banking77: {intent: {}}", "Extra inputs are not permitted"),
    ],
)
def test_that_a_map_to_what_the_pack_does_not_have_is_refused(
    pack: Pack, tmp_path: Path, text: str, reason: str
) -> None:
    write(tmp_path / "labels.yaml", text)
    with pytest.raises(PackError, match=rf"labels\.yaml:1: .*{reason}"):
        label_map(pack.model_copy(update={"folder": tmp_path}), "banking77")


# ── thinning ──


def test_that_thinning_keeps_to_the_limits_and_leaves_other_intents_alone() -> None:
    rows = [Example(f"{intent}{i}", (intent,)) for intent in "abc" for i in range(50)]
    kept = thin(rows, {"a": 7, "*": 20}, random.Random(0))
    assert Counter(e.intents[0] for e in kept) == {"a": 7, "b": 20, "c": 20}
    assert Counter(e.intents[0] for e in thin(rows, {"a": 7}, random.Random(0)))["c"] == 50
    assert len(set(kept)) == len(kept)


def test_that_a_thinned_sample_is_drawn_by_chance_and_the_same_for_one_seed() -> None:
    rows = [Example(f"t{i}", ("a",)) for i in range(40)]
    first = thin(rows, {"a": 10}, random.Random(0))
    assert first == thin(rows, {"a": 10}, random.Random(0))
    assert set(first) not in (set(rows[:10]), set(thin(rows, {"a": 10}, random.Random(1))))


def test_that_thinning_without_limits_keeps_every_row_and_every_repetition() -> None:
    rows = [Example("same", ("a",))] * 20 + [Example(f"t{i}", ("b",)) for i in range(20)]
    assert Counter(thin(rows, {}, random.Random(0))) == Counter(rows)


# ── the pack's own sentences ──


def test_that_a_filled_sentence_has_its_values_at_the_right_characters() -> None:
    rng = random.Random(0)
    values = {"amount": ["$5#", "twenty"], "account": ["####", "44 ##"]}
    for _ in range(50):
        text, spans = fill_sentence("{amount} to {account}, then {amount}!", values, rng)
        found = [(text[s.start : s.end], s.slot) for s in spans]
        assert [slot for _, slot in found] == ["amount", "account", "amount"]
        assert all(re.fullmatch(r"\$5\d|twenty", value) for value, slot in found if slot == "amount")
        assert re.fullmatch(r"\d{4}|44 \d\d", found[1][0])
        assert text == f"{found[0][0]} to {found[1][0]}, then {found[2][0]}!"


def test_that_every_example_of_the_pack_has_its_own_intents_and_spans_inside_its_text(pack: Pack) -> None:
    examples = load_pack_examples(pack, random.Random(1), fillings=2)
    known = {*pack.intents, OUT_OF_SCOPE}
    for example in examples:
        assert set(example.intents) <= known
        assert not re.search(r"[{}]", example.text)
        for span in example.spans or ():
            assert span.slot in pack.slots
            value = example.text[span.start : span.end]
            assert value == value.strip() != ""
            assert "#" not in value
    assert {i for e in examples for i in e.intents} == known
    assert Counter(len(e.intents) for e in examples)[2] >= 100


@pytest.fixture
def own_pack(tmp_path: Path) -> Pack:
    """A copy whose example files a test may break."""
    source = Path(__file__).parents[2] / "domains" / "banking"
    shutil.copytree(source, tmp_path / "banking")
    return load_pack(tmp_path / "banking")


def test_that_a_slot_without_sample_values_is_named_with_its_line(own_pack: Pack) -> None:
    write(own_pack.folder / "examples" / "faq.yaml", "age_limit:\n- fine\n- of {age} years\n")
    with pytest.raises(PackError, match=r"faq\.yaml:3: slot 'age' has no values in values\.yaml"):
        load_pack_examples(own_pack, random.Random(0))


def test_that_a_wish_with_an_unknown_slot_is_named_with_its_line(own_pack: Pack) -> None:
    intents = "  intents: [greeting, age_limit]\n"
    rows = f"- text: hello\n{intents}- text: 'my {{age}}'\n{intents}"
    write(own_pack.folder / "examples" / "two_wishes.yaml", rows)
    with pytest.raises(PackError, match=r"two_wishes\.yaml:3: slot 'age' has no values"):
        load_pack_examples(own_pack, random.Random(0))


def test_that_a_follow_up_comes_after_its_wish_and_details_that_the_task_needs(own_pack: Pack) -> None:
    rows = "transfer_money:\n  transfer_timing:\n  - how long does it take\n"
    write(own_pack.folder / "examples" / "follow_ups.yaml", rows)
    found = [e for e in load_pack_examples(own_pack, random.Random(0), fillings=20) if e.context]
    assert {(e.text, e.intents) for e in found} == {("how long does it take", ("transfer_timing",))}
    assert {e.past.intents for e in found} == {("transfer_money",)}
    slots = {*own_pack.tasks["transfer_money"].optional, *own_pack.tasks["transfer_money"].slots}
    assert {slot for e in found for slot in e.past.slots} <= {*slots, "name", "ssn", "card_number"}
    assert {len(e.context) for e in found} == {1, 2, 3}


def test_that_a_follow_up_to_a_question_has_no_task_before_it(own_pack: Pack) -> None:
    write(
        own_pack.folder / "examples" / "follow_ups.yaml",
        "card_help:\n  report_lost_card:\n  - it was stolen\n",
    )
    found = [e for e in load_pack_examples(own_pack, random.Random(0)) if e.context]
    assert [e.past for e in found] == [NO_PAST] * 3
    assert all("card" in e.context[0].lower() for e in found)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("nothing:\n  transfer_timing:\n  - how long\n", "yaml:1: 'nothing' is no intent with sentences"),
        ("open_account:\n  nothing:\n  - how long\n", "yaml:2: 'nothing' is no intent"),
        ("open_account:\n  age_limit:\n  - yes\n", "put it in quotes"),
    ],
)
def test_that_a_follow_up_to_nothing_or_of_nothing_is_named_with_its_line(
    own_pack: Pack, rows: str, reason: str
) -> None:
    write(own_pack.folder / "examples" / "follow_ups.yaml", rows)
    with pytest.raises(PackError, match=reason):
        load_pack_examples(own_pack, random.Random(0))


def test_that_a_sentence_that_yaml_takes_for_a_truth_value_is_refused(own_pack: Pack) -> None:
    write(own_pack.folder / "examples" / "social.yaml", "affirm:\n- sure\n- yes\n")
    with pytest.raises(PackError, match=r"social\.yaml:3: 'True' is no text; put it in quotes"):
        load_pack_examples(own_pack, random.Random(0))


def test_that_spans_are_values_of_their_slot_also_after_emoji() -> None:
    text, spans = fill_sentence("🙂 {name} 🙂", {"name": ["Zoë 👩‍💻"]}, random.Random(0))
    assert spans == (Span(2, 2 + len("Zoë 👩‍💻"), "name"),)
    assert text[spans[0].start : spans[0].end] == "Zoë 👩‍💻"
