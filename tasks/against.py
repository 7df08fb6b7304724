"""Is a stored product still that of its inputs? Fresh random probes, against A and B as they are now.

For each tile column j a new G_j is drawn and, slab by slab of what is stored,

    B_j G_j  ->  alpha A_i (B_j G_j) + beta C0_ij G_j  against  C_ij G_j           for each tile row i

so that A, B and C are read once (A once for every GROUP_BYTES of probed columns), and a product of n columns costs that of a few.
Of a symmetric product the tiles on and below the diagonal are probed, and those above are compared with them, bit for bit.
Two things are asked, see tasks.probes. Of each tile: is it within the bound of the arithmetic that computed it? A result does not say
which one that was, so the loosest counts of those that any of its tiles was computed in. Of the whole product: is its error surely more
than was accepted? Each says so of a sound product with a probability of FALSE_ALARM at most.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from storage import Matrix
from tasks import probing
from tasks.check import Sums, stored_thresholds
from tasks.lower import is_mirrored, read_lower
from tasks.outcome import Certificate
from tasks.probes import CONFIDENCE, FALSE_ALARM, LEAST_SAFE_NORM, SIGNS, error_floor, scale_of
from tasks.recipe import Recipe
from tasks.survey import Operand
from tasks.verify import measured_bound

GROUP_BYTES = 256 * 2**20
"""Of probed columns of B held at a time."""
BLOCK_BYTES = 64 * 2**20
"""Of a matrix read at a time."""


@dataclass(frozen=True)
class Against:
    """What the probes found."""

    measured: float
    """Bound of the normwise error of the stored product, with the certificate's confidence."""
    at_least: float
    """It is above this, but for a probability of FALSE_ALARM."""
    tiles: tuple[tuple[int, int], ...]
    """Tile rows and columns that are not what A and B give."""
    worst: float
    """Largest residual over its threshold; above 1 a tile is wrong."""
    seed: int
    """Of the probes."""
    probes: int
    """Gaussian columns, as many as the run had."""
    confidence: float
    """Probability that `measured` is a bound."""
    asked: float
    """What the caller of the run accepted."""
    guarantee: str
    """How the run kept it."""

    @property
    def kept(self) -> bool:
        """Whether the product may still be what it was certified to be; `measured` alone is above `asked` by chance, too."""
        return not self.tiles and self.at_least <= self.asked


@dataclass
class _Columns:
    """A tile column: its probes and what they make of B."""

    tiles: tuple[int, int]
    """Start and stop in B and C."""
    col: int
    probes: torch.Tensor
    product: torch.Tensor
    """B_j G_j, float64 [k, probes + SIGNS]."""
    square: float
    """Squared Frobenius norm of B_j."""


@dataclass(frozen=True)
class _Look:
    """What is looked at."""

    recipes: Sequence[Recipe]
    """One for each arithmetic that computed tiles; they differ in nothing else."""
    product: Matrix

    @property
    def recipe(self) -> Recipe:
        """Any of them."""
        return self.recipes[0]


