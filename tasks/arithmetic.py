"""The ladder of arithmetics and the error that each one certifies.

One row is one way to compute C = op(A) op(B): inputs are rounded to `compute`, products are summed in `accumulate`,
and the bound says how far the result can be from the exact product of the stored inputs, for every finite input:

    |C^ - C| <= eps |A| |B|  elementwise,  hence  ||C^ - C||_F <= eps ||A||_F ||B||_F,
    eps = (1 + u_in)^2 (1 + gamma_k) (1 + u_slab) (1 + u_out) - 1,   gamma_k = k u / (1 - k u)

(N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sections 2.2 and 3.5: the bound of a sum holds
for every order of summation, so it does not matter how a library blocks its loops.)

A bound relative to the norms cannot see underflow, so each row also has an absolute term (see `underflow`).
This file has no torch: the planner asks it on machines that never multiply.
"""

from dataclasses import dataclass
from math import expm1, inf, log1p, sqrt

import numpy as np

UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Half the distance from 1 to the next number: the largest relative error of rounding to nearest."""

SMALLEST_NORMAL = {"float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-14, "bfloat16": 2.0**-126}
"""What is smaller may be flushed to zero by some kernel, so the underflow term counts it as lost."""

HALF_SUBNORMAL = {"float64": 2.0**-1074, "float32": 2.0**-150, "float16": 2.0**-25}
"""Largest absolute error of rounding a tiny value to nearest with gradual underflow."""

SIGNIFICAND_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
"""Integers up to 2**bits are exact."""


@dataclass(frozen=True)
class Arithmetic:
    """One rung of the ladder."""

    name: str
    """As the caller says it: ``--precision NAME``."""
    compute: str
    """Type that both operands are rounded to."""
    accumulate: str
    """Type of the accumulator tile."""
    slab_output: dict[str, str]
    """By device: the type in which the library returns one slab's product before it is added to the accumulator."""
    truncates_on: tuple[str, ...] = ()
    """Devices whose matrix units truncate while they accumulate, which doubles the unit roundoff."""
    why: str = ""
    """One line for people."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Devices that have this row."""
        return tuple(self.slab_output)

    def bound(self, k: int, inputs: tuple[str, str], output: str, device: str = "cpu", epilogue: bool = False) -> float:
        """Certified eps for inner dimension `k`, input types, stored type; infinity where the formula has no meaning.

        `inputs` and `output` are numpy type names; `epilogue` counts the roundings of alpha, beta and C0.
        """
        increments = (
            rounding(inputs[0], self.compute),
            rounding(inputs[1], self.compute),
            self._gamma(k + (3 if epilogue else 0), device),
            rounding(self.accumulate, self.slab_output[device]),
            rounding(self.accumulate, output),
        )
        return expm1(sum(log1p(increment) for increment in increments))

    def underflow(
        self, shape: tuple[int, int, int], norms: tuple[float, float], output: str, factors: tuple[float, float] = (1.0, 0.0)
    ) -> float:
        """Absolute Frobenius error that underflow can add to alpha A B + beta C0, for an m x k by k x n product.

        `norms` are those of A and B, `factors` alpha and beta. Inputs below the smallest normal number of `compute` count as
        lost, and so does every product or sum below that of `accumulate`, since some kernels flush them to zero: each such
        loss leaves one term less to sum, so there are at most k. The stored value underflows gradually. What is lost is
        rounded again on its way: the factor 2 covers that for any eps up to 1, and above that a bound says nothing.
        """
        (m, k, n), (alpha, beta) = shape, factors
        tiny = SMALLEST_NORMAL[self.accumulate]
        inputs = SMALLEST_NORMAL[self.compute] * (sqrt(m * k) * norms[1] + sqrt(k * n) * norms[0])
        epilogue = 0.0 if factors == (1.0, 0.0) else (3 + abs(beta)) * tiny
        elements = 2 * (k * abs(alpha) * tiny + epilogue) + HALF_SUBNORMAL.get(output, 0.0)
        return 2 * abs(alpha) * inputs + elements * sqrt(m * n)

    def exact_for(self, k: int, inputs: tuple[str, str], device: str = "cpu") -> bool:
        """Whether every product of integer inputs of these types is exact: no partial sum can leave the exact integers."""
        if not all(np.dtype(name).kind in "iu" for name in inputs):
            return False
        bits = min(SIGNIFICAND_BITS[self.accumulate], SIGNIFICAND_BITS[self.slab_output[device]])
        fits = all(rounding(name, self.compute) == 0 for name in inputs)
        return fits and k * largest_magnitude(inputs[0]) * largest_magnitude(inputs[1]) <= 2**bits

    def _gamma(self, terms: int, device: str) -> float:
        unit = UNIT_ROUNDOFF[self.accumulate] * (2 if device in self.truncates_on else 1)
        return terms * unit / (1 - terms * unit) if terms * unit < 1 else inf


def largest_magnitude(dtype: str) -> int:
    """Largest absolute value of an integer type.

    >>> largest_magnitude("int8"), largest_magnitude("uint8")
    (128, 255)
    """
    info = np.iinfo(dtype)
    return max(-int(info.min), int(info.max))


def rounding(source: str, target: str) -> float:
    """Unit roundoff of converting a value of type `source` to `target`; 0 where every value survives.

    >>> rounding("float16", "float32"), rounding("int16", "float32"), rounding("float32", "bfloat16") == 2.0**-8
    (0.0, 0.0, True)
    """
    if target not in UNIT_ROUNDOFF:
        return 0.0
    return UNIT_ROUNDOFF[target] if _bits(source) > SIGNIFICAND_BITS[target] else 0.0


def _bits(dtype: str) -> int:
    if dtype in SIGNIFICAND_BITS:
        return SIGNIFICAND_BITS[dtype]
    return (largest_magnitude(dtype)).bit_length() - (0 if dtype.startswith("u") else 1)


ARITHMETICS: dict[str, Arithmetic] = {
    row.name: row
    for row in (
        Arithmetic(
            "bfloat16",
            compute="bfloat16",
            accumulate="float32",
            slab_output={"cpu": "bfloat16", "cuda": "float32"},
            truncates_on=("cuda",),
            why="8 significant bits, float32 range; on CPU each slab's product is rounded to bfloat16 once more",
        ),
        Arithmetic(
            "float32",
            compute="float32",
            accumulate="float32",
            slab_output={"cpu": "float32", "cuda": "float32"},
            why="IEEE single precision, TF32 off",
        ),
        Arithmetic(
            "float64",
            compute="float64",
            accumulate="float64",
            slab_output={"cpu": "float64", "cuda": "float64"},
            why="IEEE double precision",
        ),
    )
}
"""The ladder, cheapest kind first; a near-tie in time goes to the earlier row."""
