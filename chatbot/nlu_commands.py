"""The commands that train and evaluate the NLU."""

import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from chatbot.data_report import print_report, print_suspects
from chatbot.options import Domain, read_settings
from chatbot.output import Json, fail, show
from domains.loader import load_pack
from domains.schema import Pack
from nlu.checks import DataReport, check, plain
from nlu.data import Example, Loaded, Skipped, load_data, thin
from nlu.errors import measure, save_errors
from nlu.evaluate import evaluate, parse_all
from nlu.labels import label_map
from nlu.model_folder import PIECES
from nlu.parser import Parser, load_parser, save_parser, stands_alone
from nlu.pieces import PieceSplitter
from nlu.pretrained import load_encoder
from nlu.recipe import TrainConfig, recipe
from nlu.sentences import load_pack_examples
from nlu.suspects import Suspect, suspects
from nlu.train import train

Data = Annotated[
    list[str], typer.Option(help="File or folder; file.json#split,split names splits. Repeatable.")
]
Format = Annotated[list[str], typer.Option(help="Its format, once for each --data.")]
NoPack = Annotated[bool, typer.Option("--no-pack", help="Intents and slots are those of the data alone.")]
Exclude = Annotated[list[str], typer.Option(help="Data whose sentences must not be trained on.")]
ExcludeFormat = Annotated[list[str], typer.Option(help="Its format, once for each --exclude.")]
Validate = Annotated[
    list[str],
    typer.Option(
        help="Data that is scored after each epoch: training stops without gain, the best epoch is kept."
    ),
]
ValidateFormat = Annotated[list[str], typer.Option(help="Its format, once for each --validate.")]


@dataclass(frozen=True)
class TrainingData:
    examples: list[Example]
    validation: list[Example]
    report: DataReport


