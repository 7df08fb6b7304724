"""The walk over a symmetric product: the tiles of the lower triangle, and the work in them.

    0            Square tiles. Even rows run to the diagonal, odd rows from it: at the left edge two tiles share the panel of B,
    2 1          at the diagonal the second one needs no panel of B, since that is its panel of A, transposed.
    3 4 5
    9 8 7 6      Tile (i, j) with i > j stands for (j, i), too.

Everything is in closed form: a row i starts at place i (i + 1) / 2, and where a tile off the diagonal counts 2 and one on it 1, it
starts at work i**2. So a run of equal work is found by a square root.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.plan import Residency, TileShape
from tasks.symmetry import Symmetry, tile_count
from tasks.walk import Walk, run_of

STRIP = 512
"""Rows of a diagonal tile that are multiplied at a time, up to the diagonal."""

TILES_TO_WEIGH = 4
"""Tiles of a worker from which on its run is measured by work, not by their number: of fewer, half a tile is too much to move."""


@dataclass(frozen=True)
class TriangleWalk(Walk):
    """The tiles on and below the diagonal of a square grid, in order."""

    telling_runs: ClassVar[int] = 16
    halved: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.shape[0] != self.shape[2] or self.tile.rows != self.tile.cols:
            raise ValueError(f"a triangle has square tiles: {self.shape[0]} x {self.shape[2]} in {self.tile.rows} x {self.tile.cols}")

    def __len__(self) -> int:
        return tile_count(self.grid, "full")

    def places(self, index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tile rows and columns at places in the walk."""
        index = np.asarray(index, np.int64)
        row = ((np.sqrt(8.0 * index + 1) - 1) / 2).astype(np.int64)
        row -= row * (row + 1) // 2 > index  # what the root's rounding may have added
        row += (row + 1) * (row + 2) // 2 <= index
        offset = index - row * (row + 1) // 2
        return row, np.where(row % 2 == 1, row - offset, offset)

    def elements_before(self, index: int) -> int:
        """Elements of the tiles before a place in the walk, each tile counted once, whole."""
        row, offset = self._row_at(index)
        return self._above(row) + self._in_row(row, offset)

    def work_before(self, index: int) -> int:
        """What is multiplied before a place in the walk: elements, twice those off the diagonal."""
        return 2 * self.elements_before(index) - self._diagonal_before(index)

    def run_of(self, worker: int, workers: int) -> range:
        """The run of one worker: contiguous, of about equal work, where each has several tiles."""
        if len(self) < TILES_TO_WEIGH * workers:
            return run_of(worker, len(self), workers)
        return range(self._start(worker, workers), self._start(worker + 1, workers))

    def weights(self, index: Sequence[int], workers: int) -> NDArray[np.int64] | None:
        """How much work each of these tiles is beside the others; None where they are too few to weigh."""
        if len(index) < TILES_TO_WEIGH * workers:
            return None
        rows, cols = self.places(np.asarray(index, np.int64))
        return np.where(rows == cols, 1, 2)

    def is_diagonal(self, row: int, col: int) -> bool:
        """Whether a tile is symmetric itself: its panel of B is its panel of A, transposed."""
        return row == col

    def copies(self, row: int, col: int) -> int:
        """How often a tile's elements are in the product."""
        return 1 if row == col else 2

    def takes_b(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which tiles read a panel of B."""
        return rows != cols

    @property
    def lines(self) -> tuple[int, int]:
        """Rows, and columns, of all tiles together."""
        count, last, edge = self.grid[0], self.shape[0] - (self.grid[0] - 1) * self.tile.rows, self.tile.rows
        return edge * (count * (count - 1) // 2) + last * count, edge * (len(self) - 1) + last

    @property
    def products(self) -> int:
        """Elements that are multiplied: of a diagonal tile those of its strips, up to the diagonal."""
        saved = sum(
            count * (edge * edge - strip_elements(edge))
            for count, edge in ((self.grid[0] - 1, self.tile.rows), (1, self.shape[0] - (self.grid[0] - 1) * self.tile.rows))
        )
        return self.elements_before(len(self)) - saved

    def _row_at(self, index: int) -> tuple[int, int]:
        row = (isqrt(8 * index + 1) - 1) // 2
        return row, index - row * (row + 1) // 2

    def _above(self, row: int) -> int:
        """Elements of the tile rows before one."""
        edge, whole = self.tile.rows, min(row, self.grid[0] - 1)
        ragged = (self.shape[0] - whole * edge) * self.shape[0] if row == self.grid[0] else 0
        return edge * edge * (whole * (whole + 1) // 2) + ragged

    def _in_row(self, row: int, offset: int) -> int:
        """Elements of the first tiles of a row."""
        if offset == 0:
            return 0
        start, stop, edge = row * self.tile.rows, min((row + 1) * self.tile.rows, self.shape[0]), self.tile.rows
        return (stop - start) * (stop - (row + 1 - offset) * edge if row % 2 else offset * edge)

    def _diagonal_before(self, index: int) -> int:
        """Elements of the diagonal tiles before a place: that of an odd row is its first."""
        row, offset = self._row_at(index)
        passed = row + (row % 2 == 1 and offset > 0)
        whole, last = min(passed, self.grid[0] - 1), self.shape[0] - (self.grid[0] - 1) * self.tile.rows
        return whole * self.tile.rows**2 + (last * last if passed == self.grid[0] else 0)

    def _start(self, worker: int, workers: int) -> int:
        """Where a worker's run starts: the place nearest to its share of the work, in whole numbers."""
        total = self.grid[0] ** 2
        row = isqrt(worker * total // workers)
        rest = worker * total - workers * row * row
        offset = -(-rest // (2 * workers)) if row % 2 == 0 else -(-(rest + workers) // (2 * workers)) if rest > 0 else 0
        place = row * (row + 1) // 2 + offset
        if place and worker * total - workers * self._weight(place - 1) <= workers * self._weight(place) - worker * total:
            return place - 1
        return place

    def _weight(self, index: int) -> int:
        """Weights of the tiles before a place."""
        row, offset = self._row_at(index)
        return row * row + 2 * offset - (row % 2 == 1 and offset > 0)


def walk_for(sizes: tuple[tuple[int, int, int], TileShape, tuple[int, int, int]], residency: Residency, symmetry: Symmetry) -> Walk:
    """The tiles of a product, in order; `sizes` are its shape, its tile and its grid."""
    return (Walk if symmetry == "none" else TriangleWalk)(*sizes, residency)


def strip_elements(rows: int) -> int:
    """Elements of a diagonal tile that are multiplied: each strip of rows up to where its own columns end.

    >>> strip_elements(STRIP), strip_elements(2 * STRIP) / (2 * STRIP)**2
    (262144, 0.75)
    """
    strips, rest = divmod(rows, STRIP)
    return STRIP * STRIP * (strips * (strips + 1) // 2) + rest * rows
