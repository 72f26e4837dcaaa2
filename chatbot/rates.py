"""How often somebody may come: so many requests in the last minute or other span, counted in this process."""

import time
from dataclasses import dataclass
from math import ceil

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter


class TooMany(Exception):
    """Somebody came too often; `seconds` from now there is room again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many requests; please wait {seconds} s.")
        self.seconds = seconds


@dataclass(frozen=True)
class RateConfig:
    """Each such as `120/minute`; empty for no limit."""

    visitor: str = "120/minute"
    key: str = "1200/minute"
    start: str = "300/minute"
    """New conversations from one address without a key; behind one address many people may sit."""


class Rates:
    def __init__(self, config: RateConfig | None = None) -> None:
        """Raises ValueError where a rate is none."""
        config = config or RateConfig()
        self._items: dict[str, RateLimitItem] = {
            kind: parse(rate) for kind, rate in vars(config).items() if rate
        }
        self._window = MovingWindowRateLimiter(MemoryStorage())

    def spend(self, kind: str, name: str) -> None:
        """Count one request of `name`, which is a visitor, a key or who starts. Raises TooMany."""
        item = self._items.get(kind)
        if item is None or self._window.hit(item, kind, name):
            return
        reset = self._window.get_window_stats(item, kind, name).reset_time
        raise TooMany(max(1, ceil(reset - time.time())))
