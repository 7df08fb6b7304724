"""One arithmetic, and the error that it certifies.

An arithmetic computes C = op(A) op(B) in three steps: inputs become one or more slices of a narrow type, products of slices are
summed by a library over blocks of k, and those sums are added up in an outer accumulator. Its bound says how far the result
can be from the exact product of the stored inputs, for every finite input:

    |C^ - C| <= eps |A| |B|  elementwise,  hence  ||C^ - C||_F <= eps ||A||_F ||B||_F,
    eps = (1 + dropped + size g) (1 + u_out) - 1

    dropped   what slices leave out of a b;  one slice: (1 + u_in)^2 - 1;  where lines are scaled, and with v what of a value may
              vanish relative to the largest of its line, each operand's share grows by 2 v sqrt(k) (Cauchy and Schwarz; normwise)
    size      sum of |a_i b_j| over the products taken, relative to |a b|;  one slice: (1 + u_in)^2
    g         (1 + gamma_b) (1 + u_block) (1 + gamma_t) - 1,  gamma_n = n u / (1 - n u): b terms are summed by the library, and the
              sums of t blocks are added up; where the library has no blocks, gamma_k alone

(N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 2.2 and 3.5: the bound of a sum holds for every
order of summation, so it does not matter how a library orders its loops.)

A bound relative to the norms cannot see underflow of what is not scaled, so each row also has an absolute term (see `underflow`).
This file has no torch: the planner asks it on machines that never multiply.
"""

from dataclasses import dataclass
from itertools import product
from math import ceil, expm1, inf, log1p, sqrt

from tasks.number_types import (
    HALF_SUBNORMAL,
    LARGEST_EXPONENT,
    NARROW,
    SIGNIFICAND_BITS,
    SMALLEST_NORMAL,
    UNIT_ROUNDOFF,
    bits,
    fits,
    is_integer,
    largest_sum,
    last_exact_integer,
    rounding,
    within,
)
from tasks.scaling import RANGES

QUANTIZED = 0.51 / 127
"""Largest error of int8 values that stand for reals, relative to the largest value of their line: half a step, and the rounding
of the scaling itself."""

OUT_OF_REACH = 2.0**-985
"""Values of float64 below this count as lost wherever lines are scaled: the power of two that would bring them into the range of int8 or
float16, or its inverse, is no float64, and their products with a line's factor are subnormal on the way (`tasks.product`)."""

LOWEST_FLOAT16 = -23
"""Exponent of the smallest float16, which bfloat16 takes unscaled."""

SHALLOWEST = 33
"""No plan has slabs of less depth, unless k is smaller."""


