"""Least bytes that any schedule can move, for p workers with a given fast memory each.

    elements >= max( mk + kn + mn,                     every input read once, the output written once
                     2 mnk / sqrt(S) - 2 p S,          Smith et al., arXiv 1702.02017, summed over the workers' shares of mnk
                     sum of min(xy + yz + xz) )        Loomis-Whitney for each share V: xyz = V, x <= m, y <= n, z <= k

S is a worker's fast memory in elements of the stored types. The last term is concave in V, so over all ways to share the work
it is least where as many workers as possible have the largest share that any has, and the others nothing: a schedule that
gives one worker all of it need not read anything twice. Bytes follow with the smallest type involved, except for the first
term, which is exact.

Of a symmetric product V = m (m - 1) k / 2 multiplications lie below the diagonal, and D elements of A and C allow only
sqrt(2) (D / 3)^(3/2) of them instead of (D / 3)^(3/2), since a row serves both sides (Beaumont et al., arXiv 2202.10217):

    elements >= max( mk + what is stored,
                     2 V / sqrt(2 S) - 2 p S,
                     sum of 3 (V / sqrt(2))^(2/3) )    for each share V

Of A A, the square of one matrix, an element of it may stand on both sides. D elements of A and C allow 2 (D / 3)^(3/2) multiplications:
Loomis-Whitney with the same 2 D / 3 elements for both sides, and D / 3 of C. So with V = mnk

    elements >= max( mk + mn,  V / sqrt(S) - 2 p S,  sum of 3 (V / 2)^(2/3) )
"""

from dataclasses import dataclass
from math import sqrt

from tasks.symmetry import Symmetry

_ROUNDING = 1e-12
"""The formulas' own rounding, taken off so that the bound stays one."""


@dataclass(frozen=True)
class Team:
    """Who shares the work."""

    workers: int
    memory: int
    """Bytes of one worker for matrices."""
    largest_share: float
    """Largest fraction of all multiplications that one worker does."""


def lower_bound_bytes(shape: tuple[int, int, int], itemsizes: tuple[int, int, int], team: Team) -> int:
    """Bytes; `itemsizes` are those of A, B and C.

    >>> lower_bound_bytes((4, 5, 6), (4, 4, 4), Team(1, 10**6, 1.0)) == 4 * (4 * 5 + 5 * 6 + 4 * 6)
    True
    """
    m, k, n = shape
    smallest = min(itemsizes)
    compulsory = m * k * itemsizes[0] + k * n * itemsizes[1] + m * n * itemsizes[2]
    volume = m * n * k
    elements = max(team.memory // smallest, 1)
    streaming = 2 * volume / sqrt(elements) - 2 * team.workers * elements
    busy = min(team.workers, int(1 / team.largest_share))
    rest = max(0.0, 1 - busy * team.largest_share)
    shared = busy * surface(volume * team.largest_share, (m, n, k)) + surface(volume * rest, (m, n, k))
    return max(compulsory, int(max(streaming, shared) * smallest * (1 - _ROUNDING)))


def symmetric_bound_bytes(m: int, k: int, itemsizes: tuple[int, int], team: Team, symmetry: Symmetry) -> int:
    """Bytes for the symmetric product of an m x k matrix; `itemsizes` are those of the matrix and of the product.

    >>> symmetric_bound_bytes(4, 5, (4, 4), Team(1, 10**6, 1.0), "triangle") == 4 * (4 * 5 + 4 * 5 // 2)
    True
    """
    stored = m * m if symmetry == "full" else m * (m + 1) // 2
    compulsory, volume = m * k * itemsizes[0] + stored * itemsizes[1], m * (m - 1) // 2 * k
    elements = max(team.memory // min(itemsizes), 1)
    streaming = 2 * volume / sqrt(2 * elements) - 2 * team.workers * elements
    busy = min(team.workers, int(1 / team.largest_share))
    rest = max(0.0, 1 - busy * team.largest_share)
    shared = sum(times * 3 * (volume * share / sqrt(2)) ** (2 / 3) for times, share in ((busy, team.largest_share), (1, rest)))
    return max(compulsory, int(max(streaming, shared) * min(itemsizes) * (1 - _ROUNDING)))


def square_bound_bytes(edge: int, itemsizes: tuple[int, int], team: Team) -> int:
    """Bytes for the square of a matrix with this edge; `itemsizes` are those of the matrix and of the product.

    >>> square_bound_bytes(4, (4, 4), Team(1, 10**6, 1.0)) == 4 * (4 * 4 + 4 * 4)
    True
    """
    compulsory, volume = edge * edge * sum(itemsizes), edge**3
    elements = max(team.memory // min(itemsizes), 1)
    streaming = volume / sqrt(elements) - 2 * team.workers * elements
    busy = min(team.workers, int(1 / team.largest_share))
    rest = max(0.0, 1 - busy * team.largest_share)
    shared = sum(times * 3 * (volume * share / 2) ** (2 / 3) for times, share in ((busy, team.largest_share), (1, rest)))
    return max(compulsory, int(max(streaming, shared) * min(itemsizes) * (1 - _ROUNDING)))


def surface(volume: float, limits: tuple[int, int, int]) -> float:
    """Least elements of A, B and C together that so many multiplications touch."""
    if volume < 1:
        return 0.0
    x, y, z = share_edges(volume, limits)
    return x * y + y * z + x * z


def share_edges(volume: float, limits: tuple[int, int, int]) -> tuple[float, float, float]:
    """Edges of the box of that volume with least surface that fits the limits, smallest limit first."""
    low, middle, _ = sorted(limits)
    x = min(low, volume ** (1 / 3))
    y = min(middle, sqrt(volume / x))
    return x, y, volume / (x * y)
