"""Sentences whose intent may be wrong, because they stand among another intent's.

Confident learning (Northcutt et al., arXiv:1911.00068): a classifier that has not seen a sentence gives
another intent as much probability as that intent's own sentences have on average.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from torch.nn import functional as F

from moe.encoder import MixtureEncoder
from moe.layers import mean_features
from nlu.data import Example
from nlu.pieces import PieceSplitter


@dataclass(frozen=True)
class Suspect:
    text: str
    intent: str
    looks_like: str
    """The intent among whose sentences it stands."""
    place: str
    """File and line."""


FOLDS = 5
"""Parts of the sentences, each judged by what is learnt from the others; rarer intents are not judged."""
STRENGTH = 30.0
"""Inverse of the regression's regularisation, as in scikit-learn."""
PORTION = 64


def suspects(examples: Sequence[Example], encoder: MixtureEncoder, splitter: PieceSplitter) -> list[Suspect]:
    """Among the examples of one wish, most suspicious first."""
    counts = Counter(e.intents for e in examples)
    judged = [e for e in examples if len(e.intents) == 1 and counts[e.intents] >= FOLDS]
    if len({e.intents for e in judged}) < 2:
        return []
    labels = np.array([e.intents[0] for e in judged])
    model = LogisticRegression(C=STRENGTH, max_iter=300)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    found = cross_val_predict(
        model, _features(judged, encoder, splitter), labels, cv=folds, method="predict_proba"
    )
    names = np.unique(labels)
    usual = np.array([found[labels == name, place].mean() for place, name in enumerate(names)])
    likely = np.where(found >= usual, found, 0.0)  # (examples, intents)
    best = likely.argmax(1)
    doubt = likely.max(1)
    order = sorted(np.flatnonzero((names[best] != labels) & (doubt > 0)), key=lambda row: -doubt[row])
    return [Suspect(judged[r].text, str(labels[r]), str(names[best[r]]), judged[r].place) for r in order]


@torch.inference_mode()
def _features(
    examples: Sequence[Example], encoder: MixtureEncoder, splitter: PieceSplitter
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """(examples, width) directions of the encoder's mean features."""
    encoder.eval()
    rows = np.zeros((len(examples), encoder.config.hidden_width), np.float32)
    order = sorted(range(len(examples)), key=lambda place: len(examples[place].text))
    for start in range(0, len(order), PORTION):
        portion = order[start : start + PORTION]
        batch = splitter([examples[place].text for place in portion], [() for _ in portion])
        longest = int(batch.lengths.max())
        features = encoder(batch.pieces, batch.segments, batch.mask)[:, 1 : longest + 1]
        mean = mean_features(features, torch.arange(longest) < batch.lengths[:, None])
        rows[portion] = F.normalize(mean, dim=-1).numpy()
    return rows
