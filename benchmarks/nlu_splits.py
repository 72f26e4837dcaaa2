"""The public data sets as they are trained on and scored on in every NLU benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nlu.data import Example, load_data
from nlu.labels import label_map

DOMAINS = ("finance", "insurance", "airline", "fastfood", "media", "software")
NAMES = (
    *("banking77", "banking77-10", "banking77-5", "clinc150", "atis", "snips"),
    *(f"multidogo-{domain}" for domain in DOMAINS),
)


@dataclass(frozen=True)
class Split:
    train: tuple[Example, ...]
    valid: tuple[Example, ...]


def load_split(name: str, folder: Path) -> Split:
    """The training and validation examples of one of NAMES; no sentence to be scored is trained on.

    That is so for Banking77, whose validation sentences stand in train.csv too, and for CLINC150. The others
    repeat short messages ("hi") in both parts, as the published figures have it.
    """
    base, _, part = name.partition("-")
    if base == "banking77":
        source, data_format = (f"train_{part}", "fewshot") if part else ("train.csv", "banking77")
        valid = _read(folder / "banking77/valid", "fewshot")
        return Split(_without(_read(folder / "banking77" / source, data_format), valid), valid)
    if base == "clinc150":
        file = folder / "clinc150/data_full.json"
        valid = _read(f"{file}#val,oos_val", "clinc150")
        return Split(_without(_read(f"{file}#train,oos_train", "clinc150"), valid), valid)
    if base == "multidogo":
        files = [folder / "multidogo" / part / f"{which}.tsv" for which in ("train", "dev")]
        return Split(*(_read(file, "multidogo") for file in files))
    return Split(*(_read(folder / base / which, "slu") for which in ("train", "valid")))


def _read(source: Path | str, data_format: str) -> tuple[Example, ...]:
    return load_data(str(source), data_format, label_map(None, data_format)).examples


def _without(examples: Sequence[Example], held_back: Sequence[Example]) -> tuple[Example, ...]:
    texts = {_bare(e.text) for e in held_back}
    return tuple(e for e in examples if _bare(e.text) not in texts)


def _bare(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))
