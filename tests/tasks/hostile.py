"""Data made to hurt: where each kind of error is as large as it can be, or where none may be seen. One row, one kind.

HOSTILE[name].make(rng, (m, k, n))  ->  A [m, k], B [k, n], in the types that they would be stored in
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import fsum

import numpy as np

Shape = tuple[int, int, int]
Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Hostile:
    """One kind of data."""

    name: str
    make: Callable[[np.random.Generator, Shape], Pair]
    why: str
    """What it aims at."""


def _normal(rng: np.random.Generator, shape: Shape) -> Pair:
    m, k, n = shape
    return rng.standard_normal((m, k)), rng.standard_normal((k, n))


def _float32(pair: Pair) -> Pair:
    with np.errstate(under="ignore"):
        return pair[0].astype(np.float32), pair[1].astype(np.float32)


def _huge_row(rng: np.random.Generator, shape: Shape) -> Pair:
    a, b = _normal(rng, shape)
    a[0] *= 1e12
    b[:, -1] *= 1e9
    return _float32((a, b))


def _huge_term(rng: np.random.Generator, shape: Shape) -> Pair:
    a, b = _normal(rng, shape)
    place = shape[1] // 3
    a[:, place] *= 1e6
    b[place] *= 1e6
    return _float32((a, b))


def _cancelling(rng: np.random.Generator, shape: Shape) -> Pair:
    """The second half takes away what the first has added, but for what is 2**-20 as large."""
    a, b = _float32(_normal(rng, shape))
    half = shape[1] // 2
    a[:, half : 2 * half] = a[:, :half]
    b[half : 2 * half] = -b[:half] * np.float32(1 + 2.0**-20)
    return a, b


def _denormals(rng: np.random.Generator, shape: Shape) -> Pair:
    a, b = _normal(rng, shape)
    return _float32((a * 2.0**-135, b * 2.0**100))


def _vanishing(rng: np.random.Generator, shape: Shape) -> Pair:
    """Products about as small as float32's smallest normal number, rows and columns apart."""
    m, _, n = shape
    a, b = _normal(rng, shape)
    apart = 2.0 ** rng.integers(-8, 9, m)[:, None], 2.0 ** rng.integers(-8, 9, n)
    return _float32((a * 2.0**-63 * apart[0], b * 2.0**-63 * apart[1]))


def _wide_range(rng: np.random.Generator, shape: Shape) -> Pair:
    m, k, n = shape
    signs = rng.choice([-1.0, 1.0], (m, k)), rng.choice([-1.0, 1.0], (k, n))
    return signs[0] * 10 ** rng.uniform(-15, 15, (m, k)), signs[1] * 10 ** rng.uniform(-15, 15, (k, n))


def _wide_rows(rng: np.random.Generator, shape: Shape) -> Pair:
    """Rows and columns 10**30 apart from each other, so that each needs a power of two of its own."""
    m, _, n = shape
    a, b = _normal(rng, shape)
    return _float32((a * 10 ** np.linspace(-15, 15, m)[:, None], b * 10 ** np.linspace(15, -15, n)))


def _one_sign(rng: np.random.Generator, shape: Shape) -> Pair:
    m, k, n = shape
    return _float32((rng.uniform(0.5, 1, (m, k)), rng.uniform(0.5, 1, (k, n))))


def _one_way(value: float) -> Callable[[np.random.Generator, Shape], Pair]:
    """The same number everywhere, which the narrow type rounds, or cuts off, as far as it ever does."""
    return lambda _, shape: _float32((np.full(shape[:2], value), np.full(shape[1:], value)))


STEP = 1024


def _stagnating(small: float, dtype: type[np.floating]) -> Callable[[np.random.Generator, Shape], Pair]:
    """Ones far apart, and between them numbers whose squares are too small to be added to the sum: all are lost, in the same direction."""

    def make(_: np.random.Generator, shape: Shape) -> Pair:
        line = np.full(shape[1], small, dtype)
        line[::STEP] = 1.0
        return np.tile(line, (shape[0], 1)), np.tile(line[:, None], (1, shape[2]))

    return make


def _half_steps(_: np.random.Generator, shape: Shape) -> Pair:
    """One large number, for whose steps all others are half a step: int8 loses them all. B is made of int8 as it is."""
    m, k, n = shape
    a = np.full((m, k), 0.5, np.float32)
    a[:, 0] = 127
    return a, np.full((k, n), 100, np.int8)


def _doubles(rng: np.random.Generator, shape: Shape) -> Pair:
    a, b = _normal(rng, shape)
    return a * 10 ** rng.uniform(-60, -50, (shape[0], 1)), b * 10 ** rng.uniform(50, 60, shape[2])


def _tiny_doubles(rng: np.random.Generator, shape: Shape) -> Pair:
    """A is subnormal in float64, and its rows are apart."""
    a, b = _normal(rng, shape)
    return a * 2.0 ** np.linspace(-1062, -1026, shape[0])[:, None], b * 2.0**965


def _halves(rng: np.random.Generator, shape: Shape) -> Pair:
    """float16 as it is stored: A subnormal here and there, B of one sign."""
    m, k, n = shape
    a = np.ldexp(rng.uniform(0.5, 1, (m, k)), rng.integers(-24, 4, (m, k)))
    return a.astype(np.float16), rng.uniform(0.5, 1, (k, n)).astype(np.float16)


