"""One way to do the job, before anyone knows whether it fits or pays: what the planner compares."""

from dataclasses import dataclass
from functools import cached_property

from storage import OutputSpec
from tasks.arithmetic import Arithmetic
from tasks.geometry import blocks
from tasks.hardware import Layout
from tasks.job import Durability
from tasks.plan import Residency, TileShape
from tasks.walk import Walk, run_of


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

    @cached_property
    def grid(self) -> tuple[int, int, int]:
        """Tiles along m and n, slabs along k."""
        m, k, n = self.shape
        return blocks(m, self.tile.rows), blocks(n, self.tile.cols), blocks(k, self.tile.depth)

    @cached_property
    def tiles(self) -> int:
        """Tiles of C."""
        return self.grid[0] * self.grid[1]

    @cached_property
    def slots(self) -> tuple[int, int]:
        """Slabs of A and of B in memory: all of a panel, or one."""
        depth = self.grid[2]
        return (depth if self.kept[0] else 1), (depth if self.kept[1] else 1)

    @property
    def residency(self) -> Residency:
        """What stays while the rest streams; with both panels kept the larger number of tiles a panel serves decides."""
        if self.kept == (True, True):
            return "A" if self.grid[1] >= self.grid[0] else "B"
        return "A" if self.kept[0] else "B" if self.kept[1] else "C"

    @property
    def walk(self) -> Walk:
        """The tiles in order."""
        return Walk(self.shape, self.tile, self.grid, self.residency)

    @property
    def busiest(self) -> int:
        """Tiles of the worker with most of them."""
        return -(-self.tiles // self.workers)

    @property
    def imbalance(self) -> float:
        """Elements of the worker that has most over the average: of the first two, who have no fewer tiles than any."""
        (m, _, n), walk = self.shape, self.walk
        owned = [run_of(worker, self.tiles, self.workers) for worker in range(min(2, self.workers))]
        most = max(walk.elements_before(run.stop) - walk.elements_before(run.start) for run in owned)
        return max(1.0, self.workers * most / (m * n))


def with_slabs(way: Candidate, depth: int, kept: tuple[bool, bool]) -> Candidate:
    """The same tile edges, output and workers with other slabs."""
    tile = TileShape(way.tile.rows, way.tile.cols, depth)
    workers = way.layout, way.workers, way.device
    return Candidate(way.shape, way.arithmetic, tile, kept, way.output, *workers, way.probes, way.durability, way.settles)
