"""Whether a text is the customer's own, explicit yes.

No model decides this: what moves money needs one of the pack's words of consent and none of its
words of refusal, whatever the NLU made of the message.
"""

import re
from collections.abc import Iterable

from domains.schema import Pack


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
