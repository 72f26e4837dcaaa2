"""Groups among the messages that were out of scope: what customers want and the bot does not know yet."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import AgglomerativeClustering
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer

from nlu.parser import Parser

FURTHEST = 0.29
"""Mean cosine distance up to which two groups are one."""
SMALLEST = 3
MOST = 1500
"""Messages that are grouped; the time grows with the square."""
WORD = r"[a-z][a-z']+"


@dataclass(frozen=True)
class Proposal:
    name: str
    """Made of the words that set these messages apart; a person finds a better one."""
    texts: tuple[str, ...]
    """The most typical first, each once."""
    count: int


def propose(parser: Parser, texts: Sequence[str]) -> list[Proposal]:
    """Groups of at least three messages, the largest first."""
    texts = list(texts)[:MOST]
    if len(texts) < SMALLEST:
        return []
    points = parser.embed(texts)  # (texts, width)
    grouping = AgglomerativeClustering(
        n_clusters=None, distance_threshold=FURTHEST, metric="cosine", linkage="average"
    )
    groups = grouping.fit_predict(points)
    members = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    names = _names([" ".join(texts[i] for i in group) for group in members])
    found = []
    for group, name in zip(members, names, strict=True):
        if len(group) < SMALLEST:
            continue
        closeness = points[group] @ points[group].mean(0)
        ordered = [texts[group[i]] for i in (-closeness).argsort(kind="stable")]
        found.append(Proposal(name, tuple(dict.fromkeys(ordered)), len(group)))
    return sorted(found, key=lambda proposal: -proposal.count)


def _names(documents: Sequence[str]) -> list[str]:
    """Of each group, the words that are frequent in it and rare in the others."""
    words = TfidfVectorizer(token_pattern=WORD, stop_words=list(ENGLISH_STOP_WORDS), sublinear_tf=True)
    try:
        weights = words.fit_transform(documents).toarray()
    except ValueError:  # nothing but stop words
        return ["new_intent"] * len(documents)
    terms = words.get_feature_names_out()
    names = []
    for row in weights:
        best = [terms[i] for i in (-row).argsort(kind="stable")[:3] if row[i] > 0]
        names.append(re.sub(r"\W+", "_", "_".join(best)) or "new_intent")
    return names
