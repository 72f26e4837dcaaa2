"""What a reply states that was not given, by plain rules that share nothing with the program."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

NUMBERS = (
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen"
    "|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million"
    "|billion|dozen|half|twice|double|triple|percent|dollars?|euros?|cents?|quarter"
)
DAYS = (
    "january|february|april|june|july|august|september|october|november|december|monday|tuesday|wednesday"
    "|thursday|friday|saturday|sunday|tomorrow|yesterday|tonight|noon|midnight"
)


def invented(
    reply: str, facts: Iterable[str], templates: Sequence[str], ordinary: frozenset[str]
) -> list[str]:
    """Numbers, days, names, signs and addresses that stand in no fact and in none of the templates.

    `ordinary` are words that begin a sentence without being a name.
    """
    rest = reply
    for fact in sorted(facts, key=len, reverse=True):
        rest = rest.replace(fact, " ", 1)
    given = " ".join(templates)
    found = [number for number in re.findall(r"\d+", rest) if number not in re.findall(r"\d+", given)]
    spoken = given.lower()
    stating = re.findall(rf"\b(?:{NUMBERS}|{DAYS})\b", rest.lower())
    found += [word for word in stating if not re.search(rf"\b{word}\b", spoken)]
    known = set(re.findall(r"[A-Za-z]+", given))
    for match in re.finditer(r"[^\W\d_]+", rest):
        word = match[0]
        if word[0].isupper() and word not in known | {"I"}:
            begins = re.search(r"(?:^|[.!?:])\W*$", rest[: match.start()]) is not None
            if not (begins and word.lower() in ordinary):
                found.append(word)
        if any("LATIN" not in unicodedata.name(c, "") for c in word):
            found.append(word)
    found += [sign for sign in re.findall(r"[$€£%@#<>*_/\\\[\]{}|^~=+]", rest) if sign not in given]
    found += re.findall(r"\w\.(?:com|org|net|io|example)\b|\bwww\b|\bhttps?\b", rest)
    return found
