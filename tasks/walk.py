"""The order in which tiles are computed, and who computes them.

Tiles are walked like a snake, so that neighbours in time share a panel; every second tile runs its k slabs backwards, so
that the slabs still in memory are used first (3 x 3 tiles, rows outside):

    0 > 1 > 2          even tiles: slabs 0, 1, ..., gk-1
    5 < 4 < 3          odd tiles:  slabs gk-1, ..., 1, 0
    6 > 7 > 8

Each worker owns a contiguous run of the walk; one that has finished takes from the far end of the longest run left. The
k direction is a property of the tile, never of the worker: the bits of the result do not depend on who computed what.
"""

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tasks.geometry import SlabCosts, block
from tasks.plan import Residency, TileShape


@dataclass(frozen=True)
class Tile:
    """One block of C: what a Dask task gets."""

    index: int
    """Place in the walk."""
    row: int
    col: int
    rows: tuple[int, int]
    """Start and stop in op(A) and C."""
    cols: tuple[int, int]
    """Start and stop in op(B) and C."""
    backwards: bool
    """Whether the k slabs run from the last to the first."""


@dataclass(frozen=True)
class Walk:
    """All tiles of a grid, in order."""

    telling_runs: ClassVar[int] = 2
    """So many of the first runs tell which is the longest."""
    halved: ClassVar[bool] = False
    """Whether tiles stand for others."""

    shape: tuple[int, int, int]
    tile: TileShape
    grid: tuple[int, int, int]
    residency: Residency

    def __len__(self) -> int:
        return self.grid[0] * self.grid[1]

    def __getitem__(self, index: int) -> Tile:
        row, col = self.place(index)
        rows, cols = block(row, self.shape[0], self.tile.rows), block(col, self.shape[2], self.tile.cols)
        return Tile(index, row, col, rows, cols, backwards=index % 2 == 1)

    def place(self, index: int) -> tuple[int, int]:
        """Tile row and column at a place in the walk."""
        row, col = self.places(np.array(index))
        return int(row), int(col)

    def places(self, index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tile rows and columns at places in the walk."""
        inner = self.grid[0] if self.residency == "B" else self.grid[1]
        outer, offset = np.divmod(index, inner)
        turned = np.where(outer % 2 == 1, inner - 1 - offset, offset)
        return (turned, outer) if self.residency == "B" else (outer, turned)

    def elements_before(self, index: int) -> int:
        """Elements of C in the tiles before a place in the walk: whole strips, and the part of a strip from where it starts."""
        (m, _, n), (rows, cols) = self.shape, (self.tile.rows, self.tile.cols)
        along_rows = self.residency == "B"
        inner, step, extent = (self.grid[0], rows, m) if along_rows else (self.grid[1], cols, n)
        strip, across = (cols, n) if along_rows else (rows, m)
        outer, offset = divmod(index, inner)
        start, stop = min(outer * strip, across), min((outer + 1) * strip, across)
        reached = extent - min((inner - offset) * step, extent) if outer % 2 else min(offset * step, extent)
        return start * extent + (stop - start) * reached

    def work_before(self, index: int) -> int:
        """What is multiplied before a place in the walk, in a unit of the walk's own."""
        return self.elements_before(index)

    def run_of(self, worker: int, workers: int) -> range:
        """The run of one worker."""
        return run_of(worker, len(self), workers)

    def runs(self, workers: int) -> list[range]:
        """Contiguous runs, one a worker; they cover every tile exactly once."""
        return [self.run_of(worker, workers) for worker in range(workers)]

    def weights(self, index: Sequence[int], workers: int) -> NDArray[np.int64] | None:
        """How much work each of these tiles is beside the others; None where runs are cut by their number."""
        del index, workers
        return None

    def is_diagonal(self, row: int, col: int) -> bool:
        """Whether a tile's panel of B is its panel of A, transposed."""
        del row, col
        return False

    def copies(self, row: int, col: int) -> int:
        """How often a tile's elements are in the product."""
        del row, col
        return 1

    def takes_b(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which tiles, by row and column, read a panel of B."""
        del cols
        return np.ones(len(rows), bool)

    @property
    def lines(self) -> tuple[int, int]:
        """Rows, and columns, of all tiles together: each row has so many residuals for each probe."""
        return self.shape[0] * self.grid[1], self.shape[2] * self.grid[0]

    @property
    def products(self) -> int:
        """Elements that are multiplied, k times each."""
        return self.shape[0] * self.shape[2]

    def slabs(self, tile: Tile) -> list[int]:
        """The tile's k slabs in its own direction."""
        order = range(self.grid[2])
        return list(reversed(order)) if tile.backwards else list(order)

    def part(self, tile: Tile, part: int, parts: int) -> list[int]:
        """Those of the tile's k slabs that one of its parts sums up, in their direction."""
        own = run_of(part, self.grid[2], parts)
        return self.slabs(tile)[own.start : own.stop]

    def slab(self, index: int) -> tuple[int, int]:
        """Start and stop of a k slab."""
        return block(index, self.shape[1], self.tile.depth)


def runs(tiles: int, workers: int) -> list[range]:
    """Contiguous runs of the walk, one a worker, sizes differing by at most one; they cover every tile exactly once.

    >>> runs(7, 3)
    [range(0, 3), range(3, 5), range(5, 7)]
    """
    return [run_of(worker, tiles, workers) for worker in range(workers)]


def run_of(worker: int, tiles: int, workers: int) -> range:
    """The run of one worker."""
    size, extra = divmod(tiles, workers)
    return range(worker * size + min(worker, extra), (worker + 1) * size + min(worker + 1, extra))


def split(weights: NDArray[np.int64], workers: int) -> list[range]:
    """Contiguous runs of about equal weight, one a worker; they cover every tile exactly once.

    >>> split(np.array([1, 1, 2, 2, 2, 1, 1, 2, 2, 2]), 2)
    [range(0, 5), range(5, 10)]
    """
    before = np.append(0, np.cumsum(weights)) * workers
    targets = np.arange(workers + 1) * (int(before[-1]) // workers)
    above = np.searchsorted(before, targets)
    below = np.maximum(above - 1, 0)
    places = np.where((above > 0) & (targets - before[below] <= before[above] - targets), below, above)
    return [range(int(start), int(stop)) for start, stop in pairwise(places)]


def planned_chunks(walk: Walk, slots: tuple[int, int], workers: int, costs: tuple[SlabCosts, SlabCosts]) -> tuple[int, int]:
    """Chunks of A and of B that the whole walk decodes, if each worker keeps to its run and `slots` hold at most one panel.

    A tile decodes its whole panel, unless the tile before it in the run used the same: then the slabs that the slots still
    hold are those that come first in the tile's own direction.
    """
    index = np.arange(len(walk))
    rows, cols = walk.places(index)
    starts = [run.start for run in walk.runs(workers) if run]
    (a, b), backwards, both = costs, index % 2 == 1, walk.takes_b(rows, cols)
    stays = _stays(cols, starts) & np.append(False, both[:-1])
    return (
        _decoded(rows, _stays(rows, starts), backwards, (a.rows, a.cols, slots[0])),
        _decoded(cols[both], stays[both], backwards[both], (b.cols, b.rows, slots[1])),
    )


def planned_bytes(walk: Walk, slots: tuple[int, int], workers: int, costs: tuple[SlabCosts, SlabCosts]) -> int:
    """Decoded bytes of A and B of the whole walk."""
    chunks = planned_chunks(walk, slots, workers, costs)
    return sum(count * cost.unit for count, cost in zip(chunks, costs, strict=True))


def _stays(panels: NDArray[np.int64], starts: list[int]) -> NDArray[np.bool_]:
    """Whether a tile has the panel of the tile before it in the same run."""
    stays = np.append(False, panels[1:] == panels[:-1])
    stays[starts] = False
    return stays


def _decoded(
    panels: NDArray[np.int64],
    stays: NDArray[np.bool_],
    backwards: NDArray[np.bool_],
    panel: tuple[NDArray[np.int64], NDArray[np.int64], int],
) -> int:
    """Chunks decoded of one operand, in Python's integers: the products may leave 64 bits."""
    across, along, slots = panel
    held_forwards, held_backwards = int(along[:slots].sum()), int(along[-slots:].sum())
    return (
        int(along.sum()) * _chunks_across(panels, across)
        - held_forwards * _chunks_across(panels[stays & ~backwards], across)
        - held_backwards * _chunks_across(panels[stays & backwards], across)
    )


def _chunks_across(panels: NDArray[np.int64], across: NDArray[np.int64]) -> int:
    times = np.bincount(panels, minlength=len(across))
    return sum(int(chunks) * int(times[across == chunks].sum()) for chunks in np.unique(across))


class Queues:
    """Who computes which tile next; workers may come and go."""

    def __init__(self, tiles: list[int], workers: Sequence[Hashable], weights: NDArray[np.int64] | None = None) -> None:
        owners = workers or [None]
        shares = runs(len(tiles), len(owners)) if weights is None else split(weights, len(owners))
        self._queues: dict[Hashable, deque[int]] = {
            worker: deque(tiles[index] for index in run) for worker, run in zip(owners, shares, strict=True)
        }

    def next_for(self, worker: Hashable, idle: bool = True) -> int | None:
        """The worker's next tile, or, for an idle one, that from the far end of the longest queue; None when there is none.

        A worker that still has work takes nothing from others: they may come for it sooner.
        """
        own = self._queues.setdefault(worker, deque())
        if own:
            return own.popleft()
        longest = max(self._queues.values(), key=len)
        return longest.pop() if longest and idle else None

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._queues.values())
