"""The pack's own training sentences."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

from domains.document import Document
from domains.schema import Pack
from nlu.data import Example, Span
from nlu.past import NO_PAST, Past

FOLLOW_UPS = "follow_ups.yaml"
"""Task or question → intent → what customers say after it; a pack need not have it."""


def load_pack_examples(pack: Pack, rng: random.Random, fillings: int = 3) -> tuple[Example, ...]:
    """The pack's own sentences; those with `{slot}` are filled `fillings` times with sampled values."""
    folder = pack.folder / "examples"
    values = {str(k): [str(v) for v in vs] for k, vs in Document(folder / "values.yaml").mapping().items()}
    examples: list[Example] = []

    def add(document: Document, sentence: object, intents: tuple[str, ...], *key: str | int) -> None:
        if not isinstance(sentence, str):
            raise document.error(f"'{sentence}' is no text; put it in quotes", *key)
        for _ in range(fillings if "{" in sentence or len(intents) > 1 else 1):
            try:
                text, spans = fill_sentence(sentence, values, rng)
            except KeyError as missing:
                raise document.error(f"slot {missing} has no values in values.yaml", *key) from None
            place = f"{document.path}:{document.line(*key)}"
            examples.append(Example(text, intents, spans, place=place))

    for name in ("task", "social", "faq", "out_of_scope"):
        document = Document(folder / f"{name}.yaml")
        for intent, sentences in document.mapping().items():
            if not sentences:
                raise document.error(f"intent '{intent}' has no sentence", intent)
            for index, sentence in enumerate(sentences):
                add(document, sentence, (intent,), intent, index)
    document = Document(folder / "two_wishes.yaml")
    for index, row in enumerate(document.data):
        add(document, row["text"], tuple(row["intents"]), index, "text")
    if (folder / FOLLOW_UPS).exists():
        alone = {i: [e for e in examples if e.intents == (i,)] for i in pack.intents}
        document = Document(folder / FOLLOW_UPS)
        for before, intents in document.mapping().items():
            if not alone.get(str(before)):
                raise document.error(f"'{before}' is no intent with sentences", before)
            for intent, sentences in intents.items():
                if intent not in pack.intents:
                    raise document.error(f"'{intent}' is no intent", before, intent)
                for index, sentence in enumerate(sentences):
                    known = len(examples)
                    for _ in range(1 if "{" in str(sentence) else fillings):
                        add(document, sentence, (intent,), before, intent, index)
                    for place in range(known, len(examples)):
                        context, past = _middle(str(before), alone, pack, rng)
                        examples[place] = replace(examples[place], context=context, past=past)
    return tuple(examples)


def _middle(
    wish: str, alone: Mapping[str, Sequence[Example]], pack: Pack, rng: random.Random
) -> tuple[tuple[str, ...], Past]:
    """What was said before, latest first: the wish, and for a task up to two messages of its details."""
    said = [rng.choice(alone[wish])]
    if wish not in pack.tasks:
        return (said[0].text,), NO_PAST
    slots = {*pack.tasks[wish].slots, *chain.from_iterable(pack.domain.authentication.parts)}
    details = [e for e in alone["inform"] if e.spans and slots.issuperset(span.slot for span in e.spans)]
    said += rng.sample(details, rng.randint(0, min(2, len(details))))
    given = [span.slot for one in said for span in one.spans or ()]
    return tuple(one.text for one in reversed(said)), NO_PAST.after((wish,), given)


def fill_sentence(
    sentence: str, values: Mapping[str, list[str]], rng: random.Random
) -> tuple[str, tuple[Span, ...]]:
    """Put a sampled value into each `{slot}`; `#` in a value becomes a digit. Raises KeyError."""
    text, spans, last = "", [], 0
    for match in re.finditer(r"\{(\w+)\}", sentence):
        text += sentence[last : match.start()]
        value = rng.choice(values[match.group(1)])
        value = re.sub("#", lambda _: rng.choice("0123456789"), value)
        spans.append(Span(len(text), len(text) + len(value), match.group(1)))
        text, last = text + value, match.end()
    return text + sentence[last:], tuple(spans)
