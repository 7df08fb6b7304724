"""Tails of the distributions that probes follow, and the limits that they give: how far a row may stand out from the others.

The error of a row is e_i, its norm in a clean tile rho. Of q Gaussian probes and one of random signs a row shows

    t_i = sqrt(mean of (e_i g)^2)  ~  ||e_i|| sqrt(chi2_q / q)                       (Ji, Mascagni and Li, arXiv 1705.10449)
    s_i = |e_i s|,   P(s_i > x ||e_i||) <= 2 exp(-x^2 / 2)                           (Hoeffding 1963, theorem 2)

and Y, the median of all t_i over rho, is what a row is compared with. With H = sqrt(1 - delta^(2/n)), the median of n independent
values is above their own quantile of tail (1 - H) / 2, or below that of tail (1 + H) / 2, with probability at most delta each:
then half of n events of probability p < 1/2 happened, and Chernoff's bound gives (4 p (1 - p))^(n/2) for that.

- `row_limit` T. An error above 20 rho leaves ||e_i|| >= 19 rho whatever the rounding in that row. With L the quantile that chi2_q
  misses with probability 9e-4 and U that which Y exceeds with probability 1e-4, T = 19 sqrt(L / q) / U: t_i > T Y with probability
  at least 0.999. For few rows U is far larger than need be, and T smaller: it is the catch that is promised there, not the silence.
- `single_limit` T1. One wrong element shows whole in s_i, rounding takes x rho from it at most: T1 = (20 - x) / U, with x and U
  each exceeded with probability 5e-10.
- `false_alarms` adds, for rows between rho and `spread` rho, what lies above these limits: rows times both tails at the least that Y
  can be, and the probability that it is less.
"""

from functools import lru_cache
from math import erfc, exp, gamma, lgamma, log, sqrt

from tasks.probes import tail_factor

REACH = 20.0
"""Errors above this many times rho are what the limits are made for."""

MISSED = 1e-3
"""Probability that an error above `REACH` rho in one row stays within `row_limit`."""

MISSED_ELEMENT = 1e-9
"""The same of one wrong element and `single_limit`: as good as never."""

_MEDIAN_SHARE = 0.1
"""Part of MISSED that is left to the median."""


def chi_square_tail(x: float, degrees: int) -> float:
    """P(chi2 > x), by Q(a + 1, y) = Q(a, y) + y^a exp(-y) / Gamma(a + 1) (DLMF 8.8.6) from Q(1, y) or Q(1/2, y).

    >>> round(chi_square_tail(18.307, 10), 4)
    0.05
    """
    if x <= 0:
        return 1.0
    y, a = x / 2, 1.0 if degrees % 2 == 0 else 0.5
    tail = exp(-y) if degrees % 2 == 0 else erfc(sqrt(y))
    while a < degrees / 2:
        tail += exp(a * log(y) - y - lgamma(a + 1)) if y > 1 else y**a * exp(-y) / gamma(a + 1)
        a += 1
    return min(1.0, tail)


@lru_cache(maxsize=256)
def chi_square_point(tail: float, degrees: int) -> float:
    """x with P(chi2 > x) = `tail`.

    >>> round(chi_square_point(0.05, 10), 3)
    18.307
    """
    low, high = 0.0, float(degrees)
    while chi_square_tail(high, degrees) > tail:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if chi_square_tail(middle, degrees) > tail else (low, middle)
    return high


def median_range(rows: int, probes: int, delta: float) -> tuple[float, float]:
    """What the median of `rows` independent sqrt(chi2 / q) falls below, and above, with probability at most `delta` each."""
    half = sqrt(1 - delta ** (2 / max(1, rows)))
    beyond = delta ** (2 / max(1, rows)) / (1 + half) / 2  # (1 - half) / 2 without its cancellation
    return _root(1 - beyond, probes), _root(beyond, probes)


@lru_cache(maxsize=256)
def row_limit(rows: int, probes: int) -> float:
    """T: the largest ratio of a sound row's t_i to the median of its tile's `rows`.

    >>> round(row_limit(8192, 10), 1), round(row_limit(64, 10), 1)
    (7.4, 6.3)
    """
    _, most = median_range(rows - 1, probes, _MEDIAN_SHARE * MISSED)
    return (REACH - 1) * _root(1 - (1 - _MEDIAN_SHARE) * MISSED, probes) / most


@lru_cache(maxsize=256)
def single_limit(rows: int, probes: int) -> float:
    """T1: the largest ratio of a sound row's sum with random signs to the median of its tile's `rows`.

    >>> round(single_limit(8192, 10), 1), round(single_limit(64, 10), 1)
    (13.5, 11.0)
    """
    _, most = median_range(rows - 1, probes, MISSED_ELEMENT / 2)
    return (REACH - tail_factor(1, MISSED_ELEMENT / 2)) / most


def false_alarms(rows: int, probes: int, spread: float = 1.0, delta: float = 1e-7) -> float:
    """Bound of the probability that a clean tile stands out, its rows' relative errors being equal up to the factor `spread`.

    `delta` is what of it may come from the median.

    >>> false_alarms(8192, 10, 1.7) < 1e-6, false_alarms(64, 10, 1.2) < 1e-6
    (True, True)
    """
    least, _ = median_range(rows, probes, delta)
    row = row_limit(rows, probes) * least / spread
    single = single_limit(rows, probes) * least / spread
    return delta + rows * (chi_square_tail(probes * row**2, probes) + 2 * exp(-(single**2) / 2))


def _root(tail: float, probes: int) -> float:
    return sqrt(chi_square_point(tail, probes) / probes)
