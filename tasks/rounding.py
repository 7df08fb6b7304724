"""Lossy storage within the error budget: which part of it storage gets, and what that may be spent on.

    asked        |------------------------------------------------------|
    arithmetic   |-------------|                                           certified, rounding to the stored type included
    storage                    |-------------------------------------|     its share: what is left, but for MARGIN of it
    margin                                                           |--|  underflow, which only measured norms can weigh

Row i of a tile is rounded to whole multiples of one power of two,

    step_i <= 2 share w_i / sqrt(cols),    w_i = |alpha| ||a_i|| ||B_j||_F + |beta| ||c0_i||

so no value moves by more than half a step and no row by more than share w_i; squared and summed over all rows and tiles that
is at most share (|alpha| ||A||_F ||B||_F + |beta| ||C0||_F) (Minkowski). The product is far smaller than the norms of its
factors (by sqrt k for random ones), so such a step drops many more bits than a relative rounding with the same bound would.
It must not drop them all: where the share would let every value become zero, `COARSEST` of the row's own size limits the step.
What rounding really did is measured, row by row, and only that enters the certificate. `tasks.snapping` does the work.
"""

from dataclasses import dataclass
from math import ldexp
from typing import Literal

RoundingMode = Literal["no", "auto"]

MARGIN = 1 / 64
"""Part of what the arithmetic leaves that storage does not get."""

COARSEST = 1 / 8
"""Largest step over the root mean square of the row's values in the tile: no value moves by more than half of that."""

EXACT = "none: the product is exact and stays so"
NOTHING_LEFT = "none: the arithmetic needs all of the error accepted"


@dataclass(frozen=True)
class Rounding:
    """What a plan decides about rounding before storage."""

    mode: RoundingMode = "no"
    """As asked."""
    share: float = 0.0
    """Normwise error that storage may add; 0 where nothing is rounded."""
    why: str = ""
    """Why nothing is rounded although it was asked for; empty otherwise."""


@dataclass(frozen=True)
class Rounded:
    """What rounding did to a product."""

    mode: RoundingMode = "no"
    share: float = 0.0
    """What it was allowed, relative to the norm of the certificate."""
    measured: float = 0.0
    """What it did, in the same norm: computed from every value, not estimated."""
    largest_step: float = 0.0
    """A power of two; 0 where nothing was rounded."""
    why: str = ""
    """Why nothing was rounded although it was asked for."""


NOT_ROUNDED = Rounding()
NEVER_ROUNDED = Rounded()


def choose_rounding(mode: RoundingMode, asked: float, certified: float, exact: bool) -> Rounding:
    """Storage's share of the error `asked`, of which the arithmetic takes `certified`; exact products are never rounded.

    >>> choose_rounding("auto", 2.0**-10, 2.0**-11, exact=False).share == 63 / 64 * 2.0**-11
    True
    >>> choose_rounding("auto", 1e-3, 0.0, exact=True).why
    'none: the product is exact and stays so'
    """
    if mode == "no" or exact:
        return Rounding(mode, why=EXACT if mode != "no" else "")
    share = (1 - MARGIN) * (asked - certified)
    return Rounding(mode, share) if share > 0 and certified + share < asked else Rounding(mode, why=NOTHING_LEFT)


def step_of(exponent: int | None) -> float:
    """The step with this exponent; 0 for None.

    >>> step_of(-3), step_of(None)
    (0.125, 0.0)
    """
    return 0.0 if exponent is None else ldexp(1.0, exponent)
