"""The Frobenius norm of a block of any magnitude: of 5e-324, whose square vanishes, and of 1.7e308, whose square overflows.

    ordinary    the root of the sum of the squares, which the verifier has anyway
    else        the same of the values times a power of two that brings the largest to between 1/2 and 1; then the inverse power

Powers of two multiply exactly. What becomes subnormal on its way down is below 2**-1021 of the largest, and nothing beside it.
"""

from collections.abc import Callable, Iterable
from math import frexp, inf, ldexp, sqrt

import torch

LEAST_SURE_SQUARE = 2.0**-900
"""From here on a sum of squares is known to more than any rounding: each that is lost or flushed is below 2**-1022."""

Pieces = Callable[[], Iterable[torch.Tensor]]
"""The parts of a block in float64, one after the other, from the first on; each may be overwritten."""


def is_sure(square: float) -> bool:
    """Whether a sum of squares is that of the values, up to rounding: neither so small that squares were lost, nor too large."""
    return LEAST_SURE_SQUARE <= square < inf


def norm_of(square: float, pieces: Pieces) -> float:
    """The norm of a block of which the sum of squares was found to be `square`; infinity or NaN where it holds one, or is no float64.

    `pieces` are asked only where the sum says too little.
    """
    if is_sure(square):
        return sqrt(square)
    largest = max(float(piece.abs_().max()) for piece in pieces())
    if not 0 < largest < inf:
        return largest
    exponent = frexp(largest)[1]
    scaled = sqrt(sum(float(times_power(piece, -exponent).square_().sum()) for piece in pieces()))
    try:
        return ldexp(scaled, exponent)
    except OverflowError:
        return inf


def times_power(values: torch.Tensor, exponent: int) -> torch.Tensor:
    """Values times 2**exponent, in place; in halves, since 2**1074 is no float64."""
    half = exponent // 2
    return values.mul_(ldexp(1.0, half)).mul_(ldexp(1.0, exponent - half))
