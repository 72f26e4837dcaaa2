"""Replies of the generator beside the pack's phrasings, to be read: one Markdown table a kind of action.

    python -m benchmarks.wording [--model DIR] [--each 50] [--seed 0] [--live] [--out FILE]

With --live only what the pack lets a generator word. Facts are samples.
A reply that the check refuses is marked with its reasons; its phrasing would be sent.
"""

import argparse
import math
import random
import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

from chatbot.settings import Settings
from chatbot.wording.check import Rules, check
from chatbot.wording.generator import Generator, UnfitRequest
from chatbot.wording.local import open_generator
from chatbot.wording.phrasing import ask, fill
from chatbot.wording.request import Request
from domains.loader import load_pack
from domains.schema import OPTIONAL_PART, PLACEHOLDER, Pack
from nlu.sentences import load_pack_examples

SAMPLES: Mapping[str, str] = {
    "balances": "checking $1,204.50 and savings $80.00",
    "balance|amount|fee|limit|left": "$120.50",
    "reference": "HT-20931",
    "date|_on|_by|arrival|day": "December 3",
    "first_name|colleague|^name": "Dana",
    "account|target|card": "the one ending in 7324",
    "address": "12 Elm Street, Austin, TX 78701",
    "merchant": "Bluebird Hotel",
    "reason": "it has too few digits",
    "^first$": "check your balance",
    "^second$": "transfer money",
    "task": "transfer money",
}
"""A pattern of a fact's name → what stands for it."""


def kind_of(key: str) -> str:
    return key.partition(".")[0] if "." in key else "conversation"


def requests(pack: Pack, each: int, seed: int, keys: Container[str]) -> Iterator[tuple[Request, str]]:
    """`each` requests a kind of action, and what each customer wants."""
    rng = random.Random(seed)
    examples = load_pack_examples(pack, rng)
    kinds: dict[str, list[tuple[str, str]]] = {}
    for key, phrasings in pack.replies.items():
        if key not in keys:
            continue
        kinds.setdefault("execute" if key.partition(".")[0] in pack.tasks else kind_of(key), []).extend(
            (key, OPTIONAL_PART.sub(r"\1", text)) for text in phrasings
        )
    for choices in kinds.values():
        for key, text in rng.choices(choices, k=each):
            facts = {name: sample(name, pack) for name in PLACEHOLDER.findall(text)}
            example = rng.choice(examples)
            wishes = [pack.intents[name].description for name in example.intents if name in pack.tasks]
            yield ask(key, text, facts, example.text), " ".join(wishes)


def sample(name: str, pack: Pack) -> str:
    known = {"business": pack.domain.business, "assistant": pack.domain.assistant}
    found = (value for pattern, value in SAMPLES.items() if re.search(pattern, name))
    return known.get(name) or next(found, "it")


def table(pack: Pack, generator: Generator, each: int, seed: int, keys: Container[str]) -> Iterator[str]:
    rules = Rules.of(pack)
    refused: Counter[str] = Counter()
    rows: dict[str, list[str]] = {}
    for request, topic in requests(pack, each, seed, keys):
        kind = kind_of(request.action)
        try:
            text = fill(generator.word(request, until=math.inf), request.facts)
            faults = check(request, text, rules, pack.replies[request.action], topic)
        except UnfitRequest as error:
            text, faults = "–", (str(error),)
        refused[kind] += bool(faults)
        cells = (request.customer, fill(request.say, request.facts), text, "; ".join(faults))
        rows.setdefault(kind, []).append(
            f"| `{request.action}` | " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"
        )
    for kind, lines in rows.items():
        yield f"\n## {kind}: {refused[kind]} of {len(lines)} refused\n"
        yield "| action | customer | phrasing | generated | refused |\n|---|---|---|---|---|"
        yield from lines


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--model", type=Path, default=Settings().models / "generator")
    arguments.add_argument("--each", type=int, default=50)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--live", action="store_true")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    pack = load_pack(Settings().domain)
    keys = pack.domain.wording.generated if options.live else pack.replies
    generator = open_generator(options.model)
    text = "\n".join(table(pack, generator, options.each, options.seed, keys)) + "\n"
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
