"""A few measured products of one device correct what is expected of it.

The logarithm of time over time at the peak is x . w plus scatter (`shape`), w is believed to lie where the weights of other devices
lie (`kernels`), and rows measured here move that belief by Bayes' rule. Scatter has heavy tails, since now and then a product meets a bad
kernel or a hot moment: a row that lies far off counts less (Student's t with two degrees of freedom, by reweighting; K. Lange, R. Little,
J. Taylor, Robust statistical modeling using the t distribution, 1989).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

from tasks.catalogue.kernels import Belief
from tasks.catalogue.linear import dot, solve
from tasks.catalogue.shape import Engine, numbers
from tasks.catalogue.span import Span
from tasks.errors import BadInput
from tasks.gemm import Gemm

Matrix = tuple[tuple[float, ...], ...]

FREEDOM = 2
"""Degrees of freedom of the scatter."""

ROUNDS = 15
"""Reweightings, after which nothing moves any more."""

EIGHTY = 1.2816
"""Standard deviations either side of the middle that hold 80 % of a normal distribution."""


@dataclass(frozen=True)
class Timed:
    """A product and how long one of it took."""

    gemm: Gemm
    seconds: float

    def __post_init__(self) -> None:
        if not 1e-9 < self.seconds < 1e9:
            raise BadInput(f"the product {self.gemm.name} took {self.seconds:g} s: seconds of one product are wanted")


@dataclass(frozen=True)
class Fitted:
    """What a device takes for large products."""

    engine: Engine
    weights: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]
    """Inverse of the covariance of the weights; empty where they are certain."""
    scatter: float
    ground: str
    """What it rests on (`span.GROUNDS`)."""

    def time(self, gemm: Gemm) -> Span:
        """Seconds of one such product, m, n and k of about 1024 and more."""
        x = numbers(self.engine, gemm)
        unsure = dot(x, solve(self.precision, x)) if self.precision else 0.0
        middle, away = self.engine.ideal(gemm) * exp(dot(x, self.weights)), exp(EIGHTY * sqrt(unsure + self.scatter**2))
        return Span(middle, middle / away, middle * away, self.ground)


def unfitted(engine: Engine, believed: Belief) -> Fitted:
    """What is expected before anything was measured here."""
    return Fitted(engine, believed.weights, _inverse(believed.covariance), believed.scatter, believed.ground)


def fit(engine: Engine, believed: Belief, rows: Sequence[Timed]) -> Fitted:
    """What is expected after `rows` were measured; `believed` is to come from other devices than this one (`kernels.prior`)."""
    if not rows:
        return unfitted(engine, believed)
    lines = [numbers(engine, row.gemm) for row in rows]
    slow = [log(row.seconds / engine.ideal(row.gemm)) for row in rows]
    start, variance = _inverse(believed.covariance), believed.scatter**2
    weights, total, shares = believed.weights, start, [1.0] * len(rows)
    for _ in range(ROUNDS):
        weights, total = _update(
            believed.weights, start, [(line, y, share / variance) for line, y, share in zip(lines, slow, shares, strict=True)]
        )
        left = [y - dot(line, weights) for line, y in zip(lines, slow, strict=True)]
        shares = [(FREEDOM + 1) / (FREEDOM + away**2 / variance) for away in left]
    return Fitted(engine, weights, total, believed.scatter, "measured")


_Row = tuple[Sequence[float], float, float]
"""x, its logarithm of time over the ideal, and one over the variance of that."""


def _update(weights: tuple[float, ...], start: Matrix, rows: Sequence[_Row]) -> tuple[tuple[float, ...], Matrix]:
    """Weights, and the inverse of their covariance."""
    size = range(len(weights))
    total = tuple(tuple(start[i][j] + sum(sure * x[i] * x[j] for x, _, sure in rows) for j in size) for i in size)
    pull = [sum(sure * x[i] * (y - dot(x, weights)) for x, y, sure in rows) for i in size]
    return tuple(weight + step for weight, step in zip(weights, solve(total, pull), strict=True)), total


def _inverse(matrix: Matrix) -> Matrix:
    """Empty for a matrix of zeros: certainty."""
    if not any(any(row) for row in matrix):
        return ()
    return tuple(tuple(solve(matrix, [float(i == j) for j in range(len(matrix))])) for i in range(len(matrix)))
