"""One chatbot from its settings."""

import logging
from pathlib import Path

from sqlalchemy.engine import make_url

from chatbot.bot import Chatbot
from chatbot.portal import Portal
from chatbot.reply import TemplateReply, Writer
from chatbot.settings import Settings
from chatbot.wording.generated import GeneratedReply
from chatbot.wording.generator import GeneratorMissing
from dialog_policy.exploration import Exploration
from dialog_policy.registry import PolicyRegistry, from_folder, install_shipped
from domains.loader import load_pack
from domains.schema import Pack
from nlu.parser import load_parser
from storage.conversations import ConversationStore
from storage.database import open_database
from storage.encryption import VARIABLE
from storage.migration import upgrade
from storage.outbox import Outbox
from storage.vault import unlock

logger = logging.getLogger(__name__)


def build_chatbot(settings: Settings, portal: Portal | None = None) -> Chatbot:
    """Load pack, models and database.

    Raises PackError, ModelError, PolicyError, GeneratorMissing, StorageError.
    """
    pack = load_pack(settings.domain)
    writer = build_writer(settings, pack)
    parser = load_parser(settings.nlu or settings.models / "nlu", pack)
    shipped, weights = from_folder(settings.models / "policy", pack)
    engine = open_database(settings.database)
    upgrade(engine)
    unlock(engine, settings.keys, required=settings.encryption == "required")
    if not settings.keys:
        logger.warning("Customers' texts and values are stored in clear; to encrypt them set %s", VARIABLE)
    install_shipped(engine, shipped, weights)
    policies = PolicyRegistry(engine, pack, Exploration(settings.explore))
    backend = pack.backend(business_database(settings.database, pack.name))
    store = ConversationStore(engine, Outbox(tuple(portal.webhooks) if portal else ()))
    return Chatbot(pack, parser, policies, backend, writer, store)


def build_writer(settings: Settings, pack: Pack) -> Writer:
    """Raises GeneratorMissing."""
    match settings.reply:
        case "template":
            return TemplateReply(pack)
        case "moe":
            from chatbot.wording.local import open_generator

            return GeneratedReply(pack, open_generator(settings.models / "generator"), settings.reply_seconds)
        case "openai":
            from chatbot.wording.remote import RemoteGenerator

            if not (settings.openai_url.startswith(("http://", "https://")) and settings.openai_model):
                raise GeneratorMissing(
                    "--reply openai needs CHATBOT_OPENAI_URL, such as http://localhost:8000/v1, "
                    "and CHATBOT_OPENAI_MODEL"
                )
            remote = RemoteGenerator(
                settings.openai_url,
                settings.openai_model,
                settings.openai_key.get_secret_value(),
                pack.domain.wording.tone,
                settings.reply_seconds,
            )
            return GeneratedReply(pack, remote, settings.reply_seconds)


def business_database(url: str, pack: str) -> str:
    """Where the demo business keeps its own data: the same server, but a file of its own on SQLite.

    SQLite has one writer, and the two need not wait for each other.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return url
    path = Path(parsed.database)
    return parsed.set(database=str(path.with_name(f"{path.stem}-{pack}{path.suffix}"))).render_as_string(
        False
    )
