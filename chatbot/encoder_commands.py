"""The command that makes the encoder from which every NLU model starts."""

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from chatbot.output import Json, fail, show
from moe.encoder import EncoderConfig, MixtureEncoder
from moe.healing import HealingConfig, agreement, heal
from moe.upcycling import upcycle
from nlu.corpus import load_texts, text_batches
from nlu.pieces import PieceSplitter
from nlu.pretrained import PretrainedError, dense_encoder, load_encoder, pretrained_folder, save_encoder

TYPICAL = 14
"""Batches on which neurons are dealt out and agreement is measured."""


def train_encoder(
    out: Annotated[Path, typer.Option(help="Folder for the encoder.")],
    data: Annotated[list[str], typer.Option(help="File or folder with sentences. Repeatable.")],
    format: Annotated[list[str], typer.Option(help="A data format, `sgd`, or `lines`; one for each --data.")],
    start: Annotated[
        Path | None, typer.Option(help="An encoder to heal further; without it a new one is made.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Batches of 48 sentences.")] = HealingConfig.steps,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Make a mixture of experts from the dense encoder and heal it on sentences without labels."""
    if len(data) != len(format):
        fail(f"{len(data)} --data but {len(format)} --format; give one for each")
    texts = sorted(set().union(*map(load_texts, data, format)))
    folder = pretrained_folder()
    splitter = PieceSplitter(folder / "tokenizer.json")
    dense = dense_encoder(EncoderConfig())
    config = replace(EncoderConfig(), dropout=0.0)  # what is healed has a teacher, not too little data
    if start is None:
        student = upcycle(dense, config, islice(text_batches(texts, splitter, seed), TYPICAL), seed)
    else:
        try:
            healed_before = load_encoder(start)
        except PretrainedError as error:
            fail(str(error))
        student = MixtureEncoder(replace(healed_before.config, dropout=0.0))
        student.load_state_dict(healed_before.state_dict())
    unseen = list(islice(text_batches(texts, splitter, seed + 1), TYPICAL))
    before = agreement(student, dense, unseen)
    with Progress() as progress:
        bar = progress.add_task("healing", total=steps)
        heal(
            student,
            dense,
            text_batches(texts, splitter, seed + 2),
            HealingConfig(steps=steps),
            lambda step, loss: progress.update(bar, completed=step + 1, description=f"loss {loss:.3f}"),
        )
    student.config = replace(student.config, dropout=EncoderConfig.dropout)
    save_encoder(student, out, folder / "tokenizer.json")
    healed = agreement(student, dense, unseen)
    figures = {"sentences": len(texts), "agreement_before": before, "agreement_healed": healed}
    show({"encoder": str(out), "active_share": student.config.active_share, **figures}, json)
