"""Answers whose words alone settle what they mean, whatever the NLU makes of them."""

import re

from domains.schema import Pack
from nlu.understanding import Entity, IntentScore, Understanding
from storage.changes import replace
from storage.consent import says_one_of, without_thanks
from storage.holdings import chosen_holding
from storage.slots import is_named_alone
from storage.state import DialogueState, proof_slots

BESIDE = 0.65
"""Probability below which another task is not taken up in an answer that holds a value."""
PLAUSIBLE = 0.1
"""Probability that makes a wish worth asking about."""
LEFT = 0.4
"""Share of what remains without what makes no sense here from which a wish is taken instead of it."""
NO_SUM = re.compile(r"^(?:all|half|everything|the (?:rest|whole|full|entire|maximum)|as much as|whatever)\b")
"""What is said for a sum, and is none; alone it sounds like a thanks or a remark."""
ELLIPSIS = re.compile(
    r"^(?:ok |okay |and |what about |how about )+(?:in |on |for |what's in |how much is in )?"
)


def settle(heard: Understanding, before: DialogueState, pack: Pack) -> Understanding:
    """What was heard, or what an answer means that names an option, is a bare yes or no, or does not know."""
    answer = heard.text.strip().strip(".!").lower()
    for place, option in zip(("first", "second"), before.clarifying, strict=False):
        if answer in {pack.intents[option].description.lower(), f"the {place} one", f"the {place}", place}:
            return _certain(heard, option)
    if before.offered and answer == pack.intents[before.offered].description.lower():
        return _certain(heard, before.offered)
    held = chosen_holding(answer, before)
    if held is not None:
        slot, value = held
        meant = Entity(slot, 0, len(heard.text), value, value, 1.0)
        return replace(_certain(heard, "inform"), entities=(meant,))
    asked_again = _asked_again(answer, before, pack)
    if asked_again is not None:
        slot, name = asked_again
        meant = Entity(slot, 0, len(heard.text), name, None, 1.0)
        return replace(_certain(heard, before.completed[-1]), entities=(meant,))
    if is_unknown(heard, before, pack):
        return _certain(heard, "inform")
    placed = _in_place(heard, before, pack)
    if placed is not None:
        return placed
    if _lacks_proof(heard, before, pack):
        return _certain(heard, str(pack.domain.authentication.help))
    if _answers_beside(heard, before, pack):
        return _certain(heard, "inform")
    asked = pack.slots[before.asked] if before.asked else None
    if asked and asked.type == "amount" and not heard.entities and NO_SUM.match(answer):
        return _certain(heard, "inform")
    if asked and (answer in {n.replace("_", " ") for n in asked.choices} or is_named_alone(answer, asked)):
        return _certain(heard, "inform")
    if before.asked or heard.entities or not all(_may_hide_a_yes(wish, pack) for wish in heard.wishes):
        return heard
    answer = without_thanks(answer)
    if before.confirmation == "asked" and answer in pack.domain.consent:
        return _certain(heard, "affirm")
    return _certain(heard, "deny") if answer in pack.domain.refusal else heard


def _in_place(heard: Understanding, before: DialogueState, pack: Pack) -> Understanding | None:
    """The likeliest request where the message was heard as something for which there is no place.

    Nothing can be taken back before anything was wanted: "put a stop on my card" is about the card. And
    without a question there is no answer.
    """
    if before.task or before.dropped or before.asked or before.offered_more or before.completed:
        return None
    idle = {"cancel", "inform"}
    left = 1 - sum(score.probability for score in heard.intents if score.intent in idle)
    likeliest = next((score for score in heard.intents if score.intent not in idle), None)
    if not (set(heard.wishes) and idle.issuperset(heard.wishes) and likeliest and left > 0):
        return None
    share = likeliest.probability / left
    if likeliest.intent not in pack.requests or likeliest.probability < PLAUSIBLE or share < LEFT:
        return None
    meant = IntentScore(likeliest.intent, min(share, 1.0))
    others = (score for score in heard.intents if score.intent not in idle | {likeliest.intent})
    return replace(heard, intents=(meant, *others), wishes=(meant.intent,))


def _asked_again(answer: str, before: DialogueState, pack: Pack) -> tuple[str, str] | None:
    """Slot and name where a question just answered is asked about another account, as "and savings?"."""
    if before.task is not None or not before.offered_more or not before.completed:
        return None
    task, name = pack.tasks[before.completed[-1]], ELLIPSIS.sub("", answer)
    if task.confirm or name == answer:
        return None
    named = (slot for slot in (*task.slots, *task.optional) if is_named_alone(name, pack.slots[slot]))
    return next(((slot, name) for slot in named), None)


def is_unknown(heard: Understanding, before: DialogueState, pack: Pack) -> bool:
    """Whether the customer does not know what was asked for, and need not."""
    may_skip = pack.tasks[before.task].may_skip if before.task else ()
    if before.asked not in may_skip or heard.entities or heard.text.rstrip().endswith("?"):
        return False
    return says_one_of(pack.domain.unknown, heard.text)


def _lacks_proof(heard: Understanding, before: DialogueState, pack: Pack) -> bool:
    """Whether the customer does not know what proves who it is, and the pack has a topic for that."""
    if pack.domain.authentication.help is None or before.asked not in proof_slots(pack) or heard.entities:
        return False
    vague = set(heard.wishes) <= {"inform", "remark", "deny", "unclear"}
    return vague and says_one_of(pack.domain.unknown, heard.text)


def _answers_beside(heard: Understanding, before: DialogueState, pack: Pack) -> bool:
    """Whether an answer with a value only sounds a little like another wish, as "I have no card any more, but
    my account is 7316" does."""
    wishes = set(heard.wishes) - {"inform"}
    other = bool(wishes) and wishes <= pack.tasks.keys() - {before.task}
    return before.asked is not None and other and bool(heard.entities) and heard.top.probability < BESIDE


def _may_hide_a_yes(wish: str, pack: Pack) -> bool:
    return wish in ("inform", "thanks") or pack.intents[wish].kind != "social"


def _certain(heard: Understanding, intent: str) -> Understanding:
    scores = (IntentScore(intent, 1.0), *(s for s in heard.intents if s.intent != intent))
    return replace(heard, intents=scores, wishes=(intent,), out_of_scope=0.0)
