"""Simulated customers as commands name them: who they are, and whether they mean or write."""

import random
from collections.abc import Sequence
from typing import Annotated, Literal

import typer

from chatbot.output import fail
from chatbot.policies import errors_for
from chatbot.settings import Settings
from dialog_policy.env import DialogueEnv
from dialog_policy.phrasebook import Phrasebook
from dialog_policy.population import load_population
from dialog_policy.text_ear import TextEnv
from domains.schema import Pack
from nlu.data import load_data
from nlu.labels import label_map
from nlu.parser import load_parser
from nlu.sentences import load_pack_examples

Users = Annotated[str, typer.Option(help="`default`, or a YAML file that describes the simulated customers.")]
Error = Annotated[
    float | None, typer.Option(min=0, max=1, help="Uniform NLU error rate instead of the measured errors.")
]
Level = Annotated[
    Literal["semantic", "text"],
    typer.Option(
        help="`semantic`: meanings with simulated errors, fast; `text`: sentences to the NLU itself."
    ),
]
Sentences = Annotated[
    list[str],
    typer.Option(help="Labelled messages that the customers of `--level text` take their words from."),
]
SentencesFormat = Annotated[list[str], typer.Option(help="Its format, once for each --sentences.")]


def open_simulator(
    settings: Settings,
    pack: Pack,
    users: str,
    nlu_error: float | None,
    level: str = "semantic",
    sentences: Sequence[str] = (),
    formats: Sequence[str] = (),
) -> DialogueEnv:
    """Raises PackError, ModelError, DataError."""
    population = load_population(users, pack)
    if level == "semantic":
        if sentences:
            fail("--sentences are for customers who write; add --level text")
        return DialogueEnv(pack, population, errors_for(settings, population, nlu_error, pack))
    if nlu_error is not None:
        fail("--nlu-error is for simulated errors; with --level text the NLU makes its own")
    parser = load_parser(settings.models / "nlu", pack)
    return TextEnv(pack, population, parser, open_phrasebooks(pack, sentences, formats))


def open_phrasebooks(pack: Pack, sentences: Sequence[str], formats: Sequence[str]) -> list[Phrasebook]:
    """The labelled messages, where there are any, before the pack's own."""
    if len(sentences) != len(formats):
        fail(f"{len(sentences)} --sentences but {len(formats)} --sentences-format; each needs the other")
    given = [
        example
        for source, name in zip(sentences, formats, strict=True)
        for example in load_data(source, name, label_map(pack, name)).examples
    ]
    own = Phrasebook(pack, load_pack_examples(pack, random.Random(0)))
    return [Phrasebook(pack, given, foreign=True), own] if given else [own]
