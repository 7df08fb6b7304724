"""A predicted quantity with its 80 % interval, and what it rests on."""

from dataclasses import dataclass
from math import isfinite

from tasks.errors import BadInput

GROUNDS = ("stated", "measured", "efficiency", "prior", "assumed", "peak")
"""What a figure may rest on, the surest first: somebody said it, it was measured here, the efficiency of this device was measured
elsewhere, only that of other devices was, it is assumed, or all that is known is that it cannot be less."""


@dataclass(frozen=True)
class Span:
    """Seconds, or dollars: four of five fall between `low` and `high`."""

    expected: float
    low: float
    high: float
    """Infinity where only a lower bound is known."""
    how: str = "measured"
    """One of GROUNDS."""

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.expected <= self.high or not isfinite(self.expected):
            raise BadInput(f"{self.low:g} to {self.high:g} around {self.expected:g} is no interval of something that takes time")
        if self.how not in GROUNDS:
            raise BadInput(f"{self.how} is nothing that a prediction rests on: one of {', '.join(GROUNDS)}")

    @staticmethod
    def sure(value: float) -> "Span":
        """A value without doubt."""
        return Span(value, value, value, "stated")


def add(*parts: Span) -> Span:
    """One after another. What is wrong with one is taken to be wrong with all, since they ran on one device: their ends add up.

    >>> add(Span(2, 1, 4, "measured"), Span(3, 3, 3, "prior"))
    Span(expected=5, low=4, high=7, how='prior')
    """
    return Span(sum(part.expected for part in parts), sum(part.low for part in parts), sum(part.high for part in parts), least_sure(parts))


def scale(part: Span, factor: float) -> Span:
    """So many times as much."""
    return Span(part.expected * factor, part.low * factor, part.high * factor, part.how)


def slowest(*parts: Span) -> Span:
    """At the same time: the longest. It rests on what the longest one rests on."""
    longest = max(parts, key=lambda part: part.expected)
    return Span(longest.expected, max(part.low for part in parts), max(part.high for part in parts), longest.how)


def least_sure(parts: tuple[Span, ...]) -> str:
    """What the weakest of them rests on."""
    return max((part.how for part in parts), key=GROUNDS.index, default="stated")
