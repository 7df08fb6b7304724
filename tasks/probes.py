"""Random probes: what they prove about a product that nobody computes twice.

For a tile C^ of op(A) op(B), with E its error, draw q columns G of independent standard normal numbers and compute

    R = C^ G - sum over k slabs of A_k (B_k G)        in float64, while the slabs are in memory anyway.

Up to the rounding of this very computation (`checking_roundoff`), R = E G, so for every row i and probe g

    R_ig ~ N(0, ||e_i||^2).

One more column of random signs S, the Rademacher probe, shows a single wrong element D whole: |e_i S| = |D| whatever the signs.
Of any row it is sub-Gaussian, P(|e_i S| > t ||e_i||) <= 2 exp(-t^2 / 2) as for a Gaussian column (Hoeffding 1963, theorem 2).

Three uses:

- *Is the tile right?* The certified bound gives ||e_i|| <= eps ||a_i|| ||B||_F. A sound tile exceeds the threshold
  tau_i = t eps ||a_i|| ||B||_F with t = sqrt(2 ln(2 N / delta)) in any of the run's N residuals, signs included, with
  probability at most delta (union bound over the tails, P(|z| > t) <= 2 exp(-t^2 / 2)).
- *How large is the error?* By the Gaussian columns alone, s^2 = ||R||_F^2 / q is unbiased for ||E||_F^2. Written with the
  eigenvalues w_i of E' E it is sum_i w_i chi2_q / q, and for x < 1, with W = sum w_i, Chernoff's bound gives

      P(s^2 <= x W) <= min over u of exp(u x) prod_i (1 + 2 u w_i / (q W))^(-q/2) <= (x exp(1 - x))^(q/2)

  because prod (1 + c w_i / W) >= 1 + c, whatever the eigenvalues. So ||E||_F <= s / sqrt(x) with confidence 1 - delta,
  where x exp(1 - x) = delta^(2/q): `inflation` is 1 / sqrt(x). The same holds for all tiles together, since tiles of one
  tile column share G and tile columns draw their own.
- *Does a row, or a tile, stand out from the others?* The largest sound error is far above the usual one. `tasks.tails` derives
  how far a row may stand out, `tasks.alarm` decides.
"""

import sys
from collections.abc import Iterable
from math import exp, frexp, inf, ldexp, log, prod, sqrt

SIGNS = 1
"""Probe columns of random signs, beside the Gaussian ones."""

CONFIDENCE = 0.999
"""Of the measured error bound, for the whole result."""

LEAST_NORM = 2.0**-511
"""Root of the smallest normal float64: the square of what is smaller may be lost."""

LARGEST = sys.float_info.max

LEAST_SAFE_NORM = 2.0**11 * LEAST_NORM
"""Operands whose norm is smaller have values whose squares are lost."""

FALSE_ALARM = 1e-9
"""Probability that any sound tile of a run is refused."""


def tail_factor(residuals: int, delta: float = FALSE_ALARM) -> float:
    """t such that none of `residuals` standard normal numbers exceeds it in absolute value, but for probability `delta`."""
    return sqrt(2 * log(2 * residuals / delta))


def inflation(probes: int, delta: float = 1 - CONFIDENCE) -> float:
    """Factor from the root mean square residual to an upper bound of ||E||_F with confidence 1 - delta.

    >>> round(inflation(8), 2), round(inflation(20), 2)
    (3.77, 2.01)
    """
    target = delta ** (2 / probes)
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if middle * exp(1 - middle) < target else (low, middle)
    return 1 / sqrt(high)


def scale_of(factors: tuple[float, float], norms: tuple[float, float, float]) -> float | None:
    """What the error is relative to, never too large; None where all of it is zero. `norms` are those of op(A), op(B) and C0.

    A norm whose square may have been lost counts nothing, so 0 says that nothing can be certified; what is too large counts as LARGEST.
    """
    parts = (abs(factors[0]), norms[0], norms[1]), (abs(factors[1]), norms[2])
    if all(0.0 in part for part in parts):
        return None
    return min(sum(product(part) for part in parts if min(part[1:]) >= LEAST_SAFE_NORM), LARGEST)


