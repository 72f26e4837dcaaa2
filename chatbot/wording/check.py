"""Whether a finished reply may be sent. It looks at the text alone, so that it serves every generator.

Reasons never quote the text, which may hold what a customer wrote: they are logged in clear.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from chatbot.wording.claims import APOLOGY, ASKS, false_claims, is_negative, whole_words
from chatbot.wording.lexicon import DAYS, NUMBERS, OPENERS, words_of
from chatbot.wording.request import Request
from chatbot.wording.tokens import PLACEHOLDER
from domains.schema import Pack

Tone = Literal["warm", "plain"]

BLANK = "\ufffc"
"""Stands for a fact in a phrasing."""
FIRST_MARK = 0xE000
"""Facts that were found in the text are replaced by characters from here on, one for each value."""
PLAIN_CHARACTERS = re.compile(r"[A-Za-z .,!?;:()'\"“”‘’–—…\ufffc\ue000-\ue0ff-]")
LONGER, SPARE = 2, 15
"""A reply may have so many times the words of the phrasing, and so many more."""
ECHO = 5
"""Words in a row that a reply has from the customer and from no phrasing."""
SENTENCE_END = re.compile(r"(?<=[.!?])[\"”’)]*\s+")
ADDRESS = re.compile(r"@|\bwww\b|https?|\w\.\w(?!\.)|//|\bdot\b", re.IGNORECASE)
CLOCK = re.compile(r"\b(?:p\.?m|a\.m)\b|o['’]clock", re.IGNORECASE)
TIME = re.compile(
    r"\b(?:(?:second|minute|hour|day|week|month|year|night|morning|afternoon|evening|weekend)s?|today|daily"
    r"|weekly|monthly|yearly|annual(?:ly)?|mph|kph)\b",
    re.IGNORECASE,
)
PRONOUN = re.compile(
    r"\b(?:which|this|that|another|the|any|every|each|other|new|good) one\b|\bone (?:of|moment)\b",
    re.IGNORECASE,
)
LASTS = re.compile(r"\b(?:duration|length|days|nights|time)\b", re.IGNORECASE)
WISH = re.compile(
    r"\b(?:great|nice|good|wonderful|lovely|pleasant|fantastic|rest of (?:the|your)|enjoy (?:the|your)) "
    r"(?:day|evening|afternoon|night|morning|week(?:end)?)\b",
    re.IGNORECASE,
)
HELP = re.compile(r"\bhelp(?:ing)? you\b([^.,!?;:]*)", re.IGNORECASE)
HELP_WORDS = frozenset(
    words_of("a an the to with thi that it you your today now further and also else anything")
)
"""Stems that name no wish."""
ROLE_WORDS = frozenset(("from", "to", "by", "since", "until", "before", "after"))
NO_LABELS = frozenset(
    words_of("""
        a an and at in of on for is are was were be been has have had the this that it its i we you your
        our my now which with as so
    """)
)
GENERAL = frozenset(
    words_of("""
        first second reason name full last used left today time date number amount type kind check target
        window decision task new made give day days what whether were told police digits with wrong place
    """)
)
"""Words in names of slots and facts that say nothing about a business."""


@dataclass(frozen=True)
class Rules:
    """What a pack adds to the check."""

    tone: Tone = "warm"
    banned: Mapping[re.Pattern[str], str] = field(default_factory=dict)
    """Words → what is wrong with it, where no phrasing says it."""
    terms: frozenset[str] = frozenset()
    """Words of the business: a reply has no others of them than its phrasings."""

    @classmethod
    def of(cls, pack: Pack) -> "Rules":
        names = [
            *pack.slots,
            *(fact for t in pack.tasks.values() for facts in t.outcomes.values() for fact in facts),
        ]
        choices = [choice for slot in pack.slots.values() for choice in slot.choices]
        terms = {_stem(word) for name in (*names, *choices) for word in name.split("_") if len(word) > 2}
        wording = pack.domain.wording
        banned = whole_words({re.escape(words): reason for words, reason in wording.banned.items()})
        return cls(wording.tone, banned, frozenset(terms - GENERAL))


ANY_BUSINESS = Rules()
SUPERFLUOUS = frozenset(
    ("a time that is not given", "names a time", "repeats the customer", "sends elsewhere", "does not ask")
)
"""Faults of a word too many or a mark missing, which a careful second wording mends; where content was
lost, it would be lost again, or turned into something else."""


def check(
    request: Request,
    text: str,
    rules: Rules = ANY_BUSINESS,
    others: Sequence[str] = (),
    topic: str = "",
) -> tuple[str, ...]:
    """Why `text` must not be sent as what `request` asks for; nothing where it may.

    `others` are phrasings that say the same as `request.say`, with placeholders of any kind; `topic`
    is what the customer is known to want, which a reply may name.
    """
    said = PLACEHOLDER.sub(BLANK, request.say)
    phrasings = [said, *(re.sub(r"\{\w+\}|\[\d+\]", BLANK, other) for other in others)]
    wanted = [request.facts[n - 1] for n in sorted({int(n) for n in PLACEHOLDER.findall(request.say)})]
    rest, found, values = blank_out(text, wanted)
    if len(rest.split()) > LONGER * len(said.split()) + SPARE or len(rest) > LONGER * len(said) + 7 * SPARE:
        return ("too long",)  # and nobody has to read it through
    faults = [
        *_miscounted(wanted, found, values, said),
        *_form(rest, said),
        *_values(rest, " ".join(phrasings)),
        *_names(rest, " ".join(phrasings)),
        *_terms(rest, " ".join((*phrasings, topic, request.action.replace("_", " "))), rules.terms),
        *false_claims(rest, phrasings, rules.banned),
        *_question(request.action, rest, phrasings),
        *_apology(rest, phrasings, request.upset and rules.tone == "warm"),
        *_swapped(request, rest, values),
        *_echo(rest, request.customer, phrasings),
        *_other_wish(rest, (*phrasings, topic)),
    ]
    if rules.tone == "plain" and "!" in rest and "!" not in said:
        faults.append("exclaims")
    return tuple(dict.fromkeys(faults))


def blank_out(text: str, facts: Sequence[str]) -> tuple[str, Counter[str], Mapping[str, str]]:
    """The text with a mark for each fact, how often each stands there, and value → mark."""
    values = {value: chr(FIRST_MARK + i) for i, value in enumerate(dict.fromkeys(facts)) if value.strip()}
    found: Counter[str] = Counter()
    for value in sorted(values, key=len, reverse=True):
        # "$5.00" is not in "$5.001", "-$5.00", "$5.00%", and "Ann" is not in "Annual".
        alone = re.compile(rf"(?<![\w\-−$€£·])(?<!\d[.,]){re.escape(value)}(?!\w|[.,]\d|\s?%)")
        text, found[value] = alone.subn(values[value], text)
    return text, found, values


def _miscounted(
    wanted: Sequence[str], found: Counter[str], values: Mapping[str, str], said: str
) -> list[str]:
    faults = []
    _, literal, _ = blank_out(said, wanted)
    for value, times in Counter(wanted).items():
        if value not in values:
            faults.append("a fact is empty")
        elif found[value] < times:
            faults.append("a fact is missing")
        elif found[value] > times + literal[value]:
            faults.append("a fact is repeated")
    return faults


def _form(rest: str, said: str) -> list[str]:
    faults = []
    if not rest.strip():
        faults.append("empty")
    odd = {c for c in rest if not PLAIN_CHARACTERS.match(c) and c not in said}
    if any(c.isalpha() or unicodedata.combining(c) for c in odd):
        faults.append("another script")
    if any(not c.isalnum() for c in odd):
        faults.append("signs that are not given")
    return faults


def _values(rest: str, said: str) -> list[str]:
    faults = []
    digits = Counter(re.findall(r"\d+", rest)) - Counter(re.findall(r"\d+", said))
    spelled = [word.lower() for word in words_of(PRONOUN.sub(" ", rest))]
    known = Counter(word.lower() for word in words_of(said))
    odd = any(unicodedata.numeric(c, None) is not None and not c.isdigit() and c not in said for c in rest)
    if (
        digits
        or odd
        or any(times > known[word] for word, times in Counter(spelled).items() if word in NUMBERS)
    ):
        faults.append("a number that is not given")
    spoken = {match.group().lower() for match in TIME.finditer(said)}
    stated = " ".join(s for s in SENTENCE_END.split(WISH.sub(" ", rest)) if "?" not in s)
    if LASTS.search(said):
        stated = re.sub(r"([\ue000-\ue0ff]) (?:hour|minute|day|night)s?\b", r"\1", stated)
    times = {match.group().lower() for match in TIME.finditer(stated)} - spoken
    days = any(word in DAYS and not known[word] for word in spelled)
    if times or days or (CLOCK.search(rest) and not CLOCK.search(said)):
        faults.append("a time that is not given")
    if ADDRESS.search(rest) and not ADDRESS.search(said):
        faults.append("an address that is not given")
    return faults


def _names(rest: str, said: str) -> list[str]:
    known = {*words_of(said), "I", "OK"}
    small = {word.lower() for word in known} | OPENERS
    for match in re.finditer(r"[^\W\d_]+", rest):
        word = match.group()
        if word == word.lower() or word in known:
            continue
        before = rest[: match.start()].rstrip(' "“‘(').rstrip('"”’)')
        opens = not before or before[-1] in ".!?:"
        if not (opens and word == word.capitalize() and word.lower() in small):
            return ["a name that is not given"]
    return []


def _terms(rest: str, said: str, terms: frozenset[str]) -> list[str]:
    spoken = {_stem(word) for word in words_of(said)}
    others = {_stem(word) for word in words_of(rest)} & terms - spoken
    return ["speaks of something else"] if others else []


def _question(action: str, rest: str, phrasings: Sequence[str]) -> list[str]:
    if action.startswith("confirm.") and "?" not in rest:
        return ["does not ask"]
    if all(map(ASKS.search, phrasings)):
        return [] if ASKS.search(rest) else ["does not ask"]
    sentences = [sentence for sentence in SENTENCE_END.split(rest.strip()) if sentence]
    if (
        not any(ASKS.search(p) or "suggest" in p for p in phrasings)
        and sentences
        and all("?" in sentence for sentence in sentences)
    ):
        return ["asks instead of saying"]
    return []


def _apology(rest: str, phrasings: Sequence[str], upset: bool) -> list[str]:
    times, due = len(APOLOGY.findall(rest)), max(len(APOLOGY.findall(phrasing)) for phrasing in phrasings)
    if times > max(due, 1):
        return ["apologises twice"]
    if times and not due and not upset and not any(map(is_negative, phrasings)):
        return ["apologises for nothing"]
    return []


def _swapped(request: Request, rest: str, values: Mapping[str, str]) -> list[str]:
    """Where a fact has got the words that belong to another of its kind, such as "from" and "to"."""
    said = PLACEHOLDER.sub(lambda m: values.get(request.facts[int(m[1]) - 1], BLANK), request.say)
    before, now = _labels(said), _labels(rest)
    kinds = {mark: _kind(value) for value, mark in values.items()}
    for mark, words in now.items():
        own = before.get(mark, frozenset())
        for other, theirs in before.items():
            if other != mark and kinds.get(other) == kinds.get(mark) != "words":
                mixed = frozenset().union(*(w for m, w in before.items() if m != other))
                if words & (theirs - mixed) and not words & (own - theirs):
                    return ["a fact in the place of another"]
    return []


def _echo(rest: str, customer: str, phrasings: Sequence[str]) -> list[str]:
    """Whether the reply says what the customer wants it to say."""
    own = frozenset[tuple[str, ...]]().union(*map(_runs, phrasings))
    return ["repeats the customer"] if (_runs(rest) & _runs(customer)) - own else []


def _other_wish(rest: str, known: Sequence[str]) -> list[str]:
    """Whether the reply offers help with what nobody has named."""
    named = {_stem(word) for text in known for word in words_of(text)} | HELP_WORDS
    offered = (word for match in HELP.finditer(rest) for word in words_of(match[1]))
    return [] if all(_stem(word) in named for word in offered) else ["names another wish"]


def _runs(text: str) -> frozenset[tuple[str, ...]]:
    words = [word.lower() for word in words_of(text)]
    return frozenset(tuple(words[i : i + ECHO]) for i in range(len(words) - ECHO + 1))


def _labels(text: str) -> dict[str, frozenset[str]]:
    """Mark of a fact → the words just before it, back to the fact or the sentence before."""
    labels: dict[str, frozenset[str]] = {}
    for match in re.finditer(r"[\ue000-\ue0ff]", text):
        words = [w.lower() for w in words_of(re.split(r"[.?!;:\ue000-\ue0ff]", text[: match.start()])[-1])]
        near = {word for word in words[-4:] if word not in NO_LABELS | ROLE_WORDS}
        labels[match.group()] = frozenset(near | {*words[-3:]} & ROLE_WORDS)
    return labels


def _kind(value: str) -> str:
    shape = re.sub(r"[^\W\d]+", "a", re.sub(r"[\d.,]*\d", "0", value))
    return "words" if "0" not in shape else shape


def _stem(word: str) -> str:
    return word.lower().removesuffix("s")
