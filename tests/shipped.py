"""The bot as it is shipped, with a database and a bank of its own."""

from functools import cache
from pathlib import Path

from chatbot.assembly import business_database
from chatbot.bot import Chatbot
from chatbot.reply import TemplateReply
from chatbot.settings import Settings
from dialog_policy.policy import LearnedPolicy, load_policy
from domains.loader import load_pack
from domains.schema import Pack
from nlu.parser import Parser, load_parser
from storage.conversations import ConversationStore
from storage.database import open_database
from storage.migration import upgrade

SETTINGS = Settings()


@cache
def shipped_models() -> tuple[Pack, Parser, LearnedPolicy]:
    """Loaded once: they keep nothing of a conversation."""
    pack = load_pack(SETTINGS.domain)
    return pack, load_parser(SETTINGS.models / "nlu", pack), load_policy(SETTINGS.models / "policy", pack)


def shipped_bot(folder: Path) -> Chatbot:
    """The shipped bot over SQLite files in `folder`; what is there already is kept."""
    pack, parser, policy = shipped_models()
    url = f"sqlite:///{folder / 'chatbot.db'}"
    engine = open_database(url)
    upgrade(engine)
    backend = pack.backend(business_database(url, pack.name))
    return Chatbot(pack, parser, policy, backend, TemplateReply(pack), ConversationStore(engine))
