"""Replies that a generator words, where the pack lets it, and whose facts are checked.

Whatever goes wrong, the customer gets the pack's phrasing, and the turn is logged with the reason.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Thread

from chatbot.metrics import WORDINGS
from chatbot.reply import NOTHING, Part, TemplateReply
from chatbot.wording.check import Rules, check
from chatbot.wording.claims import APOLOGY
from chatbot.wording.generator import Generator, UnfitRequest, WordingError
from chatbot.wording.phrasing import ask, fill
from chatbot.wording.request import Request
from domains.backend import CUSTOMER_ID
from domains.loader import required_replies
from domains.schema import Pack
from storage.actions import Action
from storage.records import Button, Draft
from storage.state import DialogueState

TRIES = 2
REST_SECONDS = 30.0
"""For which a generator that failed or came too late is not asked: its customers need not wait in vain."""

logger = logging.getLogger(__name__)


class GeneratedReply:
    """A writer whose replies to `pack.domain.wording.generated` a generator words."""

    def __init__(self, pack: Pack, generator: Generator, seconds: float = 3.0) -> None:
        """A message is ready after `seconds`, with or without the generator."""
        self.pack, self.generator, self.seconds = pack, generator, seconds
        self.template = TemplateReply(pack)
        self._rules = Rules.of(pack)
        self._live = frozenset(pack.domain.wording.generated)
        self._known = {key: names | {CUSTOMER_ID} for key, names in required_replies(pack.domain).items()}
        self._rests_until = 0.0

    def write(self, actions: Sequence[Action], state: DialogueState, variant: int) -> Draft:
        until = time.monotonic() + self.seconds
        made: dict[str, tuple[str, str]] = {}
        for place, part in enumerate(self.template.parts(actions, state)):
            if part.key in self._live:
                text, how = self._word(part, state, variant, until, upset=place == 0 and _first_anger(state))
            else:
                text, how = self.template.word(part, variant), self.template.name
            made.setdefault(text, (part.key, how))
        return Draft(" ".join(made), self.template.buttons(actions, state), _summary([*made.values()]))

    def fixed(
        self, key: str, variant: int, facts: Mapping[str, str] = NOTHING, buttons: tuple[Button, ...] = ()
    ) -> Draft:
        return self.template.fixed(key, variant, facts, buttons)

    def opening(self) -> Draft:
        return self.template.opening()

    def _word(
        self, part: Part, state: DialogueState, variant: int, until: float, *, upset: bool
    ) -> tuple[str, str]:
        """The text, and how it was made."""
        fallback = self.template.word(part, variant)
        name, faults = self.generator.name, list[str]()
        try:
            self._refuse_unknown(part)
            for attempt in range(TRIES):
                text, found = self._try(part, state, variant, attempt, until, upset)
                if not found:
                    WORDINGS.labels(name, "again" if attempt else "at once").inc()
                    return text, f"{name} after check: {'; '.join(faults)}" if faults else name
                faults += [fault for fault in found if fault not in faults]
            reason = f"check: {'; '.join(faults)}"
            WORDINGS.labels(self.template.name, "check").inc()
        except WordingError as error:
            reason = "; ".join([str(error), *faults])
            WORDINGS.labels(self.template.name, "error").inc()
        logger.info("%s is worded by the template after %s", part.key, reason)
        return fallback, f"{self.template.name} after {reason}"

    def _try(
        self, part: Part, state: DialogueState, variant: int, attempt: int, until: float, upset: bool
    ) -> tuple[str, tuple[str, ...]]:
        """A finished text, and what is wrong with it. Raises WordingError."""
        phrasing, facts = self.template.phrasing(part, variant + attempt)
        warm = self._rules.tone == "warm"
        if upset and warm and not APOLOGY.search(phrasing):
            phrasing = f"{self.pack.domain.wording.apology} {phrasing}"
        customer = state.recent[0] if warm and state.recent else ""
        request = ask(part.key, phrasing, facts, customer, upset=upset and warm)
        request = replace(request, careful=attempt > 0)
        text = fill(self._ask(request, until), request.facts)
        task = self.pack.intents.get(state.task or "")
        topic = task.description if task else ""
        return text, check(request, text, self._rules, self.pack.replies[part.key], topic)

    def _ask(self, request: Request, until: float) -> str:
        """What the generator answers, in time. Raises WordingError."""
        now = time.monotonic()
        if now < self._rests_until:
            raise WordingError(f"{self.generator.name} rests after a failure")
        answers: SimpleQueue[str | Exception] = SimpleQueue()

        def work() -> None:
            try:
                answers.put(self.generator.word(request, until))
            except Exception as error:  # of whatever kind, the customer is answered
                answers.put(error)

        # A thread of its own: one that hangs holds up nobody, not even the end of the program.
        Thread(target=work, name="wording", daemon=True).start()
        try:
            answer = answers.get(timeout=max(0.0, until - now))
        except Empty:
            answer = WordingError(f"no answer in {self.seconds:g} s")
        if isinstance(answer, str):
            return answer
        if not isinstance(answer, UnfitRequest):
            self._rests_until = time.monotonic() + REST_SECONDS
        if isinstance(answer, WordingError):
            raise answer
        logger.error("%s failed", self.generator.name, exc_info=answer)
        raise WordingError(f"a failure of {self.generator.name} ({type(answer).__name__})")

    def _refuse_unknown(self, part: Part) -> None:
        """Raises WordingError where the business system gives what the pack does not know."""
        unknown = sorted(part.facts.keys() - self._known[part.key] - self.pack.slots.keys())
        if unknown:
            raise UnfitRequest(f"fact '{unknown[0]}' is unknown to the pack")


def _first_anger(state: DialogueState) -> bool:
    """A bot is sorry once in a conversation; more sounds like a machine."""
    return state.angry and state.upset == 1


def _summary(made: Sequence[tuple[str, str]]) -> str:
    """How a message was made: in one word where all its parts were made alike."""
    if len({how for _, how in made}) == 1:
        return made[0][1]
    return ", ".join(f"{key}: {how}" for key, how in made)
