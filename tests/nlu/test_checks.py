"""What the checks find in data that is wrong in one way each."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from domains.schema import OUT_OF_SCOPE, Pack
from nlu.checks import FEW, IMBALANCE, DataReport, check
from nlu.data import LEFT_OUT, DataError, Example, Skipped, Span, load_data
from nlu.labels import LabelMap
from nlu.sentences import load_pack_examples


def row(text: str, *intents: str, line: int = 0, spans: tuple[Span, ...] | None = None) -> Example:
    return Example(text, intents, spans, place=f"data.csv:{line}")


def sound(*intents: str) -> list[Example]:
    """FEW different examples of each intent."""
    return [
        row(f"{intent} {n}", intent, line=FEW * i + n) for i, intent in enumerate(intents) for n in range(FEW)
    ]


def found(report: DataReport) -> dict[str, int]:
    return {finding.kind: finding.count for finding in report.findings}


def test_that_sound_data_has_no_findings_and_is_counted() -> None:
    report = check(sound("a", "b", OUT_OF_SCOPE))
    assert report.findings == ()
    assert report.intents == {"a": FEW, "b": FEW, OUT_OF_SCOPE: FEW}
    assert (report.examples, report.skipped) == (3 * FEW, 0)
    report.raise_errors()


def test_that_data_of_one_class_is_an_error_with_file_and_line() -> None:
    with pytest.raises(DataError, match=r"^data\.csv:0: all examples have the intent 'a'"):
        check(sound("a")).raise_errors()


def test_that_repeated_rows_are_counted_without_the_first_whatever_their_case() -> None:
    again = [row("A  0", "a", line=70), row("a 0 ", "a", line=71)]
    report = check([*sound("a", "b"), *again])
    assert found(report) == {"duplicates": 2}
    assert report.findings[0].places == ("data.csv:70 'A  0'", "data.csv:71 'a 0 '")


def test_that_a_sentence_of_the_pack_that_is_filled_twice_is_no_duplicate() -> None:
    assert check([*sound("a", "b"), row("a 0", "a", line=0)]).findings == ()


def test_that_a_text_with_two_intents_is_a_contradiction_that_names_both_places() -> None:
    report = check([*sound("a", "b"), row("A 0", "b", line=90)])
    assert found(report) == {"contradictory intents": 1}
    assert report.findings[0].places == ("data.csv:0 'a 0' is a, data.csv:90 says b",)


def test_that_a_text_may_mean_something_else_after_another_message() -> None:
    after = replace(row("a 0", "b", line=90), context=("is it b?",))
    assert check([*sound("a", "b"), after]).findings == ()


def test_that_a_text_with_two_sets_of_slots_is_a_contradiction() -> None:
    texts = [row(f"pay ${n}", "a", line=n, spans=(Span(4, 6, "amount"),)) for n in range(FEW)]
    bare = row("pay $0", "a", line=80, spans=())
    unknown = row("pay $1", "a", line=81, spans=None)  # a set without slots contradicts nothing
    report = check([*texts, bare, unknown, *sound("b")])
    assert found(report)["contradictory slots"] == 1


def test_that_rare_and_overwhelming_classes_are_reported() -> None:
    common = [row(f"c {n}", "c", line=n + 100) for n in range(IMBALANCE * (FEW - 1) + 1)]
    report = check([*sound("a"), *common, *sound("b")[1:]])
    assert found(report) == {"few examples: intent": 1, "class balance": 1}
    assert "c (201), b (4), median 5" in report.findings[1].places[0]


@pytest.mark.parametrize(
    ("start", "end", "kind"),
    [(5, 7, "span cuts a word"), (6, 9, "span cuts a word"), (3, 8, "span with white space")],
)
def test_that_spans_are_expected_to_begin_and_end_where_words_do(start: int, end: int, kind: str) -> None:
    texts = [row(f"pay 1234 now {n}", "a", line=n, spans=(Span(4, 8, "x"),)) for n in range(FEW)]
    odd = row("pay 1234 again", "a", line=50, spans=(Span(start, end, "x"),))
    report = check([*texts, odd, *sound("b")])
    assert report.errors == ()
    assert found(report)[kind] == 1


@pytest.mark.parametrize("text", ["cafÃ©", "itâ€™s", "a\ufffdb"])
def test_that_text_that_was_read_in_a_wrong_encoding_is_reported(text: str) -> None:
    assert found(check([*sound("a", "b"), row(text, "a", line=50)])) == {"wrong encoding": 1}
    assert check([*sound("a", "b"), row("café – Zoë’s Ärger", "a", line=50)]).findings == ()


def test_that_malformed_rows_are_a_warning_until_there_are_more_of_them_than_others() -> None:
    bad = [Skipped(f"d.tsv:{n}", "no text") for n in range(11)]
    assert found(check(sound("a", "b"), bad[:10])) == {"malformed": 10}
    with pytest.raises(
        DataError, match=r"^d\.tsv:0: no text; more rows are malformed than usable.*and 10 more"
    ):
        check(sound("a", "b"), bad).raise_errors()


def test_that_rows_that_are_left_out_on_purpose_are_no_malformed_rows() -> None:
    left_out = [Skipped(f"d.tsv:{n}", LEFT_OUT) for n in range(99)]
    report = check(sound("a", "b"), left_out)
    assert found(report) == {"left out": 99}
    assert report.errors == ()


def test_that_an_intent_of_the_pack_without_examples_is_an_error_at_its_line(pack: Pack) -> None:
    names = [name for name in pack.intents if name != "age_limit"]
    report = check(sound(*names), pack=pack)
    assert found(report)["intent without examples"] == 1
    lines = (pack.folder / "domain.yaml").read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if text.strip().startswith("age_limit:"))
    with pytest.raises(DataError, match=rf"domain\.yaml:{line}: intent 'age_limit' has no example"):
        report.raise_errors()
    assert found(report)["slot without examples"] == len(pack.slots)


def test_that_labels_the_pack_does_not_have_are_errors_with_the_remedy(pack: Pack) -> None:
    foreign = row("x", "fly", line=7), row("to oslo", "inform", line=8, spans=(Span(3, 7, "city"),))
    report = check([*sound(*pack.intents), *foreign], pack=pack)
    assert {finding.kind for finding in report.errors} == {"unknown intent", "unknown slot"}
    with pytest.raises(
        DataError, match=r"^data\.csv:7: intent 'fly' .* is not in the pack; map it in .*labels\.yaml"
    ):
        report.raise_errors()


def test_that_validation_data_is_compared_with_what_is_trained_on() -> None:
    validation = [
        row("A 0", "a"),
        row("new", "c"),
        row("far", OUT_OF_SCOPE),
        row("x y", "a", spans=(Span(0, 1, "s"),)),
    ]
    report = check(sound("a", "b"), validation=validation)
    assert found(report) == {
        "validation is trained on": 1,
        "intent only in validation": 1,
        "slot only in validation": 1,
    }


def test_that_the_shipped_pack_alone_has_no_errors(pack: Pack) -> None:
    check(load_pack_examples(pack, random.Random(0)), pack=pack).raise_errors()


def test_that_places_of_findings_are_files_and_lines(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text('text,category\n"two\nlines",a\none,b\nONE,b\n')
    examples = load_data(str(tmp_path / "d.csv"), "banking77", LabelMap()).examples
    assert [e.place for e in examples] == [f"{tmp_path / 'd.csv'}:{line}" for line in (2, 4, 5)]
