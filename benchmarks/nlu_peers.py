"""What a user would pick instead of deskmoe's NLU, trained and scored on the same splits.

    python -m benchmarks.nlu_peers --data DIR [--sets atis,snips] [--methods svm,minilm] [--seeds 0,1,2]

DIR holds the public sets as benchmarks/nlu_splits.py names them. Every result is added to nlu_peers.json as
soon as it is there; what is in the file already is not measured again. Figures are those of `chatbot evaluate
nlu`; times are of the processor, summed over cores, so that what else runs on the machine shows less in them.
"""

import argparse
import resource
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.nlu_splits import NAMES, Split, load_split
from benchmarks.peers import JOINT, BiLstmCrf, MiniLm, Peer, SetFit, Svm, WithCrf
from benchmarks.results import Results
from domains.schema import OUT_OF_SCOPE
from nlu.data import Example
from nlu.evaluate import TIMED, parse_all, score
from nlu.parser import Parser
from nlu.understanding import Entity, IntentScore, Understanding

REJECTED = 0.04
"""Share of in-scope messages that may be taken for out of scope."""
METHODS: dict[str, tuple[Callable[[], Peer], Callable[[str], bool]]] = {
    "svm": (Svm, lambda name: not slotted(name)),
    "svm+crf": (lambda: WithCrf(Svm()), lambda name: slotted(name)),
    "minilm": (MiniLm, lambda name: True),
    "setfit": (SetFit, lambda name: name in ("banking77-5", "banking77-10")),
    "bilstm-crf": (BiLstmCrf, lambda name: slotted(name)),
}
"""How each peer is made, and on which sets it is run."""
RANDOM = {"setfit", "bilstm-crf"}
"""Those that a seed changes; the others are run once."""
UNCALIBRATED = {"svm", "svm+crf"}
"""Those that give margins instead of probabilities: no calibration error is stated."""


def slotted(name: str) -> bool:
    return name.startswith(("atis", "snips", "multidogo"))


class PeerParser:
    """A peer as `nlu.evaluate` expects a parser, with the threshold of its own out-of-scope score."""

    def __init__(self, peer: Peer, threshold: float = np.inf) -> None:
        self.peer, self.threshold = peer, threshold

    def parse_many(self, texts: Sequence[str], contexts: Sequence[Sequence[str]]) -> list[Understanding]:
        scores, tags = self.peer.read(texts)
        found = tags or [[]] * len(texts)
        return [self._heard(*each) for each in zip(texts, scores, found, strict=True)]

    def _heard(self, text: str, row: np.ndarray, tags: list[str]) -> Understanding:
        best = [i for i in np.argsort(-row) if self.peer.intents[i] != OUT_OF_SCOPE][:5]
        ranked = tuple(IntentScore(self.peer.intents[i], float(row[i])) for i in best)
        outside = sum(
            float(p) for name, p in zip(self.peer.intents, row, strict=True) if name == OUT_OF_SCOPE
        )
        refused = unsure(ranked) >= self.threshold
        wishes = () if refused else tuple(ranked[0].intent.split(JOINT))
        return Understanding(text, ranked, wishes, entities(text, tags), outside)


def unsure(ranked: Sequence[IntentScore]) -> float:
    """The out-of-scope score of a peer: that no intent of the pack is likely."""
    return -ranked[0].probability


def entities(text: str, tags: list[str]) -> tuple[Entity, ...]:
    found: list[Entity] = []
    place = 0
    previous = "O"
    for word, tag in zip(text.split(), tags, strict=False):
        start = text.index(word, place)
        place = start + len(word)
        if tag != "O":
            goes_on = tag[0] == "I" and previous[2:] == tag[2:]
            first = found.pop().start if goes_on else start
            found.append(Entity(tag[2:], first, place, text[first:place], None, 1.0))
        previous = tag
    return tuple(found)


def measure(method: str, name: str, seed: int, split: Split) -> dict[str, Any]:
    peer = METHODS[method][0]()
    start = cpu_seconds()
    peer.fit(split.train, seed)
    used = cpu_seconds() - start
    parser = PeerParser(peer)
    extra: dict[str, float] = {}
    if OUT_OF_SCOPE in peer.intents:
        inside = [e for e in split.valid if OUT_OF_SCOPE not in e.intents]
        heard = parser.parse_many([e.text for e in inside], [()] * len(inside))
        right = [h.wishes == e.intents for h, e in zip(heard, inside, strict=True)]
        extra["in_scope_accuracy_before_rejection"] = sum(right) / len(right)
        parser.threshold = float(np.quantile([unsure(h.intents) for h in heard], 1 - REJECTED))
    tagged = peer.read([split.valid[0].text])[1] is not None
    gold = split.valid if tagged else [replace(e, spans=None) for e in split.valid]
    figures = {**score(parse_all(cast(Parser, parser), gold), gold).as_dict(), **extra}
    for key, known in (("ece", method not in UNCALIBRATED), ("exact_match", tagged or not slotted(name))):
        if not known:
            del figures[key]
    return {
        "set": name,
        "method": method,
        "seed": seed,
        **figures,
        "train_cpu_seconds": round(used, 1),
        "cpu_ms_a_message": round(message_cpu_ms(parser, split.valid[:TIMED]), 2),
    }


def message_cpu_ms(parser: PeerParser, examples: Sequence[Example]) -> float:
    """Milliseconds of processor time of one message, a mean over messages one by one."""
    start = cpu_seconds()
    for example in examples:
        parser.parse_many([example.text], [()])
    return 1000 * (cpu_seconds() - start) / len(examples)


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--sets", default=",".join(NAMES))
    arguments.add_argument("--methods", default=",".join(METHODS))
    arguments.add_argument("--seeds", default="0,1,2")
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = arguments.parse_args()
    results = Results(options.out, ("set", "method", "seed"), every())
    names, methods, seeds = (getattr(options, key).split(",") for key in ("sets", "methods", "seeds"))
    for name, method, seed in results.missing():
        if name in names and method in methods and str(seed) in seeds:
            results.add(measure(method, name, seed, load_split(name, options.data)))


def every() -> list[tuple[str, str, int]]:
    """Sets, methods and seeds; a method without chance has one seed."""
    return [
        (name, method, seed)
        for seed in range(3)
        for name in NAMES
        for method in METHODS
        if METHODS[method][1](name) and (method in RANDOM or seed == 0)
    ]


if __name__ == "__main__":
    main()
