"""The commands that train and evaluate the NLU."""

import random
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from safetensors.torch import load_file

from chatbot.output import Json, fail, show
from chatbot.settings import Settings
from domains.schema import load_pack
from moe.upcycling import load_bert
from nlu.data import Example, load_data, load_pack_examples, thin
from nlu.errors import measure, save_errors
from nlu.evaluate import evaluate, parse_all
from nlu.labels import label_map
from nlu.parser import load_parser, save_parser
from nlu.pieces import PieceSplitter
from nlu.pretrained import pretrained_folder
from nlu.train import TrainConfig, Trainer, load_checkpoint, new_model

Data = Annotated[
    list[str], typer.Option(help="File or folder; file.json#split,split names splits. Repeatable.")
]
Format = Annotated[list[str], typer.Option(help="Its format, once for each --data.")]
Domain = Annotated[Path | None, typer.Option(help="Pack folder. Default: the shipped banking pack.")]


def train_nlu(
    out: Annotated[Path, typer.Option(help="Folder for the model, checkpoints and logs.")],
    data: Data = [],  # noqa: B006
    format: Format = [],  # noqa: B006
    exclude: Annotated[list[str], typer.Option(help="Data whose sentences must not be trained on.")] = [],  # noqa: B006
    exclude_format: Annotated[list[str], typer.Option(help="Its format, once for each --exclude.")] = [],  # noqa: B006
    domain: Domain = None,
    start_from: Annotated[Path | None, typer.Option(help="Folder of an earlier run to go on from.")] = None,
    epochs: Annotated[int, typer.Option(min=1)] = TrainConfig.epochs,
    encoder_rate: Annotated[
        float, typer.Option(help="Peak learning rate of the encoder.")
    ] = TrainConfig.encoder_rate,
    head_rate: Annotated[float, typer.Option(help="Peak learning rate of all else.")] = TrainConfig.head_rate,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Train the NLU on the pack's own examples and on --data; continues an interrupted run in --out."""
    settings = Settings()
    pack = load_pack(domain or settings.domain)
    rng = random.Random(seed)
    held_back = {_plain(e.text) for e in _read(exclude, exclude_format, None)}
    examples = list(load_pack_examples(pack, rng))
    for source, name in _pairs(data, format):
        labels = label_map(pack, name)
        rows = thin(load_data(source, name, labels).examples, labels.limits, rng)
        examples += [e for e in rows if _plain(e.text) not in held_back]
    unknown = {i for e in examples for i in e.intents} - {*pack.intents, "out_of_scope"}
    if unknown:
        fail(
            f"intent '{min(unknown)}' of the data is not in the pack; map it in {pack.folder / 'labels.yaml'}"
        )
    weights = pretrained_folder()
    config = TrainConfig(epochs=epochs, encoder_rate=encoder_rate, head_rate=head_rate, seed=seed)
    trainer = Trainer(examples, pack, PieceSplitter(weights / "tokenizer.json"), config)
    model = new_model(trainer)
    if start_from is None:
        load_bert(model.encoder, load_file(weights / "model.safetensors"))
    else:
        load_checkpoint(model, start_from)
    parser = trainer.run(model, out)
    save_parser(parser, out, weights / "tokenizer.json")
    show({"model": str(out), "examples": len(examples), "calibration": asdict(parser.calibration)}, json)


def evaluate_nlu(
    data: Data,
    format: Format,
    domain: Domain = None,
    model: Path | None = None,
    errors_to: Annotated[
        Path | None, typer.Option(help="Also write the error table for the simulator here.")
    ] = None,
    json: Json = False,
) -> None:
    """Score a model, by default the shipped one, on labelled data."""
    settings = Settings()
    pack = load_pack(domain or settings.domain)
    parser = load_parser(model or settings.models / "nlu", pack)
    examples = [
        e
        for source, name in _pairs(data, format)
        for e in load_data(source, name, label_map(pack, name)).examples
    ]
    if errors_to is not None:
        save_errors(measure(examples, parse_all(parser, examples)), errors_to)
    show(evaluate(parser, examples).as_dict(), json)


def _pairs(sources: list[str], formats: list[str]) -> list[tuple[str, str]]:
    if len(sources) != len(formats):
        fail(f"{len(sources)} --data but {len(formats)} --format; each needs the other")
    return list(zip(sources, formats, strict=True))


def _read(sources: list[str], formats: list[str], pack: None) -> list[Example]:
    return [e for s, f in _pairs(sources, formats) for e in load_data(s, f, label_map(pack, f)).examples]


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
