"""What the bank does about accounts."""

import hashlib
from datetime import UTC, datetime, time

from sqlalchemy import func, select

from domains.backend import ActionResult
from domains.banking import bank_terms as terms
from domains.banking.bank_display import account_name, day, kind_name, listing, masked, money
from domains.banking.bank_tables import Account, CheckOrder, Dispute, Transaction, Transfer
from domains.banking.bank_visit import KINDS, Visit, fits

TO_OPEN = {"checking": 0, "savings": 0, "money_market": terms.MONEY_MARKET_MINIMUM}
"""Kind of account → what the customer has to hold in all to open one."""


def get_routing_number(visit: Visit) -> ActionResult:
    return ActionResult("done", {"routing_number": terms.ROUTING_NUMBER})


def check_balance(visit: Visit) -> ActionResult:
    accounts, given = visit.open_accounts, visit.slots.get("account_number")
    if given:
        accounts = [account for account in accounts if given == account.kind or fits(account.number, given)]
    if not accounts:
        return ActionResult("not_found", {"account": _wanted(given)})
    balances = [f"{money(account.balance_cents)} in {account_name(account)}" for account in accounts]
    return ActionResult("done", {"balances": listing(balances)})


def transfer_money(visit: Visit) -> ActionResult:
    amount = visit.cents("transfer_amount")
    given_source, given_target = visit.slots.get("account_number"), visit.required("target_account_number")
    source = visit.account(given_source) if given_source else visit.checking
    if source is None:
        return ActionResult("source_not_found", {"account": _wanted(given_source)})
    target = _find_target(visit, given_target)
    if target is None:
        return ActionResult("target_not_found", {"target": _wanted(given_target)})
    # The kind of somebody else's account is no business of this customer.
    own = target.customer_id == visit.customer.id
    target_name = account_name(target) if own else masked("account", target.number)
    if source is target:
        return ActionResult("same_account", {"target": target_name})
    if source.closed_at:
        return ActionResult("account_not_open", {"account": account_name(source)})
    if target.closed_at:
        return ActionResult("account_not_open", {"account": target_name})
    asked, balance = {"amount": money(amount)}, source.balance_cents
    left_today = terms.DAILY_TRANSFER_LIMIT - _transferred_today(visit)
    if amount > left_today:
        limits = {"limit": money(terms.DAILY_TRANSFER_LIMIT), "left_today": money(left_today)}
        return ActionResult("limit_exceeded", {**asked, **limits})
    if amount > balance:
        return ActionResult("insufficient_funds", {**asked, "balance": money(balance)})
    reference = visit.reference("TR")
    visit.book(source, -amount, f"Transfer to {masked('account', target.number)}")
    visit.book(target, amount, f"Transfer from {masked('account', source.number)}")
    visit.session.add(
        Transfer(
            customer_id=visit.customer.id,
            source_id=source.id,
            target_id=target.id,
            amount_cents=amount,
            at=visit.now,
            reference=reference,
        )
    )
    moved = {**asked, "target": target_name, "balance": money(source.balance_cents)}
    return ActionResult("done", {**moved, "reference": reference})


def _wanted(given: str | None) -> str:
    """What was looked for in vain; a task that is given no account looks for one to take."""
    if given in KINDS:
        return f"one open {kind_name(given)} account"
    return masked("account", given) if given else "an open checking account"


def _find_target(visit: Visit, given: str) -> Account | None:
    """The last four digits are enough for own accounts and for payees of earlier transfers."""
    if own := visit.account(given):
        return own
    anywhere = select(Account).where(Account.number == given)
    payees = select(Account).where(
        Account.number.endswith(given, autoescape=True),
        Account.id.in_(select(Transfer.target_id).where(Transfer.customer_id == visit.customer.id)),
    )
    found = visit.session.scalars(payees if len(given) == 4 else anywhere).all()
    return found[0] if len(found) == 1 else None


def _transferred_today(visit: Visit) -> int:
    midnight = datetime.combine(visit.today, time(), UTC)
    total = select(func.sum(Transfer.amount_cents)).where(
        Transfer.customer_id == visit.customer.id, Transfer.at >= midnight
    )
    return int(visit.session.scalar(total) or 0)


def order_checks(visit: Visit) -> ActionResult:
    books, given = visit.count("check_quantity"), visit.slots.get("account_number")
    account = visit.account(given) if given else visit.checking
    if account is None:
        return ActionResult("not_found", {"account": _wanted(given)})
    if account.kind != "checking" or account.closed_at:
        return ActionResult("not_eligible", {"account": account_name(account)})
    if books > terms.CHECKBOOK_LIMIT:
        return ActionResult("limit_exceeded", {"quantity": str(books), "limit": str(terms.CHECKBOOK_LIMIT)})
    fee = books * terms.CHECKBOOK_FEE
    if fee > account.balance_cents:
        return ActionResult(
            "insufficient_funds", {"fee": money(fee), "balance": money(account.balance_cents)}
        )
    visit.book(account, -fee, "Checkbooks")
    visit.session.add(CheckOrder(account_id=account.id, books=books, ordered_at=visit.now))
    arrival = terms.add_business_days(visit.today, terms.CHECK_DELIVERY_DAYS)
    ordered = {"quantity": str(books), "account": account_name(account), "fee": money(fee)}
    return ActionResult(
        "done", {**ordered, "address": visit.customer.address, "arrival": f"by {day(arrival)}"}
    )


def close_account(visit: Visit) -> ActionResult:
    given = visit.required("account_number")
    account = visit.account(given)
    if account is None:
        return ActionResult("not_found", {"account": _wanted(given)})
    name = account_name(account)
    if account.closed_at:
        return ActionResult("already_closed", {"account": name, "closed_on": day(account.closed_at)})
    undecided = select(Dispute.reference).join(Transaction)
    undecided = undecided.where(Transaction.account_id == account.id, Dispute.decided_at.is_(None))
    if reference := visit.session.scalar(undecided.order_by(Dispute.id).limit(1)):
        return ActionResult("open_dispute", {"account": name, "reference": reference})
    if account.balance_cents:
        return ActionResult("balance_not_zero", {"account": name, "balance": money(account.balance_cents)})
    account.closed_at = visit.now
    return ActionResult("done", {"account": name, "reference": visit.reference("CL")})


def open_account(visit: Visit) -> ActionResult:
    kind, accounts = visit.choice("account_type", TO_OPEN), visit.open_accounts
    if len(accounts) >= terms.ACCOUNT_LIMIT:
        return ActionResult("limit_exceeded", {"limit": str(terms.ACCOUNT_LIMIT)})
    total = sum(account.balance_cents for account in accounts)
    if total < TO_OPEN[kind]:
        reason = (
            f"a {kind_name(kind)} account takes {money(TO_OPEN[kind])} in total across your accounts, "
            f"and you have {money(total)}"
        )
        return ActionResult("not_eligible", {"reason": reason})
    number = _new_number(visit)
    account = Account(number=number, kind=kind, balance_cents=0, opened_at=visit.now)
    visit.customer.accounts.append(account)
    opened = {"account_type": kind_name(kind), "account": account_name(account)}
    return ActionResult("done", {**opened, "reference": visit.reference("AC")})


def _new_number(visit: Visit) -> str:
    """The customer's own first six digits, then four that no account of theirs ends in."""
    taken = {account.number for account in visit.customer.accounts}
    prefix = min(taken)[:6]
    ending = int(hashlib.sha256(visit.key.encode()).hexdigest(), 16)
    while (number := f"{prefix}{ending % 10_000:04d}") in taken:
        ending += 1
    return number
