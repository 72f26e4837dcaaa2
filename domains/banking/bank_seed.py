"""The bank's fictional customers: three that the examples speak of, and three hundred drawn by chance."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from domains.banking.bank_tables import Account, Card, Customer, Dispute, Transaction
from domains.banking.bank_visit import make_reference

SEED = 20_260_701
CROWD = 300

# fmt: off
GIVEN_NAMES = (
    "Aaliyah", "Adaeze", "Agnieszka", "Aiko", "Amara", "Amina", "Anahí", "Andrés", "Anika", "Anouk", "Arjun",
    "Astrid", "Ayşe", "Beatriz", "Björn", "Bogdan", "Camille", "Carlos", "Chiara", "Chidi", "Chloé",
    "Daniela", "Deepak", "Dmitri", "Eleni", "Elijah", "Emeka", "Emily", "Fatima", "Femi", "Fernando",
    "François", "Freya", "Giulia", "Grace", "Gustavo", "Hana", "Hannah", "Haruto", "Hassan", "Hugo",
    "Ibrahim", "Imani", "Ines", "Ivan", "Jamal", "James", "Jasmine", "Jiho", "João", "José", "Kamala",
    "Kateryna", "Keiko", "Kofi", "Krzysztof", "Kwame", "Laila", "Lars", "Leilani", "Liam", "Linh", "Lucía",
    "Luka", "Mahmoud", "Malik", "Mateo", "Mei", "Mihai", "Minh", "Mireille", "Mohammed", "Naomi", "Nadia",
    "Ngozi", "Nikhil", "Noah", "Nuria", "Olga", "Olivia", "Omari", "Oscar", "Paolo", "Park", "Petra", "Quan",
    "Rafael", "Rania", "Ravi", "Rosa", "Ruth", "Samira", "Saoirse", "Sasha", "Sergei", "Siobhán", "Sofia",
    "Søren", "Sunita", "Tala", "Tamar", "Tariq", "Tevita", "Thandiwe", "Thomas", "Tomás", "Valentina", "Wei",
    "Yara", "Yusuf", "Zanele", "Zoë",
)
SURNAMES = (
    "Abdullah", "Achebe", "Adeyemi", "Ahmed", "Andersson", "Baker", "Banerjee", "Bianchi", "Bondarenko",
    "Brooks", "Carter", "Chen", "Cohen", "Costa", "Cruz", "da Silva", "Dang", "de la Cruz", "Demir", "Diallo",
    "Dubois", "Eriksen", "Fernández", "Fischer", "Foster", "Fujimoto", "García", "Goldberg", "González",
    "Greene", "Haddad", "Hansen", "Hernández", "Hoang", "Horvat", "Hughes", "Ivanova", "Jackson", "Jensen",
    "Jovanović", "Kaplan", "Karimi", "Kaya", "Khan", "Kim", "Kowalski", "Kumar", "Larsen", "Lefèvre", "Levy",
    "Li", "Lopes", "Mahlangu", "Martínez", "Mbeki", "McCarthy", "Mehta", "Mensah", "Moreau", "Müller",
    "Murphy", "Nakamura", "Ndiaye", "Nguyen", "Nowak", "O'Brien", "O'Sullivan", "Oduya", "Okafor", "Øster",
    "Papadopoulos", "Park", "Patel", "Pereira", "Petrov", "Popescu", "Ramírez", "Reyes", "Robinson", "Rossi",
    "Ruiz-Ortega", "Saito", "Santos", "Sato", "Schneider", "Sharma", "Singh", "Smith-Jones", "Sokolov",
    "Suzuki", "Takahashi", "Tanaka", "Thompson", "Tran", "Vargas", "Virtanen", "Walker", "Wang", "Weber",
    "Wójcik", "Yamamoto", "Yıldız", "Zhang", "Zulu",
)
STREETS = (
    "Alder Street", "Birch Lane", "Canal Road", "Cedar Avenue", "Chestnut Street", "Elm Court",
    "Foundry Road", "Harbor View", "Juniper Way", "Maple Avenue", "Mill Road", "Orchard Street",
    "Prospect Place", "Quarry Lane", "River Road", "Spruce Street",
)
TOWNS = (
    "Albany, NY 12207", "Augusta, ME 04330", "Boston, MA 02108", "Burlington, VT 05401", "Concord, NH 03301",
    "Hartford, CT 06103", "Newport, RI 02840", "Portland, ME 04101", "Providence, RI 02903",
    "Springfield, MA 01103",
)
# fmt: on
MERCHANTS = (
    ("Bayside Pharmacy", 4_00, 60_00),
    ("Beacon Fuel", 18_00, 75_00),
    ("Cobblestone Books", 8_00, 70_00),
    ("Corner Bakery & Tea", 3_00, 25_00),
    ("Ferryline Tickets", 6_00, 48_00),
    ("Granite Hardware", 9_00, 240_00),
    ("Juniper Noodle House", 11_00, 68_00),
    ("Lakeview Airlines", 95_00, 640_00),
    ("Mariner Mobile", 25_00, 90_00),
    ("Northside Grocers", 7_00, 160_00),
    ("Pinewood Gym", 20_00, 55_00),
    ("Redbrick Coffee", 3_00, 14_00),
    ("Skyline Electronics", 19_00, 900_00),
    ("Starling Streaming", 8_00, 20_00),
    ("Tidewater Clothing", 15_00, 210_00),
    ("Willow Veterinary Clinic", 40_00, 320_00),
)


def fill(session: Session, today: date) -> None:
    """Put all customers in with what belongs to them; the same day gives the same ones."""
    random = Random(SEED)
    names = random.sample([(given, surname) for given in GIVEN_NAMES for surname in SURNAMES], CROWD)
    demo = _demo_customers(today)
    crowd = [_draw_customer(index, *name, today, random) for index, name in enumerate(names)]
    session.add_all([*demo, *crowd])
    session.flush()
    _add_demo_charges(demo[0], demo[1], session, today)
    charges = [charge for customer in demo for charge in _draw_charges(customer, today, random)]
    for charge in (charge for customer in crowd for charge in _draw_charges(customer, today, random)):
        if random.random() < 0.02:
            reference = make_reference("DP", f"seed {len(charges)}")
            dispute = Dispute(reference=reference, opened_at=charge["at"] + timedelta(hours=1))
            session.add(Transaction(**charge, dispute=dispute))
        else:
            charges.append(charge)
    session.execute(insert(Transaction), charges)  # as rows, for thousands of objects would take seconds


def _demo_customers(today: date) -> list[Customer]:
    soon = _month_end(today + timedelta(days=10))
    later = _month_end(today + timedelta(days=700))
    return [
        Customer(
            name="Dana Whitfield",
            ssn_last4="4821",
            address="18 Lantern Street, Portland, ME 04101",
            accounts=[
                _account("4400127316", "checking", 2_450_00, _moment(today, 2_200)),
                _account("4400127324", "savings", 8_120_50, _moment(today, 2_000)),
            ],
            cards=[Card(number="5412750003436467", expires_on=later)],
        ),
        Customer(
            name="Omar Castellanos",
            ssn_last4="9034",
            address="7 Canal Road, Apt 3, Providence, RI 02903",
            accounts=[_account("4400205518", "checking", 61_20, _moment(today, 800))],
            cards=[Card(number="5412750020550183", expires_on=later, blocked_at=_moment(today, 8))],
        ),
        Customer(
            name="Priya Raman",
            ssn_last4="7750",
            address="305 Orchard Street, Boston, MA 02108",
            accounts=[
                _account("4400316604", "checking", 1_310_75, _moment(today, 120)),
                _account("4400316612", "savings", 0, _moment(today, 120)),
            ],
            cards=[Card(number="5412750031660971", expires_on=soon)],
        ),
    ]


def _add_demo_charges(dana: Customer, omar: Customer, session: Session, today: date) -> None:
    dispute = Dispute(reference=make_reference("DP", "seed omar"), opened_at=_moment(today, 9))
    session.add_all(
        [
            Transaction(**_charge(dana, dana.cards[0], _moment(today, 80), 27_50, "Harbor Cinema")),
            Transaction(**_charge(dana, dana.cards[0], _moment(today, 3), 184_30, "Bluebird Hotel")),
            Transaction(**_charge(dana, dana.cards[0], _moment(today, 1), 42_18, "Northside Grocers")),
            Transaction(
                **_charge(omar, omar.cards[0], _moment(today, 12), 89_99, "Skyline Electronics"),
                dispute=dispute,
            ),
        ]
    )


def _draw_customer(index: int, given: str, surname: str, today: date, random: Random) -> Customer:
    """Numbers hold the customer's index, so that no two customers share one."""
    middle = f" {random.choice(GIVEN_NAMES)}" if random.random() < 0.15 else ""
    endings = random.sample(range(10_000), random.randint(1, 4))
    kinds = ["checking", *random.choices(("checking", "savings", "money_market"), k=len(endings) - 1)]
    accounts = [
        _account(
            f"{440_500 + index}{ending:04d}",
            kind,
            0 if random.random() < 0.05 else round(random.lognormvariate(12, 1.2)),
            _moment(today, random.randint(100, 4_000)),
        )
        for kind, ending in zip(kinds, endings, strict=True)
    ]
    cards = [
        Card(
            number=_with_check_digit(f"541275{5_000 + index}{random.randint(0, 99):02d}{ending:03d}"),
            expires_on=_month_end(today + timedelta(days=random.choice((5, 30, *range(60, 1_400, 60))))),
            blocked_at=_moment(today, random.randint(1, 30)) if random.random() < 0.04 else None,
        )
        for ending in random.sample(range(1_000), random.randint(1, 2))
    ]
    return Customer(
        name=f"{given}{middle} {surname}",
        ssn_last4=f"{random.randint(1, 9_999):04d}",
        address=f"{random.randint(1, 980)} {random.choice(STREETS)}, {random.choice(TOWNS)}",
        accounts=accounts,
        cards=cards,
    )


