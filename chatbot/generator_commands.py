"""The commands that train and evaluate the generator of replies."""

import json as json_module
import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from chatbot.options import Domain, read_settings
from chatbot.output import Json, fail, show
from chatbot.wording.check import check
from chatbot.wording.corpus import encode, evenly, pack_texts, thin_out
from chatbot.wording.evaluation import sample_turns, score, word_all
from chatbot.wording.generator import UnfitRequest
from chatbot.wording.local import open_generator
from chatbot.wording.pack_pairs import pack_pairs
from chatbot.wording.phrasing import fill
from chatbot.wording.pretrained import PretrainedGeneratorError, load_pretrained, used_tokens, write_tokenizer
from chatbot.wording.request import Request
from chatbot.wording.sgd import load_sgd
from chatbot.wording.tokens import Tokens
from chatbot.wording.training import GeneratorTrainer, GeneratorTraining
from domains.loader import load_pack
from moe.tuning import perplexity
from nlu.corpus import load_texts
from nlu.sentences import load_pack_examples

TOKENIZER, OLD_IDS = "tokenizer.json", "old_ids.json"

Data = Annotated[list[str], typer.Option(help="File with dialogues or sentences. Repeatable.")]
Format = Annotated[
    list[str],
    typer.Option(
        help="Its format, once for each --data: `sgd` dialogues are learnt from; a format of the NLU or "
        "`lines` only tells which words customers use."
    ),
]


def evaluate_generator(
    data: Annotated[Path, typer.Option(help="`sgd` dialogues whose system turns are worded anew.")],
    model: Annotated[Path | None, typer.Option(help="Default: the shipped generator.")] = None,
    format: Annotated[str, typer.Option(help="Only `sgd` has acts to word.")] = "sgd",
    limit: Annotated[int, typer.Option(min=1, help="Turns, drawn with --seed.")] = 2000,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Score the generator's wording: BLEU against what people said, facts, share of phrasings, speed."""
    if format != "sgd":
        fail(f"format '{format}' has no acts to word; known: sgd")
    pairs = sample_turns(data, limit, seed)
    folder = model or read_settings().models / "generator"
    tokens, generator = Tokens(folder / TOKENIZER), open_generator(folder)

    def generate(request: Request) -> tuple[str, int]:
        try:
            text = generator.word(request, until=math.inf)
        except UnfitRequest:  # no reply, so the phrasing is taken
            return "", 0
        return text, len(tokens.encode(text)) + 1

    with Progress(disable=json) as progress:
        bar = progress.add_task("wording", total=len(pairs))
        worded = word_all(
            pairs,
            generate,
            lambda text, request: check(request, fill(text, request.facts)),
            lambda: progress.advance(bar),
        )
    report = score(worded, [pair.text for pair in pairs])
    reasons = Counter(fault for one in worded for fault in one.faults)
    show({**report.as_dict(), "replaced_for": dict(reasons.most_common())}, json)


def train_generator(
    out: Annotated[Path, typer.Option(help="Folder for the generator and its checkpoints.")],
    data: Data,
    format: Format,
    layers: Annotated[int, typer.Option(min=1, max=30)] = GeneratorTraining.layers,
    top_k: Annotated[int, typer.Option(min=1, max=16, help="Experts that act on a token.")] = (
        GeneratorTraining.top_k
    ),
    dense_steps: Annotated[int, typer.Option(min=1)] = GeneratorTraining.dense_steps,
    heal_steps: Annotated[int, typer.Option(min=1)] = GeneratorTraining.heal_steps,
    tune_steps: Annotated[int, typer.Option(min=1)] = GeneratorTraining.tune_steps,
    validate: Annotated[Path | None, typer.Option(help="`sgd` dialogues for the perplexities.")] = None,
    seed: int = 0,
    domain: Domain = None,
    json: Json = False,
) -> None:
    """Make the generator of replies; continues an interrupted run in --out."""
    if len(data) != len(format):
        fail(f"{len(data)} --data but {len(format)} --format; give one for each")
    if "sgd" not in format:
        fail("no --data of format sgd: there is nothing to learn replies from")
    pack = load_pack(read_settings(domain=domain).domain)
    pairs = [p for d, f in zip(data, format, strict=True) if f == "sgd" for p in load_sgd(Path(d))]
    own = pack_pairs(pack, load_pack_examples(pack, random.Random(seed)), seed)
    try:
        weights, full = load_pretrained()
    except PretrainedGeneratorError as error:
        fail(str(error))
    tokenizer, old_ids = out / TOKENIZER, out / OLD_IDS
    if not old_ids.exists():
        sentences = [t for p in pairs for t in (p.request.customer, p.request.say, p.reply or "")]
        for source, kind in zip(data, format, strict=True):
            sentences += [] if kind == "sgd" else load_texts(source, kind)
        old = write_tokenizer(full, used_tokens(full, sentences, pack_texts(pack)), tokenizer)
        old_ids.write_text(json_module.dumps(old), encoding="utf-8")
    tokens = Tokens(tokenizer)
    config = GeneratorTraining(layers, top_k, dense_steps, heal_steps, tune_steps, seed=seed)
    rows, own_rows = encode(thin_out(pairs, seed), tokens), encode(own, tokens)
    with Progress() as progress:

        def stage(name: str, steps: int) -> Callable[[int, float], None]:
            bar = progress.add_task(name, total=steps)
            return lambda step, loss: progress.update(
                bar, completed=step, description=f"{name} loss {loss:.3f}"
            )

        trainer = GeneratorTrainer(rows, own_rows, tokens, config, out, stage)
        dense = trainer.dense(weights, json_module.loads(old_ids.read_text(encoding="utf-8")))
        mixture = trainer.mixture(dense)
    trainer.save(mixture)
    figures: dict[str, float] = {}
    if validate is not None:
        unseen = random.Random(seed).sample(encode(list(load_sgd(validate)), tokens), 2000)
        unseen_batches = list(evenly(unseen, tokens.end))
        figures = {
            "perplexity_dense": perplexity(dense, unseen_batches),
            "perplexity": perplexity(mixture, unseen_batches),
        }
    share = mixture.config.active_share
    show({"generator": str(out), "active_share": share, **asdict(config), **figures}, json)