def product(factors: Iterable[float]) -> float:
    """The product of these, infinity where it is too large: nothing overflows or vanishes on the way.

    >>> product((1e300, 1e100, 1e-200)), product((1e-300, 1e-100, 1e200)), product((1e200, 1e200))
    (1e+200, 1e-200, inf)
    """
    mantissas, exponents = zip(*map(frexp, factors), strict=True)
    try:
        return ldexp(prod(mantissas), sum(exponents))
    except OverflowError:
        return inf


def error_bound(residual: float, scale: float, shape: tuple[int, int, int], certainty: tuple[int, float]) -> float:
    """||E||_F relative to `scale` is below this: inflation (residual + what rounding and lost squares in the check can hide).

    `residual` is the root mean square over the probes of the Frobenius norm of all residuals, `shape` how many rows have residuals,
    the depth and the columns of their sums, `certainty` the number of probes and the probability that it is wrong. A column of `cols`
    Gaussian numbers is longer than sqrt(cols) + 8 with probability exp(-32) = 1e-14 (concentration of a 1-Lipschitz function): nothing
    beside any doubt that is shared here.
    """
    rows, depth, cols = shape
    lost, hidden = sqrt(rows) * LEAST_NORM, checking_roundoff(depth, cols, sqrt(cols) + 8.0)
    return inflation(*certainty) * ((residual + lost) / scale + hidden)


def error_floor(residual: float, scale: float, shape: tuple[int, int, int], certainty: tuple[int, float]) -> float:
    """||E||_F relative to `scale` is above this, 0 where nothing is known; arguments as for `error_bound`.

    The upper tail of s^2 = sum_i w_i chi2_q / q, with W = sum w_i: for x > 1 and c = 1 - 1/x Chernoff's bound gives

        P(s^2 >= x W) <= exp(-c q x / 2) prod_i (1 - c w_i / W)^(-q/2) <= (x exp(1 - x))^(q/2)

    because prod (1 - c w_i / W) >= 1 - c, whatever the eigenvalues: the worst case is one alone. Lost squares only make
    `residual` smaller. A Gaussian column of `cols` numbers has a norm above sqrt(cols) + 8 with probability exp(-32) at most.
    """
    (_, depth, cols), (probes, doubt) = shape, certainty
    wanted = 1 - log(doubt) * 2 / probes
    x = 2 * wanted
    for _ in range(200):
        x = wanted + log(x)  # falls towards the solution of x exp(1 - x) = doubt^(2/q)
    return max(0.0, residual / scale - checking_roundoff(depth, cols, sqrt(cols) + 8.0)) / sqrt(x)


def checking_roundoff(depth: int, cols: int, probe_norm: float) -> float:
    """Largest rounding error of one residual of the check, relative to ||a_i|| ||B||_F.

    Sums of `depth` products of sums of `cols` products, in float64, for probe columns of norm at most `probe_norm`; the
    products with the stored tile add `cols` terms more (Higham, section 3.5).
    """
    return 1.1 * (depth + 2 * cols + 16) * 2.0**-53 * probe_norm


def checking_noise(depth: int, cols: int, accumulate: str) -> float:
    """What the check's own rounding usually leaves of a row, relative to ||a_i|| ||B||_F: not a bound, but a floor for comparisons.

    The sums of `checking_roundoff` with rounding errors that are independent of each other, so with the root of their number
    (Higham and Mary 2019). Where the product is accumulated in float64 its own error is no larger, and a tile shows the
    noise of its check by itself: there the floor is one rounding of an unstructured product, ||a_i|| ||B||_F / sqrt(depth).
    """
    return 2.0**-53 * (depth**-0.5 if accumulate == "float64" else (depth + 2 * cols + 16) ** 0.5)
