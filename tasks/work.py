"""How much there is to do in all tiles of a candidate, in elements: what `tasks.cost` multiplies with measured rates."""

from dataclasses import dataclass

from tasks.candidate import Candidate


@dataclass(frozen=True)
class Work:
    """Elements, summed over tiles."""

    products: int
    """Of C, each a sum of k products."""
    tiles: int
    """Of C, held in accumulators and checked."""
    written: int
    """Of C, stored."""
    passed: tuple[int, int]
    """Of A and of B, as often as a tile takes them."""
    converted: tuple[int, int]
    """Of A and of B, as often as they are made ready: a tile on the diagonal makes only A ready."""


def work_of(way: Candidate) -> Work:
    """The work of a candidate's tiles."""
    (m, k, n), walk = way.shape, way.walk
    rows, cols = walk.lines
    own = 0 if way.symmetry == "none" else m
    return Work(
        products=walk.products,
        tiles=m * n if way.symmetry == "none" else walk.elements_before(len(walk)),
        written=way.output.elements,
        passed=(rows * k, cols * k),
        converted=(rows * k, (cols - own) * k),
    )


def least_work(way: Candidate) -> Work:
    """No tiles of the same product, stored alike, have less to do."""
    m, k, n = way.shape
    half = m * n if way.symmetry == "none" else m * (m + 1) // 2
    return Work(half, half, way.output.elements, (m * k, k * n), (m * k, k * n if way.symmetry == "none" else 0))


def triangle_passes(way: Candidate) -> tuple[float, float]:
    """How often A and B are read where one triangle is computed; exact for one worker and panels of equal size.

    A kept panel of A is read once (and again by each worker that starts inside a row), another one once a tile, less what is still
    in memory. B is read once for each tile off the diagonal, less what is still there at the left edge, where every second row ends.
    """
    count, depth = way.grid[0], way.grid[2]
    a = 1 + (way.workers - 1) / count if way.kept[0] else 1 + (count - 1) / 2 * (1 - 1 / depth)
    turns = (count - 1) // 2
    return a, (count - 1) / 2 - turns / count * (1 if way.kept[1] else 1 / depth)
