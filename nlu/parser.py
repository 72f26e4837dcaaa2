"""From a customer's text to an Understanding, with a trained model."""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from domains.schema import OUT_OF_SCOPE, Pack
from moe.encoder import EncoderConfig
from moe.quantisation import dequantise
from nlu.calibration import Calibration, outside_scores
from nlu.clauses import CLEAR, SECOND, arranged, clauses, may_be_two
from nlu.engine import WeightsError, serving_model
from nlu.model import NluConfig, NluModel, Scores
from nlu.model_folder import CONFIG, PIECES, WEIGHTS, missing_file, write_model
from nlu.past import NO_PAST, Past
from nlu.pieces import ContextWindow, PieceSplitter
from nlu.sentences import load_pack_examples
from nlu.spelling import Speller
from nlu.tags import spans_of_path
from nlu.understanding import Entity, IntentScore, Understanding
from nlu.values import InvalidValue, normalise

EMBEDDED_AT_ONCE = 64
SEVERAL = 0.5
"""Probability of a second wish from which two are taken."""


class ModelError(Exception):
    """A model folder that cannot be used; the message names the file and what to do."""


class Parser:
    """A trained model with its tokeniser and calibration, for one pack."""

    def __init__(
        self, model: NluModel, splitter: PieceSplitter, calibration: Calibration, pack: Pack | None
    ) -> None:
        self.model = model.eval()
        self.splitter = splitter
        self.calibration = calibration
        self.pack = pack
        self.folder: Path | None = None
        """Where it was read from."""

    def parse(
        self, text: str, context: Sequence[str] = (), asked: str | None = None, past: Past = NO_PAST
    ) -> Understanding:
        """Understand a message, given the customer's earlier ones (latest first), the slot that was just
        asked for, and what was wanted and given before.
        """
        return self.parse_many([text], [self.before(context, asked, past)])[0]

    def before(self, context: Sequence[str], asked: str | None, past: Past) -> tuple[str, ...]:
        """All that stands before a message, as the model reads it."""
        asking = () if asked is None or self.pack is None else (question(self.pack, asked),)
        return (*self.told(past), *asking, *context)

    def told(self, past: Past) -> tuple[str, ...]:
        """The line that stands for the past before a message, where the model was trained with one."""
        return past.told if self.model.config.context.past else ()

    @torch.inference_mode()
    def parse_many(self, texts: Sequence[str], contexts: Sequence[Sequence[str]]) -> list[Understanding]:
        """Understand messages in one batch.

        Those that are not clear and not spelt right are read again as they may be meant, and those that may
        have two wishes clause by clause.
        """
        heard = self._respelt(self._read(texts, contexts), contexts)
        requests = self.pack.requests if self.pack else ()
        parts = {
            place: clauses(one.read_as or texts[place])
            for place, one in enumerate(heard)
            if may_be_two(one, requests)
        }
        of = [place for place, found in parts.items() if len(found) > 1 for _ in found]
        if of:
            read = self._read(
                [part for place in dict.fromkeys(of) for part in parts[place]], [contexts[p] for p in of]
            )
            for place in dict.fromkeys(of):
                own = [one for one, its in zip(read, of, strict=True) if its == place]
                heard[place] = arranged(heard[place], own)
        return heard

    def _respelt(self, heard: list[Understanding], contexts: Sequence[Sequence[str]]) -> list[Understanding]:
        """The same messages, the unclear ones as they may be meant where that is clearer."""
        unclear = [i for i, one in enumerate(heard) if not one.wishes or one.top.probability < CLEAR]
        if self.speller is None or not unclear:
            return heard
        meant = {i: self.speller.correct(heard[i].text) for i in unclear}
        changed = [i for i in unclear if meant[i] != heard[i].text]
        if changed:
            read = self._read([meant[i] for i in changed], [contexts[i] for i in changed])
            for i, one in zip(changed, read, strict=True):
                if one.top.probability > heard[i].top.probability:
                    found = replace(one, text=heard[i].text, entities=heard[i].entities)
                    heard[i] = replace(found, read_as=meant[i])
        return heard

    @cached_property
    def speller(self) -> Speller | None:
        """By the pack's own sentences; they are read when the first unclear message comes."""
        if self.pack is None or not (self.pack.folder / "examples").is_dir():
            return None
        sentences = load_pack_examples(self.pack, random.Random(0))
        texts = (one.text for one in sentences if OUT_OF_SCOPE not in one.intents)
        return Speller(texts, self.splitter.words)

    def _read(self, texts: Sequence[str], contexts: Sequence[Sequence[str]]) -> list[Understanding]:
        batch = self.splitter(texts, contexts)
        scores = self.model(batch)
        logits = scores.intents / self.calibration.temperature  # (batch, intents)
        probabilities = logits.softmax(-1)
        outside = outside_scores(logits, self.model.config.intents, self.calibration)
        several = scores.several.sigmoid()  # (batch,)
        paths = self.model.decode(scores)
        confidences = _tag_confidences(scores, paths)
        return [
            self._understanding(
                text,
                probabilities[i].numpy(),
                float(outside[i]),
                float(several[i]),
                paths[i],
                confidences[i],
                batch.offsets[i],
            )
            for i, text in enumerate(texts)
        ]

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(texts, width) unit vectors: alike where messages mean the same."""
        parts = [texts[at : at + EMBEDDED_AT_ONCE] for at in range(0, len(texts), EMBEDDED_AT_ONCE)]
        points = torch.cat([self.model.embed(self.splitter(part, [()] * len(part))) for part in parts])
        unit: NDArray[np.float32] = torch.nn.functional.normalize(points.float()).numpy()
        return unit

    def _understanding(
        self,
        text: str,
        probabilities: NDArray[np.float32],
        outside: float,
        several: float,
        path: list[int],
        confidences: list[float],
        offsets: tuple[tuple[int, int], ...],
    ) -> Understanding:
        names = self.model.config.intents
        # Two wishes share the softmax: each one's own probability is up to twice its share.
        present = (1 - several) * probabilities + several * (2 * probabilities).clip(max=1.0)
        order = (-probabilities).argsort(stable=True)[:5].tolist()
        ranked = tuple(IntentScore(names[i], float(present[i])) for i in order if names[i] != OUT_OF_SCOPE)
        if outside >= self.calibration.out_of_scope_threshold:
            wishes: tuple[str, ...] = ()
        else:
            second = [score for score in ranked[1:2] if several >= SEVERAL and score.probability >= SECOND]
            wishes = tuple(score.intent for score in (*ranked[:1], *second))
        return Understanding(text, ranked, wishes, self._entities(text, path, confidences, offsets), outside)

    def _entities(
        self, text: str, path: list[int], confidences: list[float], offsets: tuple[tuple[int, int], ...]
    ) -> tuple[Entity, ...]:
        entities: list[Entity] = []
        for slot, first, last in spans_of_path([self.model.config.tags[tag] for tag in path]):
            start, end = _whole_words(text, offsets[first][0], offsets[last][1])
            if entities and start < entities[-1].end:
                continue  # the rest of a word that was tagged twice
            if start == end:  # a message of which the tokeniser keeps nothing
                continue
            confidence = min(confidences[first : last + 1])
            surface = text[start:end]
            value, problem = None, ""
            if self.pack is not None:
                try:
                    value = normalise(self.pack.slots[slot], surface)
                except InvalidValue as error:
                    problem = str(error)
            entities.append(Entity(slot, start, end, surface, value, confidence, problem))
        return tuple(entities)


def question(pack: Pack, slot: str) -> str:
    """The bot's question as the model sees it in the context."""
    return f"{pack.slots[slot].label}?"


