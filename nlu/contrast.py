"""What a model does with few sentences: pull those of an intent together, then judge by likeness.

Two stages, as in SetFit (Tunstall et al., arXiv:2209.11055): first the supervised contrastive loss of Khosla
et al. (arXiv:2004.11362) over whole batches, then a logistic regression on the encoder's features.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rich.progress import Progress
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional as F
from transformers import get_cosine_schedule_with_warmup

from domains.schema import OUT_OF_SCOPE
from moe.quantisation import quantise
from nlu.data import Example
from nlu.engine import serving_model
from nlu.model import NluModel
from nlu.pieces import PieceSplitter

PORTION = 40
"""Sentences that go through the encoder at once; those of a portion are of similar length."""


@dataclass(frozen=True)
class Contrast:
    """Defaults: found on Banking77 with 5 and 10 sentences an intent; see docs/experiments.md."""

    steps: int = 60
    batch_size: int = 154
    rate: float = 1e-4
    temperature: float = 0.07
    dropped_words: float = 0.1
    strength: float = 30.0
    """Inverse of the logistic regression's regularisation, as in scikit-learn."""
    usual_temperature: float = 0.6
    """What models so trained need, where they err at all."""


@dataclass(frozen=True)
class Sentence:
    text: str
    intent: str


def sentences(examples: Sequence[Example]) -> list[Sentence]:
    """Examples of one wish, and every intent's name, which is worth a sentence where there are few."""
    found = [Sentence(e.text, e.intents[0]) for e in examples if len(e.intents) == 1]
    intents = dict.fromkeys(s.intent for s in found if s.intent != OUT_OF_SCOPE)
    return [*found, *(Sentence(words, intent) for intent in intents if (words := _in_words(intent)))]


def _in_words(intent: str) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in intent).split()
    return " ".join(words) if any(word.isalpha() for word in words) else ""


def pull_together(
    model: NluModel, splitter: PieceSplitter, known: Sequence[Sentence], config: Contrast, seed: int
) -> None:
    """Train the encoder so that sentences of an intent come to lie close, and those of others apart."""
    of_intent: dict[str, list[str]] = defaultdict(list)
    for sentence in known:
        if sentence.intent != OUT_OF_SCOPE:  # what is out of scope has nothing in common
            of_intent[sentence.intent].append(sentence.text)
    if len(of_intent) < 2:
        return
    rng = random.Random(seed)
    torch.manual_seed(seed)
    parameters = [p for p in model.encoder.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=config.rate, weight_decay=0.01, fused=True)
    schedule = get_cosine_schedule_with_warmup(optimiser, config.steps // 10, config.steps)
    model.train()
    with Progress() as progress:
        bar = progress.add_task("contrast", total=config.steps)
        for _ in range(config.steps):
            drawn = _draw(of_intent, config, rng)
            features = F.normalize(_features(model, splitter, [s.text for s in drawn]), dim=-1)
            loss = contrastive_loss(features, [s.intent for s in drawn], config.temperature)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            schedule.step()
            progress.update(bar, advance=1, description=f"contrast, loss {loss.item():.3f}")
    for mixture in model.encoder.mixtures():
        mixture.routing = None  # it holds on to the last step's graph


def _draw(of_intent: dict[str, list[str]], config: Contrast, rng: random.Random) -> list[Sentence]:
    """Two sentences or more of each of as many intents as there is room for."""
    chosen = rng.sample(sorted(of_intent), min(len(of_intent), config.batch_size // 2))
    each = config.batch_size // len(chosen)
    drawn = [
        Sentence(_without_some_words(text, config.dropped_words, rng), intent)
        for intent in chosen
        for text in rng.sample(of_intent[intent], min(each, len(of_intent[intent])))
    ]
    return sorted(drawn, key=lambda sentence: len(sentence.text))


def _without_some_words(text: str, share: float, rng: random.Random) -> str:
    words = text.split()
    if len(words) < 4:
        return text
    return " ".join([word for word in words if rng.random() >= share] or words)


def _features(model: NluModel, splitter: PieceSplitter, texts: Sequence[str]) -> Tensor:
    """(texts, width) means of the encoder's features, with gradients where the model trains."""
    portions = []
    for start in range(0, len(texts), PORTION):
        rows = texts[start : start + PORTION]
        batch = splitter(rows, [() for _ in rows], multiple=8)
        with torch.autocast("cpu", torch.bfloat16):
            portions.append(model.embed(batch))
    return torch.cat(portions)


def contrastive_loss(features: Tensor, intents: Sequence[str], temperature: float) -> Tensor:
    """features (batch, width) of length 1; a mean over the sentences that have another of their intent."""
    numbers = {intent: number for number, intent in enumerate(dict.fromkeys(intents))}
    classes = torch.tensor([numbers[intent] for intent in intents])
    itself = torch.eye(len(classes), dtype=torch.bool)
    alike = (classes[:, None] == classes) & ~itself  # (batch, batch)
    likeness = (features @ features.T / temperature).masked_fill(itself, -torch.inf)
    log_shares = likeness.log_softmax(-1).masked_fill(itself, 0.0)
    pairs = alike.sum(-1)
    means = -(log_shares * alike).sum(-1)[pairs > 0] / pairs[pairs > 0]
    return means.mean()


@torch.no_grad()
def fit_likeness(
    model: NluModel, splitter: PieceSplitter, known: Sequence[Sentence], strength: float
) -> None:
    """Let intents be told by a logistic regression on what the encoder gives for the `known` sentences.

    The 8-bit encoder, that is, which will be served: its rounding else costs a part of what was learnt.
    """
    assert model.likeness is not None
    served = serving_model(model.config, quantise(model.state_dict()))
    features = F.normalize(_features(served, splitter, [s.text for s in known]), dim=-1).numpy()
    places = np.array([model.config.intents.index(s.intent) for s in known])
    fitted = LogisticRegression(C=strength, max_iter=1000).fit(features, places)
    weights, biases = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:  # scikit-learn gives one row for two classes
        weights, biases = np.concatenate([-weights, weights]) / 2, np.concatenate([-biases, biases]) / 2
    model.likeness.directions.zero_()
    model.likeness.bias.fill_(NEVER)
    model.likeness.directions[fitted.classes_] = torch.from_numpy(weights).float()
    model.likeness.bias[fitted.classes_] = torch.from_numpy(biases).float()


NEVER = -30.0
"""Score of an intent of which there is no sentence."""
