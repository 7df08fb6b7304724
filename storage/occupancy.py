"""Which parts of a matrix are stored at all: the others need not be read, and where they are zero not be multiplied.

    cells    1 1 0 0        one bit a cell: a chunk of a Zarr array, a square of a sparse matrix
             0 1 0 0        0: every element in it is zero, or the fill value of the array, and nothing of it is stored
             0 0 0 1        1: something is stored there, whatever its value

The value is small enough to travel with every task: at most MOST_CELLS bits, compressed. Of a sparse matrix it also tells what its
lines cost, because there reading a block decodes whole rows (CSR) or columns (CSC), however narrow the block is.
"""

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from storage.grid import Pair, grid_shape

MOST_CELLS = 1_000_000
"""Of a matrix with more chunks every chunk counts as stored."""

Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class LineBytes:
    """What the rows (axis 0) or columns (axis 1) of a sparse matrix take, added up from the first on."""

    axis: int
    step: int
    """Lines between two of the sums."""
    lines: int
    """All of them."""
    packed: bytes
    """Bytes of all lines before every `step`-th one, and of all of them: int64, compressed."""

    def between(self, edges: Counts) -> Counts:
        """Bytes of the lines between neighbours of `edges`; evenly spread within a step."""
        known = np.minimum(np.arange(len(_sums(self))) * self.step, self.lines)
        return np.diff(np.interp(edges, known, _sums(self)).round().astype(np.int64))


@dataclass(frozen=True)
class Occupancy:
    """The cells of a matrix that hold anything."""

    shape: Pair
    """Rows and columns of the matrix."""
    cell: Pair
    """Edges of a cell in elements."""
    packed: bytes
    """A bit for each cell, row by row, compressed."""
    exact: bool = True
    """Whether each cell that holds anything decodes as one whole chunk; otherwise as that at most, as where shards were not opened."""
    lines: LineBytes | None = None
    """What a block of a sparse matrix costs; None where cells are chunks."""
    zero: bool = True
    """Whether cells that hold nothing are zero; otherwise they have another value, and only reading them is saved."""

    @classmethod
    def of(cls, held: Flags, shape: Pair, cell: Pair, exact: bool = True, lines: LineBytes | None = None) -> "Occupancy":
        """The value whose `held` this is."""
        if held.shape != grid_shape(shape, cell):
            raise ValueError(f"{held.shape} cells do not cover {shape} in cells of {cell}")
        return cls(shape, cell, zlib.compress(np.packbits(held).tobytes()), exact, lines)

    @property
    def held(self) -> Flags:
        """Which cells hold anything, by row and column of the grid; not to be written to."""
        return _held(self)

    @property
    def full(self) -> bool:
        """Whether every cell holds something."""
        return bool(self.held.all())

    @property
    def scratch_bytes(self) -> int:
        """Upper bound in bytes of what a process holds to answer: the cells as bytes, and passes over them."""
        rows, cols = grid_shape(self.shape, self.cell)
        return 4 * rows * cols + len(self.packed) + (1 << 16)

    def count(self, rows: slice, cols: slice) -> int:
        """Cells that hold anything and that the slice touches."""
        return int(self.held[self._cells(rows, 0), self._cells(cols, 1)].sum())

    def along(self, axis: int, edges: Counts, across: tuple[int, int]) -> Flags:
        """For each block between neighbours of `edges` along an axis: whether it holds anything within `across` of the other axis."""
        fixed = self._cells(slice(*across), 1 - axis)
        lines = self.held[:, fixed].any(axis=1) if axis == 0 else self.held[fixed].any(axis=0)
        sums = np.append(0, lines.cumsum())
        first, last = self._touched(edges, axis)
        return sums[last] > sums[first]

    def counts(self, row_edges: Counts, col_edges: Counts) -> Counts:
        """Cells that hold anything in every block between neighbours of the edges: int64 [row blocks, column blocks]."""
        (top, bottom), (left, right) = self._touched(row_edges, 0), self._touched(col_edges, 1)
        above, below = _table(self)[top], _table(self)[bottom]
        return (below[:, right] - above[:, right] - below[:, left] + above[:, left]).astype(np.int64)

    def _cells(self, span: slice, axis: int) -> slice:
        return slice(span.start // self.cell[axis], -(-span.stop // self.cell[axis])) if span.stop > span.start else slice(0, 0)

    def _touched(self, edges: Counts, axis: int) -> tuple[Counts, Counts]:
        first, last = edges[:-1] // self.cell[axis], -(-edges[1:] // self.cell[axis])
        return first, np.where(edges[1:] > edges[:-1], last, first)


@lru_cache(maxsize=8)
def _held(occupancy: Occupancy) -> Flags:
    grid = grid_shape(occupancy.shape, occupancy.cell)
    bits = np.frombuffer(zlib.decompress(occupancy.packed), np.uint8)
    held = np.unpackbits(bits, count=grid[0] * grid[1]).astype(np.bool_).reshape(grid)
    held.flags.writeable = False
    return held


@lru_cache(maxsize=4)
def _table(occupancy: Occupancy) -> NDArray[np.int32]:
    """Cells that hold anything above and left of every corner of the grid: for those who plan, workers count one block at a time."""
    sums = np.zeros(np.add(occupancy.held.shape, 1), np.int32)
    sums[1:, 1:] = occupancy.held.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    return sums


@lru_cache(maxsize=8)
def _sums(lines: LineBytes) -> Counts:
    return np.frombuffer(zlib.decompress(lines.packed), np.int64)
