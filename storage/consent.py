"""Whether a text is the customer's own, explicit yes.

No model decides this: what moves money needs one of the pack's words of consent and none of its
words of refusal, whatever the NLU made of the message.
"""

import re

from domains.schema import Pack


def gives_consent(text: str, pack: Pack) -> bool:
    """True where `text` holds a word of consent and no word of refusal."""
    words = " ".join(re.findall(r"[a-z']+", text.lower().replace("’", "'")))
    padded = f" {words} "
    if any(f" {refusal} " in padded for refusal in pack.domain.refusal):
        return False
    return words in {"y"} or any(f" {consent} " in padded for consent in pack.domain.consent)
