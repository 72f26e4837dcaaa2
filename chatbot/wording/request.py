"""What a reply has to say: the one form in which the generator is asked, in training and in service."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    action: str
    """Key of the phrasing, such as confirm.transfer_money."""
    say: str
    """The content in plain sentences; every fact is a placeholder: [1], [2] …"""
    facts: tuple[str, ...]
    """The values of [1], [2] …, put back as they are."""
    customer: str
    """What the customer wrote last."""
    upset: bool = False
    careful: bool = False
    """Worded once more after a refusal: from `say` alone, and without units that it does not have."""
    finished: bool = False
    """`say` reads well as it stands: it may follow, word for word, on a sentence that takes up the
    customer's. The reply has its capitals."""
