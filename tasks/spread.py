"""A mean over a few blocks of the product, and how far the whole may be from it: two-way delete-one jackknife.

    rows drawn   x x . x      each x a value of one block; what is left out (.) is not estimated from these
                 x x x .      without row i:  mean_i      variance of rows     (R - 1) / R  sum (mean_i - mean)**2
                 x . x x      the same without column j; both add up, since a block shares its row and its column with others

Both count for the part that was not seen: of rows that were all computed, none is uncertain. Blocks that were drawn from strata
vary less than this says, so an interval is rather too wide than too narrow; but nothing tells of what no block shows.
Efron and Stein, The jackknife estimate of variance, 1981; Owen, The pigeonhole bootstrap, 2007.
"""

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.8

_STUDENT = (inf, 3.08, 1.89, 1.64, 1.53, 1.48, 1.44, 1.42)
"""Quantiles of Student's t for this interval, by degrees of freedom."""

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A number of the whole product, told by a part of it."""

    expected: float
    low: float
    """Of the interval that holds the true number in four cases of five; minus infinity where one row of blocks tells no spread."""
    high: float

    def scaled(self, factor: float, plus: float = 0.0) -> "Estimate":
        """The same in another unit, and with a known number added; `factor` is not negative."""
        if factor == 0:
            return Estimate(plus, plus, plus)
        return Estimate(self.expected * factor + plus, self.low * factor + plus, self.high * factor + plus)

    def widened(self, share: float) -> "Estimate":
        """With a doubt of so much of `expected` that is independent of the spread."""
        below, above = (sqrt(side**2 + (share * self.expected) ** 2) for side in (self.expected - self.low, self.high - self.expected))
        return Estimate(self.expected, self.expected - below, self.expected + above)

    def within(self, least: float, most: float) -> "Estimate":
        """Cut to what is possible."""
        return Estimate(*(min(max(value, least), most) for value in (self.expected, self.low, self.high)))


def estimate(values: Numbers, counted: Flags, seen: tuple[float, float]) -> Estimate:
    """The mean of a number over the product, from that of each block; `seen` is the share of rows and of columns that were computed.

    Raises ValueError where no block counts.

    >>> estimate(np.array([[2.0, 4.0]]), np.array([[True, True]]), (1.0, 1.0))
    Estimate(expected=3.0, low=3.0, high=3.0)
    """
    if not counted.any():
        raise ValueError("no block counts")
    mean, variance, freedom = float(values[counted].mean()), 0.0, len(_STUDENT) - 1
    for axis, share in enumerate(seen):
        if share >= 1:
            continue
        without = _without_one(values, counted, axis)
        freedom = min(freedom, len(without) - 1)
        if len(without) > 1:
            variance += (1 - share) * (len(without) - 1) / len(without) * float(np.square(without - without.mean()).sum())
    if freedom < 1:
        return Estimate(mean, -inf, inf)
    doubt = _STUDENT[freedom] * sqrt(variance)
    return Estimate(mean, mean - doubt, mean + doubt)


def _without_one(values: Numbers, counted: Flags, axis: int) -> Numbers:
    """Means without one row (axis 0) or column of blocks, for each that has a block which counts and leaves one."""
    other = 1 - axis
    sums, counts = np.where(counted, values, 0.0).sum(other), counted.sum(other)
    left = counts.sum() - counts
    telling = (counts > 0) & (left > 0)
    return (sums.sum() - sums)[telling] / left[telling]
