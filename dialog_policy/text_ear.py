"""Simulated customers who write: a sentence for what is meant, understood by the NLU as in service."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from dialog_policy.env import DialogueEnv
from dialog_policy.meaning import INSTEAD, Ear, Meaning
from dialog_policy.phrasebook import Phrasebook, Sentence
from dialog_policy.population import Kind, Population
from domains.schema import Pack
from nlu.augmentation import mistype
from nlu.data import Example, Span
from nlu.errors import NluErrors, measure
from nlu.parser import Parser
from nlu.understanding import Understanding
from storage.state import DialogueState

JOINTS = (", ", ", ", " and ", ". ")
FEW = 8
"""Sentences; a single one, oddly labelled, would else be all that a customer can say."""
Fragment = tuple[str, str | None]
"""Text, and the slot whose value it is."""


class Writer:
    """Writes messages from phrasebooks: from the next one too where the first has few sentences."""

    def __init__(self, books: Sequence[Phrasebook], rng: random.Random, typos: float = 0.0) -> None:
        self.books, self.rng, self.typos = books, rng, typos

    def write(self, meaning: Meaning) -> Example:
        """The message, labelled with what it means."""
        if meaning.pressed:
            return _message(meaning.intent, [(meaning.words, None)])
        said = self._say(meaning.intent, meaning.values)
        if meaning.intent == "inform" and meaning.words == "no":  # what the bot has is wrong
            said = [("no, ", None), *said]
        elif meaning.words == INSTEAD:
            said = [*said, (" instead", None)]
        return _message(meaning.intent, said)

    def _say(self, intent: str, values: Mapping[str, str]) -> list[Fragment]:
        if exact := self._sentences(intent, values):
            return self._fill(self.rng.choice(exact), values)
        said: list[Fragment] = []
        rest = dict(values)
        if intent != "inform":
            sentence = self.rng.choice(self._enough(book.beginnings(intent, values) for book in self.books))
            said = self._fill(sentence, values)
            rest = {slot: value for slot, value in values.items() if slot not in sentence.slots}
        if len(rest) > 1 and (together := self._sentences("inform", rest)):
            return [*said, self._joint(), *self._fill(self.rng.choice(together), rest)]
        for slot, value in rest.items():
            alone = self._sentences("inform", [slot])
            # A number among others is not left without a word on what it is.
            named = [s for s in alone if s.is_named] or alone or [Sentence((f"{slot} ", ""), (slot,))]
            said += [*([self._joint()] if said else []), *self._fill(self.rng.choice(named), {slot: value})]
        return said

    def _sentences(self, intent: str, slots: Iterable[str]) -> list[Sentence]:
        return self._enough(book.sentences(intent, slots) for book in self.books)

    @staticmethod
    def _enough(of_books: Iterable[list[Sentence]]) -> list[Sentence]:
        found: list[Sentence] = []
        for sentences in of_books:
            if len(set(found)) < FEW:
                found = [*found, *sentences]
        return found

    def _joint(self) -> Fragment:
        return self.rng.choice(JOINTS), None

    def _fill(self, sentence: Sentence, values: Mapping[str, str]) -> list[Fragment]:
        said: list[Fragment] = [(self._mistyped(sentence.pieces[0]), None)]
        for slot, after in zip(sentence.slots, sentence.pieces[1:], strict=True):
            said.append((self.books[0].write(slot, values[slot], self.rng), slot))
            said.append((self._mistyped(after), None))
        return said

    def _mistyped(self, text: str) -> str:
        """Values are typed with care, the words around them with the kind's rate of errors."""
        if not self.typos:
            return text
        return " ".join(
            mistype(Example(word, ()), self.rng).text if self.rng.random() < self.typos else word
            for word in text.split(" ")
        )


def _message(intent: str, fragments: Sequence[Fragment]) -> Example:
    text, spans = "", []
    for part, slot in fragments:
        if slot is not None:
            spans.append(Span(len(text), len(text) + len(part), slot))
        text += part
    return Example(text, (intent,), tuple(spans))


class TextEar:
    """The NLU itself, with the conversation before the message as the served bot gives it."""

    def __init__(self, parser: Parser, writer: Writer) -> None:
        self.parser, self.writer = parser, writer
        self.heard: list[tuple[Example, Understanding]] = []
        """What was written, beside what was understood; but for pressed buttons."""

    def hear(self, meaning: Meaning, state: DialogueState) -> Understanding:
        message = self.writer.write(meaning)
        heard = self.parser.parse(message.text, state.recent, state.asked, state.past)
        if not meaning.pressed:
            self.heard.append((message, heard))
        return heard


class TextEnv(DialogueEnv):
    """The customers of DialogueEnv, but they write, and nothing of what is misheard is drawn."""

    def __init__(
        self,
        pack: Pack,
        population: Population,
        parser: Parser,
        books: Sequence[Phrasebook],
        seed: int = 0,
    ) -> None:
        super().__init__(pack, population, NluErrors.uniform(0.0, list(pack.intents)), seed)
        self.parser, self.books = parser, books
        self.draw_value = books[0].draw_value
        self.ears: list[TextEar] = []
        """One of each conversation so far."""

    def listen(self, kind: Kind) -> Ear:
        ear = TextEar(self.parser, Writer(self.books, self._rng, kind.typos))
        self.ears.append(ear)
        return ear

    def errors_heard(self) -> NluErrors:
        """The errors of the NLU on all that was written so far: those in which meanings ought to be heard."""
        pairs = [pair for ear in self.ears for pair in ear.heard]
        return measure([message for message, _ in pairs], [_meant_first(*pair) for pair in pairs])


def _meant_first(message: Example, heard: Understanding) -> Understanding:
    """A wish heard beside another one, such as the giving of a detail, is heard."""
    meant = [wish for wish in heard.wishes if wish in message.intents]
    if not meant:
        return heard
    scores = sorted(heard.intents, key=lambda score: score.intent != meant[0])
    return replace(heard, wishes=tuple(meant), intents=tuple(scores))