def check_nlu(
    data: Data = [],  # noqa: B006
    format: Format = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    exclude_format: ExcludeFormat = [],  # noqa: B006
    validate: Validate = [],  # noqa: B006
    validate_format: ValidateFormat = [],  # noqa: B006
    domain: Domain = None,
    no_pack: NoPack = False,
    suspect: Annotated[
        int,
        typer.Option(
            "--suspects",
            min=0,
            help="Show so many sentences that look like another intent's (reads them all).",
        ),
    ] = 0,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Check what `chatbot train nlu` would train on; ends with exit code 1 where it would refuse to."""
    sources = (data, format), (exclude, exclude_format), (validate, validate_format)
    found = _gather(*sources, _pack(domain, no_pack), seed)
    sound = suspect and not found.report.errors
    doubted = _suspects(found.examples)[:suspect] if sound else []
    if json:
        show({**found.report.as_dict(), "suspects": [asdict(one) for one in doubted]}, json)
    else:
        print_report(found.report)
        print_suspects(doubted)
    found.report.raise_errors()


def _suspects(examples: list[Example]) -> list[Suspect]:
    folder = read_settings().models / "encoder"
    return suspects(examples, load_encoder(folder), PieceSplitter(folder / PIECES))


def train_nlu(
    out: Annotated[Path, typer.Option(help="Folder for the model, checkpoints and logs.")],
    data: Data = [],  # noqa: B006
    format: Format = [],  # noqa: B006
    exclude: Exclude = [],  # noqa: B006
    exclude_format: ExcludeFormat = [],  # noqa: B006
    validate: Validate = [],  # noqa: B006
    validate_format: ValidateFormat = [],  # noqa: B006
    domain: Domain = None,
    no_pack: NoPack = False,
    encoder: Annotated[
        Path | None, typer.Option(help="Encoder to start from. Default: the shipped one.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            help="A trained model that learns on; intents and slots it does not know come new to it."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Default: chosen by the data.")] = None,
    patience: Annotated[
        int, typer.Option(min=0, help="Epochs without gain on --validate after which training stops.")
    ] = TrainConfig.patience,
    encoder_rate: Annotated[
        float, typer.Option(help="Peak learning rate of the encoder.")
    ] = TrainConfig.encoder_rate,
    head_rate: Annotated[float, typer.Option(help="Peak learning rate of all else.")] = TrainConfig.head_rate,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Check the data, then train the NLU on the pack's own examples and on --data.

    Continues an interrupted run in --out. `chatbot check nlu` checks without training.
    """
    pack = _pack(domain, no_pack)
    sources = (data, format), (exclude, exclude_format), (validate, validate_format)
    found = _gather(*sources, pack, seed)
    found.report.raise_errors()
    if not json:
        print_report(found.report)
    folder = encoder or read_settings().models / "encoder"
    base = load_encoder(folder)
    splitter = PieceSplitter(folder / PIECES)
    config = recipe(
        found.examples,
        epochs,
        patience=patience,
        encoder_rate=encoder_rate,
        head_rate=head_rate,
        seed=seed,
    )
    learnt = load_parser(start, None, full_precision=True).model if start else None
    training = train(found.examples, pack, base, splitter, config, out, found.validation, learnt)
    save_parser(training.parser, out, folder / PIECES)
    best = training.best
    show(
        {
            "model": str(out),
            "examples": len(found.examples),
            "calibration": asdict(training.parser.calibration),
            **({"best_epoch": best.epoch + 1, "validation_exact_match": best.score} if best else {}),
            **({"data": found.report.as_dict()} if json else {}),
        },
        json,
    )


def evaluate_nlu(
    data: Data,
    format: Format,
    domain: Domain = None,
    model: Path | None = None,
    errors_to: Annotated[
        Path | None, typer.Option(help="Folder of the model, to write the simulator's error table into.")
    ] = None,
    json: Json = False,
) -> None:
    """Score a model, by default the shipped one, on labelled data."""
    if errors_to is not None and not errors_to.is_dir():
        fail(f"--errors-to {errors_to}: not a folder; name that of the model")
    parser, pack = open_parser(model, domain)
    examples = [e for loaded in _load(data, format, pack) for e in loaded.examples]
    if errors_to is not None:
        save_errors(measure(examples, parse_all(parser, examples)), errors_to)
    show(evaluate(parser, examples).as_dict(), json)


def _pack(domain: Path | None, no_pack: bool) -> Pack | None:
    if no_pack and domain is not None:
        fail("--no-pack and --domain exclude each other")
    return None if no_pack else load_pack(read_settings(domain=domain).domain)


def open_parser(model: Path | None, domain: Path | None) -> tuple[Parser, Pack | None]:
    """The model, with the pack unless it was trained without one."""
    settings = read_settings(domain=domain)
    folder = model or settings.models / "nlu"
    pack = None if domain is None and stands_alone(folder) else load_pack(settings.domain)
    return load_parser(folder, pack), pack


Sources = tuple[list[str], list[str]]


def _gather(data: Sources, exclude: Sources, validate: Sources, pack: Pack | None, seed: int) -> TrainingData:
    """All examples of a training run, and what the checks say about them."""
    if pack is None and not data[0]:
        fail("--no-pack needs --data to train on")
    rng = random.Random(seed)
    held_back = {plain(e.text) for loaded in _load(*exclude, None, "exclude") for e in loaded.examples}
    examples = list(load_pack_examples(pack, rng)) if pack else []
    skipped: list[Skipped] = []
    for loaded, name in zip(_load(*data, pack), data[1], strict=True):
        skipped += loaded.skipped
        rows = thin(loaded.examples, label_map(pack, name).limits, rng)
        examples += [e for e in rows if plain(e.text) not in held_back]
    if not examples:
        fail("no example is left to train on; --exclude names all of them")
    validation = [e for loaded in _load(*validate, pack, "validate") for e in loaded.examples]
    return TrainingData(examples, validation, check(examples, skipped, pack, validation))


def _load(sources: list[str], formats: list[str], pack: Pack | None, option: str = "data") -> list[Loaded]:
    if len(sources) != len(formats):
        named = "format" if option == "data" else f"{option}-format"
        fail(f"{len(sources)} --{option} but {len(formats)} --{named}; each needs the other")
    return [load_data(s, f, label_map(pack, f)) for s, f in zip(sources, formats, strict=True)]
