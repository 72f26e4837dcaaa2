"""The NLUs that a user would pick instead."""

from collections.abc import Sequence
from tempfile import gettempdir
from typing import Protocol

import numpy as np
from sentence_transformers import SentenceTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC
from sklearn_crfsuite import CRF

from benchmarks.textbook import Textbook, TextbookConfig
from nlu.data import Example
from nlu.evaluate import word_tags
from nlu.pretrained import pretrained_folder

JOINT = "#"
"""Between the intents of a message that has several: to the peers that is an intent of its own."""


class Peer(Protocol):
    @property
    def intents(self) -> Sequence[str]: ...

    def fit(self, examples: Sequence[Example], seed: int) -> None: ...

    def read(self, texts: Sequence[str]) -> tuple[np.ndarray, list[list[str]] | None]:
        """Scores (texts, intents), and the tags of the words where the peer finds slots."""
        ...


class MiniLm:
    """Frozen sentence embeddings and logistic regression: SetFit's head without its contrastive stage."""

    def __init__(self) -> None:
        self.encoder = SentenceTransformer(str(pretrained_folder()), device="cpu")
        self.head = LogisticRegression(C=10, max_iter=1000, tol=1e-3)

    def fit(self, examples: Sequence[Example], seed: int) -> None:
        self.head.fit(self._embed([e.text for e in examples]), labels_of(examples))
        self.intents = self.head.classes_

    def read(self, texts: Sequence[str]) -> tuple[np.ndarray, None]:
        return self.head.predict_proba(self._embed(texts)), None

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        """Repeated messages are embedded once."""
        found, places = np.unique(np.array(texts, dtype=object), return_inverse=True)
        return self.encoder.encode(list(found), batch_size=64, show_progress_bar=False)[places]


class SetFit(MiniLm):
    """The same after SetFit's contrastive stage: ten pairs of either kind a sentence, one epoch."""

    def fit(self, examples: Sequence[Example], seed: int) -> None:
        from datasets import Dataset
        from setfit import SetFitModel, Trainer, TrainingArguments

        model = SetFitModel(model_body=self.encoder, model_head=self.head)
        arguments = TrainingArguments(
            output_dir=gettempdir(),
            batch_size=16,
            num_epochs=1,
            num_iterations=10,
            seed=seed,
            report_to="none",
            save_strategy="no",
        )
        rows = {"text": [e.text for e in examples], "label": labels_of(examples)}
        Trainer(model=model, args=arguments, train_dataset=Dataset.from_dict(rows)).train()
        self.intents = self.head.classes_


class Svm:
    """Words and their parts, weighted by TF-IDF, and a linear support vector machine."""

    def fit(self, examples: Sequence[Example], seed: int) -> None:
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+")
        letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
        self.pipeline = make_pipeline(make_union(words, letters), LinearSVC(random_state=seed))
        self.pipeline.fit([e.text for e in examples], labels_of(examples))
        self.intents = self.pipeline.classes_

    def read(self, texts: Sequence[str]) -> tuple[np.ndarray, None]:
        return self.pipeline.decision_function(texts), None


class WithCrf:
    """Intents of another peer, and slots of a linear-chain CRF on hand-made features."""

    def __init__(self, of_intents: Peer) -> None:
        self.of_intents = of_intents
        self.crf = CRF(algorithm="lbfgs", c1=0.05, c2=0.01, max_iterations=60)

    @property
    def intents(self) -> Sequence[str]:
        return self.of_intents.intents

    def fit(self, examples: Sequence[Example], seed: int) -> None:
        self.of_intents.fit(examples, seed)
        self.crf.fit([features(e.text.split()) for e in examples], tags_of(examples))

    def read(self, texts: Sequence[str]) -> tuple[np.ndarray, list[list[str]]]:
        scores, _ = self.of_intents.read(texts)
        return scores, [list(row) for row in self.crf.predict([features(text.split()) for text in texts])]


class BiLstmCrf:
    """The textbook model, from scratch."""

    def fit(self, examples: Sequence[Example], seed: int) -> None:
        self.model = Textbook(TextbookConfig(seed=seed))
        self.model.fit([e.text.split() for e in examples], labels_of(examples), tags_of(examples))
        self.intents = self.model.intents

    def read(self, texts: Sequence[str]) -> tuple[np.ndarray, list[list[str]]]:
        probabilities, tags = self.model.predict([text.split() for text in texts])
        return probabilities.numpy(), tags


def labels_of(examples: Sequence[Example]) -> list[str]:
    return [JOINT.join(sorted(e.intents)) for e in examples]


def tags_of(examples: Sequence[Example]) -> list[list[str]]:
    return [word_tags(e, [(s.start, s.end, s.slot) for s in e.spans or ()]) for e in examples]


def features(words: list[str]) -> list[dict[str, str | bool]]:
    """Of each word: itself, its ends, its shape, and its two neighbours on either side."""
    rows: list[dict[str, str | bool]] = []
    for place, word in enumerate(words):
        low = word.lower()
        row: dict[str, str | bool] = {"word": low, "tail": low[-3:], "head": low[:3], "first": place == 0}
        row["shape"] = "".join("0" if c.isdigit() else "X" if c.isupper() else "x" for c in word)[:6]
        for shift in (-2, -1, 1, 2):
            if 0 <= place + shift < len(words):
                row[f"word{shift:+}"] = words[place + shift].lower()
        rows.append(row)
    return rows
