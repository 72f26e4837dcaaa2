"""The shipped bot with a parser of a few lines in place of the trained one: storage is what is measured.

It reads "intent, intent | slot=value | slot=value"; a text that begins with yes is an affirmation, all else a
remark.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.databases import open_with_keys
from chatbot.assembly import business_database
from chatbot.bot import Chatbot
from chatbot.reply import TemplateReply
from dialog_policy.policy import RulePolicy
from domains.backend import Backend
from domains.loader import load_pack
from domains.schema import Pack
from nlu.past import NO_PAST, Past
from nlu.understanding import Entity, IntentScore, Understanding
from storage.conversations import ConversationStore

PACK = Path(__file__).resolve().parent.parent / "domains" / "banking"


class PlainParser:
    def __init__(self, pack: Pack) -> None:
        self.intents = pack.intents

    def parse(
        self, text: str, context: Sequence[str] = (), asked: str | None = None, past: Past = NO_PAST
    ) -> Understanding:
        first, *values = text.split(" | ")
        wishes = tuple(wish for wish in first.split(", ") if wish in self.intents)
        if not wishes:
            wishes = ("affirm",) if first.lower().startswith("yes") else ("remark",)
        entities, start = [], len(first)
        for value in values:
            slot, _, given = value.partition("=")
            start += len(" | ") + len(slot) + 1
            entities.append(Entity(slot, start, start + len(given), given, None, 0.9))
            start += len(given)
        scores = tuple(IntentScore(wish, 0.95) for wish in wishes)
        return Understanding(text, scores, wishes, tuple(entities), 0.0)


def build_plain_bot(database: str, backend: Backend | None = None, pack: Pack | None = None) -> Chatbot:
    """On a migrated database."""
    pack = pack or load_pack(PACK)
    backend = backend or pack.backend(business_database(database, pack.name))
    store = ConversationStore(open_with_keys(database))
    parser = PlainParser(pack)
    return Chatbot(pack, parser, RulePolicy(pack), backend, TemplateReply(pack), store)  # type: ignore[arg-type]
