"""Whether a text is the customer's own, explicit yes.

No model decides this: what moves money needs one of the pack's words of consent and none of its
words of refusal, whatever the NLU made of the message.
"""

import re
from collections.abc import Iterable

from domains.schema import Pack
from nlu.understanding import Understanding

SURE_YES = 0.7
"""Probability of a yes in other words than the pack's own."""


def gives_consent(text: str, pack: Pack) -> bool:
    """True where `text` holds a word of consent and no word of refusal."""
    if says_one_of(pack.domain.refusal, text):
        return False
    return _words(text) == "y" or says_one_of(pack.domain.consent, text)


def says_one_of(phrases: Iterable[str], text: str) -> bool:
    """Whether `text` holds one of the phrases, word for word; case and punctuation do not count."""
    padded = f" {_words(text)} "
    return any(f" {phrase} " in padded for phrase in phrases)


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z']+", text.lower().replace("’", "'")))


def consents(heard: Understanding, pack: Pack) -> bool:
    """A yes; none where it holds a number that was not understood, for that may be a correction.

    "ok, I'm here" may be no yes at all: what neither is a bare yes nor begins with an unmistakable one has to
    be heard as one for sure.
    """
    bare = heard.text.strip().strip(".!").lower() in pack.domain.consent
    sure = next((s.probability for s in heard.intents if s.intent == "affirm"), 0.0) >= SURE_YES
    return (bare or sure or _begins_with(heard.text, pack.domain.more)) and says_yes(heard, pack)


def begins_with_yes(text: str, pack: Pack) -> bool:
    return _begins_with(text, pack.domain.consent)


def _begins_with(text: str, words: Iterable[str]) -> bool:
    first = re.match(r"[a-z']+", text.strip().lower())
    return first is not None and first[0] in words


def says_yes(heard: Understanding, pack: Pack) -> bool:
    """Consent in a message whose numbers were all understood."""
    rest = heard.text
    for entity in sorted(heard.entities, key=lambda e: -e.start):
        rest = rest[: entity.start] + rest[entity.end :]
    return gives_consent(heard.text, pack) and not re.search(r"\d", rest)


def is_bare(text: str, phrases: tuple[str, ...]) -> bool:
    """Whether a text is one of the phrases and, at most, a please or a thanks."""
    return without_thanks(text.strip().strip(".!").lower()) in phrases


def without_thanks(answer: str) -> str:
    return re.sub(r"[\s,.!]*(thanks|thank you|please)$", "", answer)
