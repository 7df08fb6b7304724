"""How much the tiles of a candidate have to do where nothing is known to be zero: whole products, and one triangle of symmetric ones."""

from tasks.candidate import Candidate
from tasks.survey import Problem
from tasks.work import Work, sparsity_of

Cut = tuple[int, int, int]


def work_of(problem: Problem, way: Candidate, cut: Cut | None = None) -> Work:
    """What the tiles multiply and probe; `cut` stands in for their edges and depth where something is known to be zero."""
    sparsity, tile = sparsity_of(problem), way.tile
    if sparsity is not None:
        return sparsity.work(cut or (tile.rows, tile.cols, tile.depth))
    if way.symmetry != "none":
        return _of_triangle(way)
    (m, k, n), (gm, gn, slabs) = way.shape, way.grid
    passed = m * gn * k, n * gm * k
    return Work(2 * k * m * n, passed, k * n, m * n * slabs, way.tiles * slabs, m * n, passed)


def _of_triangle(way: Candidate) -> Work:
    (m, k, n), walk, slabs = way.shape, way.walk, way.grid[2]
    (rows, cols), elements = walk.lines, walk.elements_before(len(walk))
    return Work(
        flops=2 * k * walk.products,
        passed=(rows * k, cols * k),
        once_b=k * n,
        accumulated=elements * slabs,
        slabs=len(walk) * slabs,
        elements=elements,
        converted=(rows * k, (cols - m) * k),
    )


def least_work(problem: Problem, way: Candidate, finest: Cut) -> Work:
    """No tiles of the same product, stored alike, have less to do."""
    sparsity, (m, k, n), whole = sparsity_of(problem), way.shape, way.symmetry == "none"
    if sparsity is not None:
        return sparsity.work(finest)
    half = m * n if whole else m * (m + 1) // 2
    return Work(2 * k * half, (m * k, k * n), k * n, half, 1, half, (m * k, k * n if whole else 0))


def triangle_passes(way: Candidate) -> tuple[float, float]:
    """How often A and B are read where one triangle is computed; exact for one worker and panels of equal size.

    A kept panel of A is read once (and again by each worker that starts inside a row), another one once a tile, less what is still
    in memory. B is read once for each tile off the diagonal, less what is still there at the left edge, where every second row ends.
    Parts of tiles find nothing in memory.
    """
    count, depth = way.grid[0], way.grid[2]
    if way.parts > 1:
        return (count + 1) / 2, (count - 1) / 2
    a = 1 + (way.workers - 1) / count if way.kept[0] else 1 + (count - 1) / 2 * (1 - 1 / depth)
    turns = (count - 1) // 2
    return a, (count - 1) / 2 - turns / count * (1 if way.kept[1] else 1 / depth)
