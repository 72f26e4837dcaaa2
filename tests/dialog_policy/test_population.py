"""Files that describe the simulated customers."""

from pathlib import Path

import pytest

from dialog_policy.population import Kind, Population, load_population
from domains.document import PackError
from domains.schema import Pack


def write(tmp_path: Path, text: str) -> str:
    (tmp_path / "users.yaml").write_text(text, encoding="utf-8")
    return str(tmp_path / "users.yaml")


def test_that_the_default_population_has_every_kind_that_the_bot_is_judged_on(pack: Pack) -> None:
    kinds = load_population("default", pack).kinds.values()
    assert len(kinds) >= 5
    assert any(kind.wants_person for kind in kinds)
    assert any(kind.wrong_credentials for kind in kinds)
    assert any(kind.out_of_scope for kind in kinds)
    assert any(kind.tasks[1] > 1 for kind in kinds)
    assert any(kind.correction for kind in kinds)


def test_that_a_file_is_read_with_defaults(tmp_path: Path, pack: Pack) -> None:
    source = write(tmp_path, "kinds:\n  busy: {share: 2, tasks: [2, 3]}\nnlu: 0.25\n")
    assert load_population(source, pack) == Population(kinds={"busy": Kind(share=2, tasks=(2, 3))}, nlu=0.25)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("kinds: {}\n", "1: .*a population needs at least one kind"),
        ("nlu: 0.1\n", "1: kinds: Field required"),
        ("kinds:\n  a:\n    tasks: [1, 1]\n", r"2: kinds\.a\.share: Field required"),
        ("kinds:\n  a:\n    share: 0\n", r"3: kinds\.a\.share: Input should be greater than 0"),
        (
            "kinds:\n  a:\n    share: 1\n    correction: 1.5\n",
            r"4: kinds\.a\.correction: .*less than or equal to 1",
        ),
        (
            "kinds:\n  a:\n    share: 1\n    temper: bad\n",
            r"4: kinds\.a\.temper: Extra inputs are not permitted",
        ),
        ("kinds:\n  a:\n    share: 1\n    mood:\n      upset: 2\n", r"5: kinds\.a\.mood\.upset: "),
        ("kinds:\n  a:\n    share: 1\n    order: backwards\n", r"4: kinds\.a\.order: "),
        ("kinds:\n  a:\n    share: 1\n    at_once: -1\n", r"4: kinds\.a\.at_once: "),
        ("kinds:\n  a:\n    share: 1\n    fraud: [3, 1]\n", r"2: kinds\.a: .*fraud: first the fewest"),
        (
            "kinds:\n  a: {share: 1, fraud: [1, 3], wrong_credentials: true}\n",
            r"2: kinds\.a: .*fraud: a kind either",
        ),
        ("kinds:\n  a:\n    share: 1\n    goals: [fly]\n", r"4: kinds\.a\.goals: 'fly' is no task or topic"),
        ("kinds:\n  a:\n    share: 1\n    goals: {check_balance: 0}\n", r"4: kinds\.a\.goals\.check_balance"),
        (
            "kinds:\n  a:\n    share: 1\n    goals: [age_limit]\n",
            r"4: kinds\.a\.goals: none of them is a task, .*tasks: \[0, 0\]",
        ),
        (
            "kinds:\n  a:\n    share: 1\n    questions: [0, 1]\n    goals: [check_balance]\n",
            r"5: kinds\.a\.goals: none of them is a topic",
        ),
        ("kinds:\n  a: {share: 1}\n  a: {share: 2}\n", "3: key 'a' stands twice"),
        ("kinds:\n  a:\n    share: 1\n    patience: [5, 2]\n", r"2: kinds\.a: .*patience: first the fewest"),
        ("kinds:\n  a:\n    share: 1\nnlu: 1.5\n", "4: nlu"),
        ("kinds:\n  a:\n    share: 1\nnlu: guessed\n", "4: nlu"),
        ("kinds: [", "not valid YAML"),
    ],
)
def test_that_a_broken_file_is_refused_with_line_and_key(
    tmp_path: Path, pack: Pack, text: str, where: str
) -> None:
    with pytest.raises(PackError, match=rf"users\.yaml:.*{where}"):
        load_population(write(tmp_path, text), pack)


def test_that_a_missing_file_is_named(tmp_path: Path, pack: Pack) -> None:
    with pytest.raises(PackError, match=r"nobody\.yaml: file is missing"):
        load_population(str(tmp_path / "nobody.yaml"), pack)