@dataclass(frozen=True)
class Arithmetic:
    """One rung of the ladder."""

    name: str
    """As the caller says it: ``--precision NAME``."""
    compute: str
    """Type of the slices that both operands are cut into."""
    accumulate: str
    """Type of the accumulator tile."""
    block_output: dict[str, str]
    """By device: the type in which the library returns the product of one block, before it is added to the accumulator."""
    inner: str = "float32"
    """Type in which the library sums a block."""
    slices: int = 1
    """Slices of each operand: the value, what is left of it, and so on."""
    taken: tuple[tuple[int, int], ...] = ((0, 0),)
    """Which slices of A and of B are multiplied with each other."""
    block: int | None = None
    """Most products that the library sums at a time; None where it adds to the accumulator itself."""
    truncates_on: tuple[str, ...] = ()
    """Devices whose matrix units truncate while they accumulate, which doubles the unit roundoff."""
    why: str = ""
    """One line for people."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Devices that have this row."""
        return tuple(self.block_output)

    @property
    def stored_as(self) -> str:
        """Type that holds a slice in memory."""
        return "float32" if self.compute == "tf32" else self.compute

    def converts(self, source: str) -> bool:
        """Whether values of this type are converted before they are multiplied."""
        return self.stored_as != source

    def scales(self, source: str) -> bool:
        """Whether values of this type need powers of two to stay within the range of the slices."""
        return self.converts(source) and self.compute in RANGES and not within(source, self.compute)

    def keeps(self, source: str) -> bool:
        """Whether the slices together hold every significand of this type."""
        return bits(source) <= self.slices * SIGNIFICAND_BITS[self.compute]

    def bound(self, k: int, inputs: tuple[str, str], output: str, device: str = "cpu", epilogue: bool = False) -> float:
        """Certified eps for inner dimension `k`, input types, stored type; infinity where the formula has no meaning.

        `inputs` and `output` are numpy type names; `epilogue` counts the roundings of alpha, beta and C0.
        """
        dropped, size = self._slicing(k, inputs)
        return _together(dropped + size * self._summing(k, device, 3 if epilogue else 0), rounding(self.accumulate, output))

    def underflow(
        self, shape: tuple[int, int, int], norms: tuple[float, float], output: str, factors: tuple[float, float] = (1.0, 0.0)
    ) -> float:
        """Absolute Frobenius error that underflow can add to alpha A B + beta C0, for an m x k by k x n product.

        `norms` are those of A and B, `factors` alpha and beta. Inputs below the smallest normal number of `compute` count as
        lost, and so does every product or sum below that of `accumulate`, since some kernels flush them to zero: each such
        loss leaves one term less to sum, so there are at most k for each product of slices. Where lines are scaled, what is lost of
        operands is relative to them, and is in the bound; what is lost of products is here (`_scaled_losses`). The stored value
        underflows gradually. What is lost is rounded again on its way: the factor 2 covers that for any eps up to 1, and above
        that a bound says nothing.
        """
        (m, k, n), (alpha, beta) = shape, factors
        tiny = SMALLEST_NORMAL[self.accumulate]
        small = OUT_OF_REACH if self.compute in NARROW else SMALLEST_NORMAL.get(self.compute, OUT_OF_REACH)
        inputs = small * (sqrt(m * k) * norms[1] + sqrt(k * n) * norms[0])
        epilogue = 0.0 if factors == (1.0, 0.0) else (3 + abs(beta)) * tiny
        sums = len(self.taken) * k * SMALLEST_NORMAL.get(self.inner, 0.0)
        elements = 2 * (abs(alpha) * max(sums, k * tiny) + epilogue) + HALF_SUBNORMAL.get(output, 0.0)
        return 2 * abs(alpha) * (self.slices * inputs + sums * self._scaled_losses((m, n), norms)) + elements * sqrt(m * n)

    def exact_for(self, k: int, inputs: tuple[str, str], device: str = "cpu") -> bool:
        """Whether every product of integer inputs of these types is exact: no partial sum can leave the exact integers."""
        if self.slices > 1 or not all(is_integer(name) and fits(name, self.compute) for name in inputs):
            return False
        largest = largest_sum(1, inputs)
        inside = min(last_exact_integer(self.inner), last_exact_integer(self.block_output[device]))
        return min(k, self.block or k) * largest <= inside and k * largest <= last_exact_integer(self.accumulate)

    def may_overflow(self, k: int, inputs: tuple[str, str]) -> bool:
        """Whether integers of these types may leave its range, by what the types hold alone; a power of two is left for rounding."""
        if not all(map(is_integer, inputs)):
            return False
        blocks = [] if self.compute == "int8" or any(map(self.scales, inputs)) else [(self.inner, min(k, self.block or k))]
        return any(
            largest_sum(depth, inputs) >= 2 ** LARGEST_EXPONENT[held]
            for held, depth in [*blocks, (self.accumulate, k)]
            if held in LARGEST_EXPONENT
        )

    def _vanishing(self, source: str, k: int) -> float:
        """What is lost of scaled lines that are too wide for the type, relative to their norms."""
        if not self.scales(source):
            return 0.0
        return 2 * self.slices * SMALLEST_NORMAL[self.compute] * 2.0 ** (1 - RANGES[self.compute].least) * sqrt(k)

    def _scaled_losses(self, lines: tuple[int, int], norms: tuple[float, float]) -> float:
        """What lost products come to, root of the summed squares, if each element has one of size 1 and operands are scaled.

        In narrow types both operands of a slab are scaled, or lie where nothing needs to be, so each has a norm of 2**(low - 1)
        at least, alone or line by line, and what is lost is relative to both. In float32 one may be float32 and as small as any, so
        it is relative to the other: a line whose largest value x is below 2**e loses units of 2**(e + alike), or 2**(alike + 1) |x|.
        """
        if self.compute not in RANGES:
            return 0.0
        (m, n), (norm_a, norm_b), allowed = lines, norms, RANGES[self.compute]
        if self.compute in NARROW:
            low = min(allowed.window[0], allowed.goal, LOWEST_FLOAT16)
            return 4.0 ** (1 - low) * sqrt(m * n) * norm_a * norm_b
        return 2.0 ** (allowed.alike + 1) * (sqrt(n) * norm_a + sqrt(m) * norm_b)

    def _slicing(self, k: int, inputs: tuple[str, str]) -> tuple[float, float]:
        """`dropped` and `size`."""
        if self.slices == 1:
            dropped = _together(*(self._converting(name, k) + self._vanishing(name, k) for name in inputs))
            return dropped, 1 + dropped
        unit = UNIT_ROUNDOFF[self.compute]
        sizes = [(1 + unit) * unit**place for place in range(self.slices)]
        left = [self._left(name) + self._vanishing(name, k) for name in inputs]
        every = product(range(self.slices), repeat=2)
        omitted = sum(sizes[i] * sizes[j] for i, j in every if (i, j) not in self.taken)
        return omitted + _together(*left), sum(sizes[i] * sizes[j] for i, j in self.taken)

    def _left(self, source: str) -> float:
        """What all slices together leave out."""
        return 0.0 if self.keeps(source) else UNIT_ROUNDOFF[self.compute] ** self.slices

    def _converting(self, source: str, k: int) -> float:
        if self.compute != "int8":
            return rounding(source, self.compute)
        return 0.0 if fits(source, "int8") else QUANTIZED * sqrt(k)

    def _summing(self, k: int, device: str, more: int) -> float:
        """`g`; of blocks as deep as they may be, or as shallow as slabs are, whichever is worse: between them it is less (convex)."""
        rounds = rounding(self.inner, self.block_output[device])
        unit = UNIT_ROUNDOFF.get(self.inner, 0.0) * (2 if device in self.truncates_on else 1)
        if self.block is None:
            return _together(_gamma(k + more, unit), rounds)
        depths, outer = {min(k, self.block), min(k, SHALLOWEST)}, UNIT_ROUNDOFF[self.accumulate]
        sums = {depth: len(self.taken) * (2 * ceil(k / depth) + 1) + more for depth in depths}  # a slab may end in a part of a block
        return max(_together(_gamma(depth, unit), rounds, _gamma(sums[depth], outer)) for depth in depths)


def _together(*increments: float) -> float:
    """(1 + x) (1 + y) ... - 1."""
    return expm1(sum(log1p(increment) for increment in increments))


def _gamma(terms: int, unit: float) -> float:
    return terms * unit / (1 - terms * unit) if terms * unit < 1 else inf
