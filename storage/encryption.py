"""Values that stand encrypted in the database, and the keys that open them.

A key is one of Fernet (AES-128-CBC and HMAC-SHA256): what was tampered with is refused. Each engine has a
keyring of its own, which the column types of storage/tables.py find by the engine's dialect.
"""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import Dialect, Engine

from storage.faults import StorageError

SEALED = "sealed:"
"""Begins an encrypted value."""
PLAIN = "plain:"
"""Begins a text that stands in clear though it begins like one of these two."""

VARIABLE = "CHATBOT_ENCRYPTION_KEYS"


class EncryptionError(StorageError):
    """Keys are missing, wrong or no keys at all."""


class Keyring:
    """Encrypts with the first of its keys, and opens what any of them encrypted."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Raises EncryptionError, which does not show the key, where one is none."""
        self._fernets = []
        for place, key in enumerate(keys, 1):
            try:
                self._fernets.append(Fernet(key))
            except ValueError:
                raise EncryptionError(
                    f"Key {place} of {VARIABLE} is no key: 32 bytes in URL-safe base64 are expected; "
                    "make one with: chatbot keys new"
                ) from None
        self._all = MultiFernet(self._fernets)

    def seal(self, value: bytes) -> str:
        return SEALED + self._all.encrypt(value).decode()

    def open(self, value: str) -> bytes:
        try:
            return self._all.decrypt(value.removeprefix(SEALED))
        except InvalidToken:
            raise EncryptionError(
                f"A stored value was encrypted with none of the keys in {VARIABLE}, or was tampered with; "
                "put the key that it was written with back there, or restore a backup"
            ) from None

    def is_newest(self, value: str) -> bool:
        """Whether the first key sealed `value`."""
        try:
            self._fernets[0].decrypt(value.removeprefix(SEALED))
        except InvalidToken:
            return False
        return True


_keyrings: WeakKeyDictionary[Dialect, Keyring] = WeakKeyDictionary()


def new_key() -> str:
    return Fernet.generate_key().decode()


def use_keys(engine: Engine, keys: Sequence[str]) -> None:
    """From now on `engine` encrypts with the first of `keys`; with none it writes in clear."""
    if keys:
        _keyrings[engine.dialect] = Keyring(keys)
    else:
        _keyrings.pop(engine.dialect, None)


def keyring(dialect: Dialect) -> Keyring | None:
    return _keyrings.get(dialect)


def is_sealed(value: object) -> bool:
    return isinstance(value, str) and value.startswith(SEALED)


def open_sealed(value: str, dialect: Dialect) -> bytes:
    """Raises EncryptionError where `value` is sealed with a key that the engine does not have."""
    keys = keyring(dialect)
    if keys is None:
        raise EncryptionError(
            f"The database is encrypted and no key is given; set {VARIABLE} to the key of its values"
        )
    return keys.open(value)


def store_text(text: str, dialect: Dialect) -> str:
    """`text` as it goes into the database."""
    keys = keyring(dialect)
    if keys is not None:
        return keys.seal(text.encode())
    return PLAIN + text if text.startswith((SEALED, PLAIN)) else text


def load_text(stored: str, dialect: Dialect) -> str:
    """The inverse of store_text."""
    if is_sealed(stored):
        return open_sealed(stored, dialect).decode()
    return stored.removeprefix(PLAIN)
