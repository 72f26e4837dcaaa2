"""What the bank does about its customers themselves: who they are, where they live, what they may have."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass

from sqlalchemy import func, select

from domains.backend import CUSTOMER_ID, ActionResult
from domains.banking import bank_terms as terms
from domains.banking.bank_display import listing, money
from domains.banking.bank_tables import Account, Customer, Dispute, FailedVerification, Transaction
from domains.banking.bank_visit import Visit, fits

WHOLE_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "'": "", "’": ""}
)
"""What Unicode does not take apart into a letter and its accent, and apostrophes."""

UNIT = re.compile(r"(?:apt|apartment|unit|suite|ste|floor|fl|room|rm|box|po box|#)\b.*", re.IGNORECASE)
ZIP = re.compile(r"\b\d{5}(?:-\d{4})?$")

OFFERS = {
    "lower_rate_card": "our lower-rate card",
    "cash_back": "the cash back card",
    "balance_transfer": "the balance transfer offer",
    "savings_bonus": "the savings bonus",
}


def verify_identity(visit: Visit) -> ActionResult:
    """Failures count against the claimed name, known or not, so that no answer tells who is a customer."""
    name, ssn = visit.required("name"), visit.required("ssn")
    card, account = visit.slots.get("card_number"), visit.slots.get("account_number")
    if not (card or account):
        raise ValueError("slots 'card_number' and 'account_number' are both missing")
    claimed = name_parts(name)
    named = [
        customer
        for customer in visit.session.scalars(select(Customer))
        if is_same_name(claimed, customer.name)
    ]
    unknown = hashlib.sha256(" ".join(sorted(claimed)).encode()).hexdigest()
    subjects = [f"customer {customer.id}" for customer in named] or [unknown]
    failures = (
        select(FailedVerification.subject)
        .where(FailedVerification.subject.in_(subjects), FailedVerification.at > visit.now - terms.LOCK_TIME)
        .group_by(FailedVerification.subject)
        .having(func.count() >= terms.FAILED_VERIFICATIONS)
    )
    if visit.session.scalar(failures.limit(1)):
        return ActionResult("locked")
    for customer in named:
        if customer.ssn_last4 == ssn and _holds(customer, card, account):
            first_name = customer.name.split()[0]
            return ActionResult("verified", {"first_name": first_name, CUSTOMER_ID: str(customer.id)})
    visit.session.add_all(FailedVerification(subject=subject, at=visit.now) for subject in subjects)
    return ActionResult("not_matched")


def _holds(customer: Customer, *numbers: str | None) -> bool:
    """Whether one of the given numbers is that of a card or an open account of the customer.

    Asked for "card or account number", people give four digits without saying of which.
    """
    held = [card.number for card in customer.cards]
    held += [account.number for account in customer.accounts if account.closed_at is None]
    return any(given and fits(number, given) for given in numbers for number in held)


def name_parts(name: str) -> list[str]:
    """The words of a name without case and accents: "Zoë O'Brien-Ruiz" → zoe, obrien, ruiz."""
    bare = unicodedata.normalize("NFKD", name.casefold().translate(WHOLE_LETTERS))
    return re.findall(r"[^\W\d_]+", "".join(letter for letter in bare if not unicodedata.combining(letter)))


def is_same_name(claimed: list[str], name: str) -> bool:
    """In any order; of a longer name the first and the last part are enough."""
    known = name_parts(name)
    return sorted(claimed) in (sorted(known), sorted((known[0], known[-1])))


def update_address(visit: Visit) -> ActionResult:
    address = " ".join(visit.required("address").split())
    if not is_complete_address(address):
        return ActionResult("incomplete", {"address": address})
    if _bare(address) == _bare(visit.customer.address):
        return ActionResult("unchanged", {"address": visit.customer.address})
    visit.customer.address = address
    return ActionResult("done", {"address": address})


def _bare(address: str) -> list[str]:
    return re.findall(r"\w+", address.casefold())


def is_complete_address(address: str) -> bool:
    """Whether mail would arrive: a street with its number, and a city or a ZIP code."""
    zip_code = ZIP.search(address)
    street, *others = (part.strip() for part in ZIP.sub("", address).split(","))
    city = any(re.search(r"[^\W\d_]{3}", part) and not UNIT.match(part) for part in others)
    numbered = any(re.search(r"\d", part) for part in (street, *others))
    return len(address.split()) >= 3 and numbered and (zip_code is not None or city)


@dataclass(frozen=True)
class Standing:
    """What the offers look at."""

    checking: int
    savings: int
    days: int
    """Since the oldest open account was opened."""
    open_dispute: bool


def check_offer_eligibility(visit: Visit) -> ActionResult:
    wanted = [visit.choice("offer", OFFERS)] if visit.slots.get("offer") else list(OFFERS)
    standing = _standing(visit)
    objections = {offer: _objection(offer, standing) for offer in wanted}
    if eligible := [OFFERS[offer] for offer, objection in objections.items() if objection is None]:
        return ActionResult("eligible", {"offers": listing(eligible)})
    reasons = dict.fromkeys(objection for objection in objections.values() if objection)
    return ActionResult("not_eligible", {"reason": listing(list(reasons))})


def _standing(visit: Visit) -> Standing:
    accounts = visit.open_accounts
    disputes = (
        select(Dispute.id)
        .join(Dispute.transaction)
        .join(Transaction.account)
        .where(Account.customer_id == visit.customer.id, Dispute.decided_at.is_(None))
    )
    return Standing(
        checking=sum(account.balance_cents for account in accounts if account.kind == "checking"),
        savings=sum(account.balance_cents for account in accounts if account.kind != "checking"),
        days=max(((visit.now - account.opened_at).days for account in accounts), default=0),
        open_dispute=visit.session.scalar(disputes.limit(1)) is not None,
    )


def _objection(offer: str, standing: Standing) -> str | None:
    match offer:
        case "lower_rate_card" | "balance_transfer" if standing.open_dispute:
            return "a dispute of yours is still open"
        case "lower_rate_card" if standing.days < terms.LOWER_RATE_AGE_DAYS:
            return f"your oldest account is less than {terms.LOWER_RATE_AGE_DAYS} days old"
        case "balance_transfer" if standing.days < terms.BALANCE_TRANSFER_AGE_DAYS:
            return f"your oldest account is less than {terms.BALANCE_TRANSFER_AGE_DAYS} days old"
        case "cash_back" if standing.checking < terms.CASH_BACK_MINIMUM:
            return f"your checking balance is below {money(terms.CASH_BACK_MINIMUM)}"
        case "savings_bonus" if standing.savings < terms.SAVINGS_BONUS_MINIMUM:
            return f"your savings are below {money(terms.SAVINGS_BONUS_MINIMUM)}"
    return None
