"""What a sentence claims: that something was done or was not, will be, or is granted.

A reply may claim what one of the phrasings does that it stands for, and nothing else.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType


def whole_words(reasons: Mapping[str, str]) -> Mapping[re.Pattern[str], str]:
    return MappingProxyType(
        {re.compile(rf"\b(?:{words})\b", re.IGNORECASE): reason for words, reason in reasons.items()}
    )


PROMISES = whole_words(
    {
        r"guarante\w+|promis\w+|assur\w+|rest assured|my word|count on": "promises",
        r"refund\w*|reimburs\w+|compensat\w+|goodwill|cash ?back": "grants money",
        r"waiv\w+|discount\w*|free of charge|for free|(?:is|are|be|it['’]s) free|no (?:fees?|charges?|costs?)"
        r"|without (?:any )?(?:fees?|charges?|costs?)|on the house|costs? nothing": "grants money",
        r"credit(?:ed)? (?:to )?you\w*|credited": "grants money",
        r"definitely|certainly will|will certainly|without fail|always|never|forever|in any case": "promises",
        r"immediately|right away|straight away|instantly|at once|as soon as possible|asap|shortly|soon"
        r"|overnight|in no time|within": "names a time",
        r"approv\w+|authori[sz]ed|pre-?approved|eligible|qualif\w+": "decides for the business",
        r"(?:my |a |the |our )?(?:manager|supervisor|boss|director|lawyer|police|government|specialist)s?"
        r"|(?:my |a |the )?colleagues?": "speaks of people",
        r"passwords?|passcodes?|pin|cvv|security codes?|social security|ssn": "asks for a secret",
        r"click|links?|websites?|web ?sites?|e-?mails?|call us|phone|download|app|dot com": "sends elsewhere",
        r"ignore|instructions?|as you (?:said|say|asked|wished)|you are right|you['’]re right|system|prompt"
        r"|language model|ai": "obeys the customer",
        r"safe|secure|insured|legal|illegal|fraud\w*|hack\w*": "judges",
        r"(?:lowest|highest|best|cheapest|unlimited|no limits?)": "judges",
    }
)
"""What must not be said unless a phrasing says it, with what is wrong about it."""

FUTURE = re.compile(
    r"\b(?:I|we|a colleague|somebody|someone)(?:['’]ll| will)\b"
    r"|(?:['’]ll| will) (?:\w+ )?(?:receive|receiving|get|hear|refund\w*|credit\w*"
    r"|contact\w*|call\w*|notif\w+)\b",
    re.IGNORECASE,
)
LEAVES_OPEN = re.compile(
    r"\b(?:will|shall|should|would|want|confirm|suggest|going to)\b|['’]ll\b", re.IGNORECASE
)
NEGATION = re.compile(
    r"\b(?:not|no|nor|never|none|nothing|nobody|neither|cannot|unable|without|unfortunately|fail(?:s|ed|ure)?"
    r"|unsuccessful|problem|issue|trouble|errors?|unavailable|impossible|declined|refused|rejected)\b"
    r"|n['’]t\b",
    re.IGNORECASE,
)
NO_NEGATION = re.compile(
    r"\b(?:no|not an?|any) (?:problem|worries|trouble|doubt|issues?)\b"
    r"|\b(?:do not|don['’]t) (?:worry|hesitate)\b|\b(?:why|if|or) not\b|\bnot only\b|\bisn['’]t it\b",
    re.IGNORECASE,
)
APOLOGY = re.compile(r"\b(?:sorry|apolog\w+|forgive|regret\w*|excuse)\b", re.IGNORECASE)
CHEER = re.compile(
    r"\b(?:(?:great|good|wonderful) news|congratulations|awesome|excellent|perfect|wonderful|fantastic|yay"
    r"|hooray|success\w*|glad|happy to (?:say|tell|inform))\b",
    re.IGNORECASE,
)
ASKS = re.compile(
    r"\?|\b(?:confirm|verify)"
    r"|(?:^|[.!,]) *(?:would|do|are|is|could|can|shall|what|which|how|when|where) (?:you|I|it|that)\b"
    r"|\b(?:please|could you|can you|kindly|just) (?:\w+ )?(?:give|tell|send|enter|provide|check|say|state"
    r"|name|confirm|share|choose|type|let)\b|\b(?:tell|give) me\b|\blet me know\b|\bmay I\b|\bI need\b",
    re.IGNORECASE,
)

VERBS = {
    "move": "sent|transferred|moved|paid|wired|forwarded|deposited|withdrawn",
    "block": "blocked|locked|frozen|stopped|deactivated|suspended|reported",
    "close": "closed|shut|terminated|deleted|removed",
    "open": "opened|created|set up",
    "order": "ordered|placed|requested|mailed|shipped|dispatched|delivered|replaced",
    "file": "filed|submitted|registered|logged|raised|disputed",
    "change": "changed|updated|saved|corrected|added|adjusted|replaced",
    "cancel": "cancell?ed|dropped|stopped|reversed|undone|revoked",
    "book": "booked|reserved|scheduled|arranged|purchased|bought|rented|played|started",
    "grant": "refunded|credited|waived|approved|granted|increased|raised|activated|unlocked|reimbursed",
    "any": "done|made|completed?|processed|confirmed|finished|settled|executed|taken care of|carried out",
}
SUBJECT = r"(?:\b(?:has|have|had|was|were|is|are|been|got|get|being|I|we|am)\b|\b\w+['’](?:ve|s|re|m)\b)"
SPEECH = r"(?:\s+(?:now|already|just|successfully|all|been|also|fully|being|getting|immediately))*\s+"
AT_ONCE = {
    "move": r"\bwent (?:to|out|off)\b|\b(?:sending|transferring|moving) ",
    "block": r"\bblocking ",
    "close": r"\bclosing ",
    "order": r"\bordering |\bon (?:its|the|their) way\b",
    "file": r"\bfiling ",
    "any": r"^\W*(?:done|completed)\b|\ball (?:set|done)\b|\bwent through\b|\bsuccessful(?:ly)?\b"
    r"|\btook care\b|\bthat['’]?s? (?:is )?done\b",
}
DEEDS = MappingProxyType(
    {
        kind: re.compile(
            "|".join(filter(None, [rf"{SUBJECT}{SPEECH}(?:{verbs})\b", AT_ONCE.get(kind)])), re.I
        )
        for kind, verbs in VERBS.items()
    }
)
LEFT_OPEN = re.compile(r"\s*(?:shall|should|if|would|could|can|do|when|once)\b", re.IGNORECASE)
CLAUSE = re.compile(
    r"[.;:!?]|,|\bbut\b|\balthough\b|\bbecause\b|\bso\b(?! far)|\band (?=I\b|we\b|it\b|your\b|the\b)"
)


def deeds(text: str) -> frozenset[str]:
    """Kinds of things that the text says were done."""
    said = [
        clause
        for clause in CLAUSE.split(NO_NEGATION.sub(" ", text))
        if not NEGATION.search(clause) and not LEFT_OPEN.match(clause)
    ]
    return frozenset(kind for kind, done in DEEDS.items() if any(map(done.search, said)))


def is_negative(text: str) -> bool:
    return NEGATION.search(NO_NEGATION.sub(" ", text)) is not None


def false_claims(text: str, phrasings: Sequence[str], banned: Mapping[re.Pattern[str], str]) -> list[str]:
    """What `text` claims that none of `phrasings` does; and what they all do and it does not."""
    faults = []
    if deeds(text) - _may_say_done(phrasings):
        faults.append("says that something was done")
    if FUTURE.search(text) and not deeds(text) and all(map(deeds, phrasings)):
        faults.append("does not say that it was done")
    faults += [
        reason
        for words, reason in (*PROMISES.items(), *banned.items())
        if words.search(text) and not any(map(words.search, phrasings))
    ]
    if FUTURE.search(text) and not any(LEAVES_OPEN.search(p) or ASKS.search(p) for p in phrasings):
        faults.append("announces something")
    return list(dict.fromkeys(faults)) + turned(text, phrasings)


def _may_say_done(phrasings: Sequence[str]) -> frozenset[str]:
    said = frozenset[str]().union(*map(deeds, phrasings))
    if said == {"any"}:  # "it is done" may be said with any verb, but for what gives something away
        return frozenset(DEEDS) - {"grant"}
    return said | {"any"} if said else said


def turned(text: str, phrasings: Iterable[str]) -> list[str]:
    """Where a refusal became a success, or the other way round."""
    before = [is_negative(phrasing) for phrasing in phrasings]
    if all(before) and not is_negative(text):
        return ["lost a negation"]
    if not any(before) and is_negative(text):
        return ["brought in a negation"]
    if all(before) and CHEER.search(text) and not any(ASKS.search(p) or CHEER.search(p) for p in phrasings):
        return ["cheerful about bad news"]
    return []
