"""Secrets that customers write, and conversations in which they write them."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nlu.understanding import Understanding
from tests.hearing import understood

STREETS = ("Juniper", "Calloway", "Marigold", "Thistle", "Penrose", "Wexford", "Larkspur", "Quarry")
FIRST = ("Ottoline", "Barnaby", "Philippa", "Evander", "Clementine", "Leopold", "Araminta", "Cosmo")
LAST = ("Zeldenrust", "Abernethy", "Quackenbush", "Fotheringham", "Oppenshaw", "Vandersloot", "Yarborough")


@dataclass(frozen=True)
class Visit:
    """What one customer writes, message by message."""

    heard: tuple[Understanding, ...]
    names: tuple[str, ...]
    """And addresses, which only the NLU can tell from other words."""
    numbers: tuple[str, ...] = ()
    """Of cards and telephones, social security numbers, e-mail addresses: what masking hides."""

    @property
    def secrets(self) -> tuple[str, ...]:
        return self.names + self.numbers


def card(rng: random.Random) -> str:
    """Sixteen digits in groups, with Luhn's check digit."""
    digits = [4, *(rng.randrange(10) for _ in range(14))]
    doubled = sum(d if i % 2 else (2 * d) // 10 + (2 * d) % 10 for i, d in enumerate(digits))
    number = "".join(map(str, [*digits, -doubled % 10]))
    return " ".join(number[at : at + 4] for at in range(0, 16, 4))


def plant(customers: int, seed: int = 0) -> Iterator[Visit]:
    """Thirty secrets a customer; some the NLU recognised, some it overlooked."""
    rng = random.Random(seed)
    for number in range(customers):
        names = [f"{rng.choice(FIRST)} {rng.choice(LAST)}-{rng.choice(LAST)}{number}{x}" for x in "ABCDEF"]
        cards = [card(rng) for _ in range(6)]
        ssns = [
            f"{rng.randrange(100, 899)}-{rng.randrange(10, 99)}-{rng.randrange(1000, 9999)}" for _ in range(6)
        ]
        homes = [f"{rng.randrange(100, 9999)} {rng.choice(STREETS)} Crescent {number}{x}" for x in "ABCDEF"]
        mails = [f"{rng.choice(LAST).lower()}.{rng.randrange(10**6)}@example.net" for _ in range(3)]
        phones = [
            f"({rng.randrange(200, 999)}) {rng.randrange(200, 999)}-{rng.randrange(1000, 9999)}"
            for _ in range(3)
        ]
        heard = (
            understood(f"Hi, I moved to {homes[0]}", ["update_address"], {"address": homes[0]}),
            understood(f"I am {names[0]}", ["inform"], {"name": names[0]}),
            understood(f"my social is {ssns[0]}", ["inform"], {"ssn": ssns[0]}),
            understood(f"card {cards[0]}", ["inform"], {"card_number": cards[0]}),
            understood(f"or ask for {names[1]}, {ssns[1]} or {names[2]}, {ssns[2]}", ["remark"]),
            understood(
                f"others: {cards[1]}, {cards[2]} and {cards[3]}; I lived at {homes[1]} and {homes[2]}",
                ["report_lost_card"],
            ),
            understood(f"write to {' or '.join(mails)}; call {' or '.join(phones)}", ["human"]),
            understood("; ".join([*names[3:], *cards[4:], *ssns[3:], *homes[3:]]), ["remark"]),
        )
        yield Visit(heard, (*names, *homes), (*cards, *ssns, *mails, *phones))


def traces(secrets: Sequence[str]) -> set[bytes]:
    """Each secret as it may stand in a file: as typed, in lower case, and numbers without gaps."""
    digits = ["".join(filter(str.isdigit, secret)) for secret in secrets]
    forms = {*secrets, *(secret.lower() for secret in secrets), *(run for run in digits if len(run) >= 9)}
    return {form.encode() for form in forms}