def _integers(rng: np.random.Generator, shape: Shape) -> Pair:
    m, k, n = shape
    a, b = rng.choice([-(2**15), 2**15 - 1, 1, -3], (m, k)), rng.choice([255, 254, 1], (k, n))
    return a.astype(np.int16), b.astype(np.uint8)


HOSTILE: dict[str, Hostile] = {
    row.name: row
    for row in (
        Hostile("normal", lambda rng, shape: _float32(_normal(rng, shape)), "nothing: what is usual"),
        Hostile("huge row", _huge_row, "one row of A is 10¹² times, one column of B 10⁹ times the others"),
        Hostile("huge term", _huge_term, "one column of A and its row of B are 10⁶ times the others"),
        Hostile("cancellation", _cancelling, "half of each sum takes away the other half, up to 2⁻²⁰"),
        Hostile("denormals", _denormals, "A is subnormal in float32"),
        Hostile("vanishing", _vanishing, "products about as small as 2⁻¹²⁶"),
        Hostile("range 10³⁰", _wide_range, "magnitudes from 10⁻¹⁵ to 10¹⁵, float64"),
        Hostile("rows 10³⁰ apart", _wide_rows, "rows and columns from 10⁻¹⁵ to 10¹⁵"),
        Hostile("one sign", _one_sign, "sums and their errors grow with k"),
        Hostile("ties of bfloat16", _one_way(1 + 2.0**-8), "all inputs are halfway between two numbers"),
        Hostile("ties of float16", _one_way(1 + 2.0**-11), "all inputs are halfway between two numbers"),
        Hostile("cut by tf32", _one_way(1 + 2.0**-10 - 2.0**-23), "all inputs lose as much as truncation ever takes"),
        Hostile("stagnation", _stagnating(2.0**-12, np.float32), "every product is half a unit of the sum: rounded away"),
        Hostile("truncation", _stagnating(181 * 2.0**-19, np.float16), "every product is less than a unit: cut off; stored as float16"),
        Hostile("stagnation, double", _stagnating(1.414 * 2.0**-27, np.float64), "the same for float64"),
        Hostile("half steps", _half_steps, "all but one value are half a step of int8"),
        Hostile("doubles", _doubles, "float64, rows and columns 10¹⁰ apart, far out of float32's range"),
        Hostile("tiny doubles", _tiny_doubles, "A is subnormal in float64"),
        Hostile("float16", _halves, "float16 as stored, some of it subnormal"),
        Hostile("integers", _integers, "int16 and uint8 at the ends of their ranges"),
    )
}


@dataclass(frozen=True)
class Exact:
    """A product up to 2**-106 of itself: high + low."""

    high: np.ndarray
    low: np.ndarray

    def error_of(self, found: np.ndarray) -> np.ndarray:
        """found - C, with a relative rounding of 2**-53 or so of the difference, not of C."""
        return (found.astype(np.float64) - self.high) - self.low


def exact_product(a: np.ndarray, b: np.ndarray) -> Exact:
    """A B. Each product of two float64 is a sum of two float64 without a rest (T. J. Dekker, Numer. Math. 18, 1971), as long as nothing
    over- or underflows, which is asserted; `math.fsum` rounds the sum of any number of float64 once."""
    left, right = a.astype(np.float64), b.astype(np.float64)
    sums = [[_exact_sum(left[i], right[:, j]) for j in range(b.shape[1])] for i in range(a.shape[0])]
    return Exact(*(np.array([[pair[place] for pair in row] for row in sums]) for place in (0, 1)))


def _exact_sum(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    high, low = two_product(x, y)
    parts = [*high.tolist(), *low[low != 0].tolist()]
    total = fsum(parts)
    return total, fsum([*parts, -total])


def two_product(x: np.ndarray, y: np.ndarray) -> Pair:
    """x y as a rounded product and what that left."""
    product = x * y
    there = np.abs(product[(x != 0) & (y != 0)])
    assert there.size == 0 or (there.min() > 2.0**-960 and there.max() < 2.0**990), "two_product would not be exact"
    (x1, x2), (y1, y2) = _split(x), _split(y)
    return product, x2 * y2 - (((product - x1 * y1) - x2 * y1) - x1 * y2)


def _split(x: np.ndarray) -> Pair:
    """Two halves of 26 bits (G. W. Veltkamp)."""
    assert np.abs(x).max(initial=0) < 2.0**990
    wide = x * (2.0**27 + 1)
    high = wide - (wide - x)
    return high, x - high


def frobenius(x: np.ndarray) -> float:
    """The norm, where squares would over- or underflow too."""
    peak = float(np.abs(x.astype(np.float64)).max(initial=0.0))
    return peak * float(np.linalg.norm(x.astype(np.float64) / peak)) if peak else 0.0


@lru_cache(maxsize=64)
def drawn(name: str, shape: Shape) -> tuple[np.ndarray, np.ndarray, Exact]:
    """A, B and their product: the same ones each time."""
    a, b = HOSTILE[name].make(np.random.default_rng([len(name), *shape]), shape)
    return a, b, exact_product(a, b)