def check_against(recipes: Sequence[Recipe], product: Matrix, certificate: Certificate) -> Against:
    """Probe a stored product; `recipes` are those that its tiles were computed by, with a seed that the run did not use.

    Rows and columns that hold NaN or infinity stand outside, as they did in the run. Raises CorruptData naming a chunk that
    cannot be read.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for so few columns one thread of numpy's BLAS is fastest, and suffers least from neighbours
    try:
        with threadpool_limits(1, user_api="blas"):
            return _probed(_Look(recipes, product), certificate)
    finally:
        torch.set_num_threads(threads)


def _probed(look: _Look, certificate: Certificate) -> Against:
    tiles: list[tuple[int, int]] = []
    recipe, squares, worst = look.recipe, 0.0, 0.0
    columns = _columns(recipe)
    size = max(1, GROUP_BYTES // (8 * recipe.walk.shape[1] * (recipe.probes + SIGNS)))
    while group := list(islice(columns, size)):
        for place, residual, excess in _rows(look, group):
            squares, worst = squares + recipe.walk.copies(*place) * residual, max(worst, excess)
            if excess > 1.0:
                tiles.append(place)
    norms = certificate.norm_a, certificate.norm_b, certificate.norm_c0
    scale = scale_of((recipe.alpha, recipe.beta), norms)
    known = all(norm == 0.0 or norm >= LEAST_SAFE_NORM for norm in norms)
    return Against(
        measured=measured_bound(recipe.walk, recipe.probes, squares**0.5, scale),
        at_least=_at_least(recipe, squares**0.5, scale) if scale and known else 0.0,
        tiles=tuple(sorted(tiles)),
        worst=worst,
        seed=recipe.seed,
        probes=recipe.probes,
        confidence=CONFIDENCE,
        asked=certificate.asked,
        guarantee=certificate.guarantee,
    )


def _at_least(recipe: Recipe, residual: float, scale: float) -> float:
    walk = recipe.walk
    shape = walk.shape[0] * walk.grid[1], walk.shape[1], min(walk.tile.cols, walk.shape[2])
    return error_floor(residual, scale, shape, (recipe.probes, FALSE_ALARM))


def _columns(recipe: Recipe) -> Iterator[_Columns]:
    walk = recipe.walk
    for col in range(walk.grid[1]):
        start, stop = col * walk.tile.cols, min((col + 1) * walk.tile.cols, walk.shape[2])
        probes = probing.draw(recipe.seed, col, stop - start, recipe.probes)
        if recipe.allow_nonfinite:
            probes[_bad_columns(recipe.b, (start, stop))] = 0
        product, square = torch.empty(walk.shape[1], recipe.probes + SIGNS, dtype=torch.float64), 0.0
        for rows in _spans(walk.shape[1], (stop - start) * recipe.b.matrix.dtype.itemsize, recipe.b.chunks[0]):
            if recipe.b.is_zero(rows, (start, stop)):
                product[slice(*rows)] = 0
                continue
            seen = probing.apply(_read(recipe.b, rows, (start, stop)), probes, _wanted(recipe, norms=True))
            product[slice(*rows)] = seen.product
            square += float(seen.row_squares.sum())
        yield _Columns((start, stop), col, probes, product, square)


def _rows(look: _Look, group: list[_Columns]) -> Iterator[tuple[tuple[int, int], float, float]]:
    """Of each tile of these columns: its place, its squared residual, and the largest residual over its threshold."""
    recipe = look.recipe
    walk, width = recipe.walk, recipe.probes + SIGNS
    right = torch.cat([columns.product for columns in group], dim=1)
    for row in range(group[0].col if walk.is_diagonal(0, 0) else 0, walk.grid[0]):
        rows = row * walk.tile.rows, min((row + 1) * walk.tile.rows, walk.shape[0])
        summed = torch.zeros(rows[1] - rows[0], right.shape[1], dtype=torch.float64)
        squares, bad = torch.zeros(rows[1] - rows[0], dtype=torch.float64), torch.zeros(rows[1] - rows[0], dtype=torch.bool)
        for depth in _spans(walk.shape[1], (rows[1] - rows[0]) * recipe.a.matrix.dtype.itemsize, recipe.a.chunks[1]):
            if recipe.a.is_zero(rows, depth):
                continue
            block = _read(recipe.a, rows, depth)
            seen = probing.apply(block, right[slice(*depth)], _wanted(recipe, norms=True))
            summed, squares = summed.add_(seen.product), squares.add_(seen.row_squares)
            if recipe.allow_nonfinite:
                bad |= ~torch.isfinite(block).all(dim=1)
        for index, columns in enumerate(group):
            if walk.is_diagonal(0, 0) and columns.col > row:
                break
            part = summed[:, index * width : (index + 1) * width]
            sums = Sums(torch.empty(0, len(columns.probes)), part, squares, columns.square)
            yield (row, columns.col), *_judge(look, (rows, columns), (sums, bad))


def _judge(look: _Look, place: tuple[tuple[int, int], _Columns], found: tuple[Sums, torch.Tensor]) -> tuple[float, float]:
    recipe, (rows, columns), (sums, bad) = look.recipe, place, found
    stored, _, overflown = _probe(recipe, look.product, rows, columns)
    residual = recipe.alpha * sums.residual - stored
    squares = torch.zeros(len(residual), dtype=torch.float64)
    if recipe.add is not None:
        added, squares, bad_too = _probe(recipe, recipe.add, rows, columns)
        residual, bad = residual + recipe.beta * added, bad | bad_too
    residual[overflown] = torch.inf
    residual[bad] = 0
    residual = residual.abs_().nan_to_num_(nan=torch.inf)
    limits = torch.stack([stored_thresholds(one, sums, columns.probes, squares) for one in look.recipes]).amax(dim=0)
    worst = torch.where(residual > 0, residual / limits[:, None], residual).max()
    if not _is_stored_alike(look, rows, columns):
        worst.fill_(torch.inf)
    return float(residual[:, : recipe.probes].square().sum()) / recipe.probes, float(worst)


def _is_stored_alike(look: _Look, rows: tuple[int, int], columns: _Columns) -> bool:
    """Whether the mirror image of a tile below the diagonal, where it is stored, is that."""
    walk, spec = look.recipe.walk, look.recipe.staging.spec
    if spec.lower or walk.copies(rows[0] // walk.tile.rows, columns.col) == 1:
        return True
    width = (columns.tiles[1] - columns.tiles[0]) * look.product.dtype.itemsize
    parts = _spans(rows[1] - rows[0], width, look.product.chunks[0])
    return all(is_mirrored(look.product, (rows[0] + start, rows[0] + stop), columns.tiles) for start, stop in parts)


def _probe(recipe: Recipe, matrix: Matrix, rows: tuple[int, int], columns: _Columns) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """matrix[rows, columns] @ probes, the rows' squared norms, and which of them hold NaN or infinity where they count."""
    products, squares, bad, counted = [], [], [], columns.probes.any(dim=1)
    operand = Operand(matrix, transposed=False)
    for part in _spans(rows[1] - rows[0], (columns.tiles[1] - columns.tiles[0]) * matrix.dtype.itemsize, matrix.chunks[0]):
        span = rows[0] + part[0], rows[0] + part[1]
        lower = recipe.staging.spec.lower  # then there is no C0, and the matrix is the product
        block = torch.from_numpy(read_lower(matrix, span, columns.tiles)) if lower else _read(operand, span, columns.tiles)
        seen = probing.apply(block, columns.probes, _wanted(recipe, norms=True))
        products.append(seen.product)
        squares.append(seen.row_squares)
        bad.append(~torch.isfinite(block[:, counted]).all(dim=1) if recipe.allow_nonfinite else torch.zeros(len(block), dtype=torch.bool))
    return torch.cat(products), torch.cat(squares), torch.cat(bad)