def _draw_charges(customer: Customer, today: date, random: Random) -> Iterator[dict[str, Any]]:
    """As rows, none of them after a card was blocked."""
    cards = customer.cards
    blocked = max((today - card.blocked_at.date()).days if card.blocked_at else 0 for card in cards)
    for _ in range(random.randint(15, 40)):
        merchant, least, most = random.choice(MERCHANTS)
        at = _moment(today, random.randint(blocked + 1, 89), random.randint(7 * 60, 22 * 60))
        yield _charge(customer, random.choice(cards), at, random.randint(least, most), merchant)


def _charge(customer: Customer, card: Card, at: datetime, amount_cents: int, merchant: str) -> dict[str, Any]:
    paid_from = {"account_id": customer.accounts[0].id, "card_id": card.id}
    return {**paid_from, "at": at, "amount_cents": -amount_cents, "description": merchant}


def _account(number: str, kind: str, balance_cents: int, opened_at: datetime) -> Account:
    return Account(number=number, kind=kind, balance_cents=balance_cents, opened_at=opened_at)


def _moment(today: date, days_ago: int, minute: int = 14 * 60) -> datetime:
    return datetime.combine(today, time(), UTC) - timedelta(days=days_ago) + timedelta(minutes=minute)


def _month_end(day: date) -> date:
    """Cards expire with their month."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def _with_check_digit(digits: str) -> str:
    """The Luhn digit put behind all others."""
    doubled = [int(digit) * (2 - i % 2) for i, digit in enumerate(reversed(digits))]
    return f"{digits}{-sum(d // 10 + d % 10 for d in doubled) % 10}"
