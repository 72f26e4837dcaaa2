"""Pairs of a request and a reply from a pack's own phrasings.

Its phrasings of one action say the same in other words, so each is a reply to a request for any other.
Where a customer has just said what they want, the reply takes that up before it asks on.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations

from chatbot.wording.request import Request
from chatbot.wording.sgd import Pair
from chatbot.wording.tokens import PLACEHOLDERS
from domains.schema import OPTIONAL_PART, PLACEHOLDER, Pack
from nlu.data import Example

MESSAGES = 3
"""Customers' messages with which each pair of phrasings is shown."""
WISHES = 6
"""And each question that follows on a wish."""
ACKNOWLEDGED = (
    "Sure, I can help you {wish}.",
    "Of course, let me help you {wish}.",
    "I'm happy to help you {wish}.",
)


def pack_pairs(pack: Pack, examples: Sequence[Example], seed: int) -> list[Pair]:
    """`examples` are sentences of the pack's customers, with their intents."""
    rng = random.Random(seed)
    said: dict[str, list[str]] = {}
    for example in examples:
        for intent in example.intents:
            said.setdefault(intent, []).append(example.text)
    details = said.get("inform") or [example.text for example in examples]
    anything = [example.text for example in examples if not set(example.intents) & pack.tasks.keys()]
    pairs = []
    for key, phrasings in pack.replies.items():
        asks = key.startswith(("ask.", "invalid."))
        for say, reply, names in _variants(phrasings):
            heard = rng.choices(details if asks else anything, k=MESSAGES)
            pairs += [_pair(key, say, reply, names, customer) for customer in heard]
    pairs += _taken_up(pack, said, rng)
    return pairs


def _taken_up(pack: Pack, said: Mapping[str, Sequence[str]], rng: random.Random) -> Iterator[Pair]:
    """A wish, and what is asked for first: the reply names the wish."""
    proof = [slots[0] for slots in pack.domain.authentication.parts]
    for name, task in pack.tasks.items():
        if name not in pack.intents:
            continue
        for slot in dict.fromkeys([*proof, *task.slots]):
            key = f"ask.{slot}"
            variants = list(_variants(pack.replies.get(key, ())))
            for _ in range(WISHES if variants and said.get(name) else 0):
                say, reply, names = rng.choice(variants)
                opening = rng.choice(ACKNOWLEDGED).format(wish=pack.intents[name].description)
                yield _pair(key, say, f"{opening} {reply}", names, rng.choice(said[name]))


def _variants(phrasings: Sequence[str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Two phrasings that state the same, with placeholders, and the names of their facts."""
    whole = {OPTIONAL_PART.sub(r"\1", text) for text in phrasings}
    short = {OPTIONAL_PART.sub("", text) for text in phrasings}
    for say, reply in permutations(sorted(whole | short), 2):
        names = tuple(dict.fromkeys(PLACEHOLDER.findall(say)))
        if sorted(PLACEHOLDER.findall(reply)) == sorted(names) and len(names) <= len(PLACEHOLDERS):
            marks = dict(zip(names, PLACEHOLDERS, strict=False))
            yield _marked(say, marks), _marked(reply, marks), names


def _marked(text: str, marks: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: marks[found[1]], text)


def _pair(key: str, say: str, reply: str, names: tuple[str, ...], customer: str) -> Pair:
    return Pair(Request(key, say, names, customer), reply, reply)
