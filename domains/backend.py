"""The one protocol between the bot and a business's own systems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

CUSTOMER_ID = "customer_id"
"""Reserved slot in which the bot passes the identity that the authentication task returned."""


@dataclass(frozen=True)
class ActionResult:
    """What the business system answered.

    `outcome` is one of the task's outcomes in domain.yaml and selects the reply; `facts` are the
    only values that a reply about this result may state, ready for display.
    """

    outcome: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Holding:
    """One thing that a customer has, such as a card."""

    value: str
    """What the business system takes for it as the slot's value."""
    label: str
    """How a customer is shown it, such as "Card ending in 6467"."""


class BackendError(Exception):
    """No answer came from the business system. Whether it acted is not known; send the same key again."""


class Withdrawn(Exception):
    """The key was withdrawn before its request was carried out, and it never will be."""


class Backend(Protocol):
    """A business system. Implementations are safe to call from several threads."""

    def execute(self, task: str, slots: Mapping[str, str], idempotency_key: str) -> ActionResult:
        """Carry out `task` once for each `idempotency_key`; the same key gives the same result.

        This also holds where a key comes again while its first request is still being worked on, and
        after a crash of either side: a bot that was interrupted sends it again.

        `slots` holds normalised values, and the customer's identity under CUSTOMER_ID once it was
        verified. Raises BackendError when the system is out of reach, and Withdrawn where the key was
        withdrawn.
        """
        ...

    def withdraw(self, idempotency_key: str) -> ActionResult | None:
        """Settle a request whose answer did not come: its result; or None, and it is never carried out.

        That holds also where the request is still being worked on, or comes in later. The same key gives
        the same answer again. Raises BackendError when the system is out of reach.
        """
        ...

    def find_customer(self, portal_id: str) -> str | None:
        """The CUSTOMER_ID of whom the business's own portal signed in under `portal_id`.

        Asked only where the pack's authentication says `portal: true`. Raises BackendError.
        """
        ...


@runtime_checkable
class KnowsHoldings(Protocol):
    """What a backend may do besides."""

    def holdings(self, customer_id: str) -> Mapping[str, Sequence[Holding]]:
        """By slot, what an identified customer may mean.

        Asked only where a slot of the pack says `held: true`. The only one of a slot is taken without a
        question; of several one is asked for, with a button for each. Raises BackendError.
        """
        ...
