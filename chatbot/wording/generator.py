"""What words a request, here or elsewhere."""

from typing import Protocol

from chatbot.wording.request import Request


class WordingError(Exception):
    """No wording came. The reason is logged in clear: it holds nothing that a customer wrote."""


class UnfitRequest(WordingError):
    """It lies with the request, and another one can be worded."""


class Generator(Protocol):
    """Implementations are safe to call from several threads."""

    name: str
    """As it is logged with each reply that it made."""

    def word(self, request: Request, until: float) -> str:
        """A reply with the placeholders of `request.say`.

        At `until` (of time.monotonic) nobody waits for it any more. Raises WordingError.
        """
        ...


class GeneratorMissing(Exception):
    """The generator that was asked for is not there; names what is missing and the remedy."""
