"""What an hour of a device costs: dated, since prices move and differ between providers by a factor of two."""

import datetime
from dataclasses import dataclass
from math import isfinite

from tasks.errors import BadInput

STALE_DAYS = 90
"""A price older than this says so."""


@dataclass(frozen=True)
class Price:
    """An offer."""

    usd_per_hour: float
    """Of one device."""
    devices_per_instance: int = 1
    """Rented together or not at all."""
    instance: str = ""
    provider: str = ""
    region: str = ""
    date: str = ""
    """When it was read, as YYYY-MM-DD; empty where nobody said."""
    source: str = ""

    def __post_init__(self) -> None:
        if not (isfinite(self.usd_per_hour) and 0 <= self.usd_per_hour < 10_000):
            raise BadInput(f"{self.usd_per_hour:g} dollars an hour for one device is no price: write one from 0 to 10000")
        if not 1 <= self.devices_per_instance <= 4096:
            raise BadInput(f"an instance of {self.devices_per_instance} devices is none: write a number from 1 to 4096")
        if self.date:
            _day(self.date)

    def age(self, today: datetime.date) -> int | None:
        """Days since it was read; None where nobody said when."""
        return (today - _day(self.date)).days if self.date else None

    def doubts(self, today: datetime.date) -> str:
        """What is to be said beside a figure that rests on it; empty where it is fresh.

        >>> Price(6.88, date="2026-07-20").doubts(datetime.date(2026, 11, 26))
        'the price is of 2026-07-20, 129 days old: check it'
        """
        age = self.age(today)
        if age is None:
            return "the price has no date: check it"
        if age < 0:
            return f"the price is of {self.date}, which is {-age} days ahead: check it"
        return f"the price is of {self.date}, {age} days old: check it" if age > STALE_DAYS else ""


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{text} is no date: write it as 2026-07-20") from None
