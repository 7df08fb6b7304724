"""One way to do the job, before anyone knows whether it fits or pays: what the planner compares."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from storage import OutputSpec
from tasks.arithmetic import Arithmetic
from tasks.geometry import blocks
from tasks.hands import hands_of
from tasks.hardware import Layout
from tasks.job import Durability
from tasks.plan import Residency, TileShape
from tasks.symmetry import Symmetry, tile_count
from tasks.triangle import walk_for
from tasks.walk import Walk


@dataclass(frozen=True)
class Candidate:
    """An arithmetic, a tile, what stays in memory, and the workers."""

    shape: tuple[int, int, int]
    arithmetic: Arithmetic
    tile: TileShape
    kept: tuple[bool, bool]
    """Whether a whole row panel of A, or column panel of B, stays in memory."""
    output: OutputSpec
    layout: Layout
    workers: int
    device: str
    probes: int
    durability: Durability = "power"
    """Whether written chunks are synced."""
    settles: tuple[str, ...] = ()
    """Codecs among which the first tile will choose, `output` naming a stand-in; empty where the caller named one."""
    parts: int = 1
    """Parts of k that are summed up apart: 1 where there are tiles enough for all workers."""
    symmetry: Symmetry = "none"
    """Whether one triangle is computed."""

    @cached_property
    def grid(self) -> tuple[int, int, int]:
        """Tiles along m and n, slabs along k."""
        m, k, n = self.shape
        return blocks(m, self.tile.rows), blocks(n, self.tile.cols), blocks(k, self.tile.depth)

    @cached_property
    def tiles(self) -> int:
        """Tiles of C that are computed."""
        return tile_count(self.grid, self.symmetry)

    @cached_property
    def slots(self) -> tuple[int, int]:
        """Slabs of A and of B in memory: all of a panel, or one."""
        depth = self.grid[2]
        return (depth if self.kept[0] else 1), (depth if self.kept[1] else 1)

    @cached_property
    def residency(self) -> Residency:
        """What stays while the rest streams; with both panels kept the larger number of tiles a panel serves decides.

        A triangle is walked by rows.
        """
        if self.kept == (True, True):
            return "A" if self.grid[1] >= self.grid[0] else "B"
        return "A" if self.kept[0] else "B" if self.kept[1] else "C"

    @cached_property
    def shortest(self) -> int:
        """Shortest edge of the blocks that are multiplied, of which there may be fewer rows, columns or slabs than that."""
        return min(self.tile.rows, self.tile.cols, self.tile.depth)

    @cached_property
    def walk(self) -> Walk:
        """The tiles in order."""
        return walk_for((self.shape, self.tile, self.grid), self.residency, self.symmetry)

    @cached_property
    def busiest(self) -> int:
        """Tiles, or parts of tiles, of the worker with most of them."""
        if self.parts > 1:
            return -(-self.tiles * self.parts // self.workers)
        return self._most[0]

    @cached_property
    def imbalance(self) -> float:
        """Work of the worker that has most over the average: of the first two, who have no fewer tiles than any, or of some more."""
        if self.parts > 1:
            return self.least_imbalance * blocks(self.grid[2], self.parts) * self.parts / self.grid[2]
        return self._most[1]

    @cached_property
    def _most(self) -> tuple[int, float]:
        """`busiest` and `imbalance` of whole tiles."""
        (m, _, n), edges = self.shape, (self.tile.rows, self.tile.cols)
        return _most_of_all((m, n), edges, self.workers, self.residency == "B", self.symmetry)

    @property
    def hands(self) -> int:
        """Threads of each worker that read and encode."""
        return hands_of(self.device, self.layout.threads)

    @property
    def largest_share(self) -> float:
        """Largest fraction of all multiplications that one worker does, at most 1."""
        (m, _, n), slabs = self.shape, self.grid[2]
        of_a_tile = min(1.0, self.tile.rows * self.tile.cols / (m * n))
        return min(1.0, self.busiest * of_a_tile * blocks(slabs, self.parts) / slabs)

    @property
    def least_imbalance(self) -> float:
        """`imbalance` if all parts of a tile were equally deep."""
        return self.busiest * self.workers / (self.tiles * self.parts) if self.parts > 1 else self.imbalance


def with_slabs(way: Candidate, depth: int, kept: tuple[bool, bool]) -> Candidate:
    """The same tile edges, output and workers with other slabs."""
    return replace(way, tile=TileShape(way.tile.rows, way.tile.cols, depth), kept=kept)


@lru_cache(maxsize=1 << 14)
def _most_of_all(shape: tuple[int, int], edges: tuple[int, int], workers: int, by_columns: bool, symmetry: Symmetry) -> tuple[int, float]:
    """Most tiles that a worker has, and most work over the average: slabs of any depth have the same."""
    (m, n), (rows, cols) = shape, edges
    walk = walk_for(((m, 1, n), TileShape(rows, cols, 1), (blocks(m, rows), blocks(n, cols), 1)), "B" if by_columns else "C", symmetry)
    runs = [walk.run_of(worker, workers) for worker in range(min(walk.telling_runs, workers))]
    most = max(walk.work_before(run.stop) - walk.work_before(run.start) for run in runs)
    return max(map(len, runs)), max(1.0, workers * most / walk.work_before(len(walk)))
