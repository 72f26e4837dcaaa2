"""The bank's terms: every limit, fee and time that its tasks keep. Money is in cents.

Those that customers can ask about stand in facts.yaml too; a test holds the two together.
"""

from datetime import date, timedelta

ROUTING_NUMBER = "021307553"

FAILED_VERIFICATIONS = 5
LOCK_TIME = timedelta(minutes=15)

DAILY_TRANSFER_LIMIT = 5_000_00
ACCOUNT_LIMIT = 5
MONEY_MARKET_MINIMUM = 2_500_00

CHECKBOOK_FEE = 12_00
CHECKBOOK_LIMIT = 10
CHECK_DELIVERY_DAYS = 10

REPLACEMENT_FEES = {"expired": 0, "damaged": 7_50, "name_change": 7_50, "lost": 0}
REORDER_TIME = timedelta(days=14)
CARD_DELIVERY_DAYS = 7

DISPUTE_WINDOW_DAYS = 60
DISPUTE_DECISION_DAYS = 10

CASH_BACK_MINIMUM = 500_00
SAVINGS_BONUS_MINIMUM = 1_000_00
BALANCE_TRANSFER_AGE_DAYS = 180
LOWER_RATE_AGE_DAYS = 365


def add_business_days(day: date, count: int) -> date:
    """The `count`-th weekday after `day`; holidays are not known here."""
    while count:
        day += timedelta(days=1)
        count -= day.weekday() < 5
    return day
