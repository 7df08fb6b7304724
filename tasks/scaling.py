"""Powers of two that keep operands within the range of a narrow type: decided from the largest value of each line, in integers.

A line is a row of op(A) or a column of op(B); its exponent e says that its largest magnitude lies in [2**(e - 1), 2**e).
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """What a type takes without loss that a bound would notice."""

    spread: int
    """Lines whose exponents differ by no more need no power of two of their own while none is scaled."""
    alike: int
    """Lines whose exponents differ by no more are multiplied with one power of two, if any."""
    window: tuple[int, int]
    """The largest exponent for which nothing is scaled lies between these."""
    goal: int
    """The largest exponent after scaling: products of two such values, and sums of them, stay far from overflow in float32."""

    @property
    def least(self) -> int:
        """Exponent below which the largest value of no line lies, scaled or not."""
        return min(self.window[0], self.goal) - self.spread


RANGES = {
    "bfloat16": Range(spread=40, alike=40, window=(-24, 40), goal=0),
    "float32": Range(spread=40, alike=1, window=(-40, 40), goal=0),
    "tf32": Range(spread=40, alike=1, window=(-40, 40), goal=0),
    "float16": Range(spread=3, alike=3, window=(15, 15), goal=15),
}
"""float32 beside a float64 operand is multiplied as it is: a line that a common power of two had made small would meet numbers that
may be as small as any, and their products would be lost."""


def common_shift(exponents: Sequence[int], compute: str) -> int | None:
    """The power of two that all lines are multiplied with; None where each line needs its own. Lines of zeros are left out.

    >>> common_shift([3, 2], "bfloat16"), common_shift([3, 2], "float16"), common_shift([3, -90], "bfloat16"), common_shift([], "float16")
    (0, 12, None, 0)
    """
    if not exponents:
        return 0
    allowed, highest, lowest = RANGES[compute], max(exponents), min(exponents)
    if allowed.window[0] <= highest <= allowed.window[1]:
        return 0 if highest - lowest <= allowed.spread else None
    return allowed.goal - highest if highest - lowest <= allowed.alike else None