def _wanted(recipe: Recipe, norms: bool) -> probing.Wanted:
    """What is not finite and meets zeros that nobody stored was never read; elsewhere it was refused, so zero is as wrong as any value."""
    return probing.Wanted(norms=norms, clean=recipe.allow_nonfinite or recipe.a.sparse or recipe.b.sparse)


def _bad_columns(operand: Operand, cols: tuple[int, int]) -> torch.Tensor:
    bad = torch.zeros(cols[1] - cols[0], dtype=torch.bool)
    for rows in _spans(operand.shape[0], (cols[1] - cols[0]) * operand.matrix.dtype.itemsize, operand.chunks[0]):
        bad |= ~torch.isfinite(_read(operand, rows, cols)).all(dim=0)
    return bad


def _spans(extent: int, bytes_each: int, chunk: int) -> Iterator[tuple[int, int]]:
    """Cut an extent into spans of about BLOCK_BYTES, at the edges of chunks."""
    step = max(1, BLOCK_BYTES // max(1, bytes_each) // chunk) * chunk
    for start in range(0, extent, step):
        yield start, min(start + step, extent)


def _read(operand: Operand, rows: tuple[int, int], cols: tuple[int, int]) -> torch.Tensor:
    out = np.empty(operand.block_shape(rows[1] - rows[0], cols[1] - cols[0]), operand.matrix.dtype)
    operand.read_into(out, slice(*rows), slice(*cols))
    block = torch.from_numpy(out)
    return block.T if operand.transposed else block
