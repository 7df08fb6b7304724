"""Small linear algebra in lists of floats: a handful of weights and rows, where importing numpy would take longer than the work."""

from collections.abc import Sequence
from math import sqrt

Vector = Sequence[float]
Square = Sequence[Sequence[float]]


def dot(a: Vector, b: Vector) -> float:
    """Sum of products."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def solve(matrix: Square, right: Vector) -> list[float]:
    """x with matrix x = right, for a symmetric positive definite matrix (Cholesky).

    >>> [round(x, 12) for x in solve([[4.0, 2.0], [2.0, 3.0]], [10.0, 9.0])]
    [1.5, 2.0]
    """
    low = _cholesky(matrix)
    half: list[float] = []
    for i, row in enumerate(low):
        half.append((right[i] - dot(row[:i], half)) / row[i])
    found = [0.0] * len(half)
    for i in reversed(range(len(half))):
        found[i] = (half[i] - sum(low[j][i] * found[j] for j in range(i + 1, len(half)))) / low[i][i]
    return found


def _cholesky(matrix: Square) -> list[list[float]]:
    low: list[list[float]] = []
    for i, row in enumerate(matrix):
        line: list[float] = []
        for j in range(i):
            line.append((row[j] - dot(line[:j], low[j][:j])) / low[j][j])
        line.append(sqrt(row[i] - dot(line, line)))
        low.append(line)
    return low