def _tag_confidences(scores: Scores, paths: list[list[int]]) -> list[list[float]]:
    """Softmax of the emissions at the decoded tags: a cheap stand-in for the CRF's marginals."""
    shares = scores.emissions.softmax(-1).numpy()  # (batch, message pieces, tags)
    return [shares[row, range(len(path)), path].tolist() for row, path in enumerate(paths)]


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """Word pieces may cut a word, or an amount at its point; entities do not."""
    while start > 0 and _joined(text, start):
        start -= 1
    while end < len(text) and _joined(text, end):
        end += 1
    return start, end


def _joined(text: str, place: int) -> bool:
    """Whether no word or number ends between the characters before and at `place`."""
    before, after = text[place - 1], text[place]
    if before.isalnum() and after.isalnum():
        return True
    if after in ".," and before.isdigit():
        return text[place + 1 : place + 2].isdigit()
    return before in ".," and after.isdigit() and text[place - 2 : place - 1].isdigit()


def save_parser(parser: Parser, folder: Path, tokenizer_file: Path) -> None:
    """Write weights as int8, configuration, calibration and tokeniser into `folder`."""
    data = {
        "pack": parser.pack.name if parser.pack else None,
        "nlu": asdict(parser.model.config),
        "calibration": asdict(parser.calibration),
    }
    write_model(folder, parser.model.state_dict(), data, tokenizer_file)


def stands_alone(folder: Path) -> bool:
    """Whether the model in `folder` was trained without a pack; what is unreadable is left to load_parser."""
    try:
        data = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return bool(data.get("pack", "") is None)
    except (OSError, ValueError, AttributeError):
        return False


def load_parser(folder: Path, pack: Pack | None, *, full_precision: bool = False) -> Parser:
    """Read a parser that save_parser wrote, for serving or, in full precision, as PyTorch computes it.

    Raises ModelError, naming the file and the remedy.
    """
    missing = missing_file(folder)
    if missing is not None:
        raise ModelError(f"{missing}: file is missing; train a model with: chatbot train nlu")
    try:
        data = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        nlu = data["nlu"]
        encoder = EncoderConfig(**nlu.pop("encoder"))
        context = ContextWindow(**nlu.pop("context"))
        config = NluConfig(
            tuple(nlu.pop("intents")), tuple(nlu.pop("slots")), encoder, context=context, **nlu
        )
        calibration = Calibration(**data["calibration"])
        with torch.device("meta"):
            NluModel(config)  # refuses sizes that do not fit together
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder / CONFIG}: not a configuration of this version ({error!r})") from error
    if pack is not None:
        foreign = [
            *(set(config.intents) - set(pack.intents) - {OUT_OF_SCOPE}),
            *(set(config.slots) - set(pack.slots)),
        ]
        if foreign:
            raise ModelError(
                f"{folder / CONFIG}: trained for another pack; '{foreign[0]}' is not in '{pack.name}'"
            )
    try:
        packed = load_file(folder / WEIGHTS)
        if full_precision:
            model = NluModel(config)
            model.load_state_dict(dequantise(packed))
        else:
            model = serving_model(config, packed)
    except (SafetensorError, RuntimeError, OSError, WeightsError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{folder / WEIGHTS}: broken or of another configuration ({reason})") from error
    try:
        splitter = PieceSplitter(folder / PIECES, config.context)
    except ValueError as error:
        raise ModelError(str(error)) from error
    parser = Parser(model, splitter, calibration, pack)
    parser.folder = folder
    return parser
