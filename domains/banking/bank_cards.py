"""What the bank does about cards and what was paid with them."""

from datetime import date, datetime, time

from sqlalchemy import func, select

from domains.backend import ActionResult
from domains.banking import bank_terms as terms
from domains.banking.bank_display import day, masked, money
from domains.banking.bank_tables import Account, Card, CardOrder, Dispute, LostCardReport, Transaction
from domains.banking.bank_visit import Visit, fits


def report_lost_card(visit: Visit) -> ActionResult:
    given = visit.required("card_number")
    card, name = visit.card(given), masked("card", given)
    if card is None:
        return ActionResult("not_found", {"card": name})
    if card.blocked_at:
        return ActionResult("already_blocked", {"card": name, "blocked_on": day(card.blocked_at)})
    card.blocked_at = visit.now
    reference = visit.reference("LC")
    visit.session.add(
        LostCardReport(
            card_id=card.id,
            last_used_on=_last_used(visit, card),
            last_used_time=visit.slots.get("last_used_time"),
            police_notified=visit.slots.get("police_notified"),
            reference=reference,
            reported_at=visit.now,
        )
    )
    return ActionResult("done", {"card": name, "reference": reference})


def _last_used(visit: Visit, card: Card) -> date:
    """The day the customer says; who does not know used it last for what it last paid."""
    if "last_used_date" in visit.slots:
        return visit.date("last_used_date")
    paid = select(func.max(Transaction.at)).where(Transaction.card_id == card.id)
    last: datetime | None = visit.session.scalar(paid)
    return last.date() if last else visit.today


def replace_card(visit: Visit) -> ActionResult:
    given, reason = visit.required("card_number"), visit.choice("replacement_reason", terms.REPLACEMENT_FEES)
    card, name = visit.card(given), masked("card", given)
    if card is None:
        return ActionResult("not_found", {"card": name})
    if reason == "lost" and not card.blocked_at:
        return ActionResult("lost_card", {"card": name})
    recent = select(CardOrder.ordered_at).where(
        CardOrder.card_id == card.id, CardOrder.ordered_at > visit.now - terms.REORDER_TIME
    )
    if ordered_at := visit.session.scalar(recent.limit(1)):
        return ActionResult("already_ordered", {"card": name, "ordered_on": day(ordered_at)})
    fee, payer = terms.REPLACEMENT_FEES[reason], visit.checking
    balance = payer.balance_cents if payer else 0
    if fee > balance:
        return ActionResult("insufficient_funds", {"fee": money(fee), "balance": money(balance)})
    if payer and fee:
        visit.book(payer, -fee, "Card replacement")
    visit.session.add(CardOrder(card_id=card.id, reason=reason, ordered_at=visit.now))
    arrival = terms.add_business_days(visit.today, terms.CARD_DELIVERY_DAYS)
    sent = {"card": name, "address": visit.customer.address, "arrival": f"by {day(arrival)}"}
    return ActionResult("done", {**sent, "fee": money(fee)})


def dispute_charge(visit: Visit) -> ActionResult:
    amount, on = visit.cents("charge_amount"), visit.date("charge_date")
    charge = _find_charge(visit, amount, on)
    if charge is None:
        return ActionResult("not_found", {"amount": money(amount), "date": day(on)})
    charged_on = charge.at.date()
    found = {"amount": money(amount), "merchant": charge.description}
    if charge.dispute:
        return ActionResult("already_disputed", {**found, "reference": charge.dispute.reference})
    if (visit.today - charged_on).days > terms.DISPUTE_WINDOW_DAYS:
        window = f"{terms.DISPUTE_WINDOW_DAYS} days"
        return ActionResult("too_old", {"amount": money(amount), "date": day(charged_on), "window": window})
    reference = visit.reference("DP")
    charge.dispute = Dispute(reference=reference, opened_at=visit.now)
    decision = terms.add_business_days(visit.today, terms.DISPUTE_DECISION_DAYS)
    filed = {"date": day(charged_on), "reference": reference, "decision_by": day(decision)}
    return ActionResult("done", {**found, **filed})


def _find_charge(visit: Visit, amount: int, on: date) -> Transaction | None:
    """The charge of exactly that amount, at most a day away, that fits best what else was said."""
    charges = select(Transaction).join(Transaction.account)
    charges = charges.where(Account.customer_id == visit.customer.id, Transaction.card_id.is_not(None))
    candidates = [
        charge
        for charge in visit.session.scalars(charges.order_by(Transaction.id))
        if charge.amount_cents == -amount and abs((charge.at.date() - on).days) <= 1
    ]
    given_card, clock = visit.slots.get("card_number"), visit.slots.get("charge_time")
    moment = datetime.combine(on, time.fromisoformat(clock)) if clock else None

    def misfit(charge: Transaction) -> tuple[bool, int, bool, float]:
        other_card = bool(given_card and charge.card and not fits(charge.card.number, given_card))
        days = abs((charge.at.date() - on).days)
        seconds = abs((charge.at.replace(tzinfo=None) - moment).total_seconds()) if moment else 0.0
        return other_card, days, charge.dispute is not None, seconds

    return min(candidates, key=misfit, default=None)
