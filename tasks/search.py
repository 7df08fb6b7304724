"""The fastest of all candidates for one arithmetic that fit the memory budget.

Candidates come in groups of equal tile edges and workers. `tasks.cost.ideal_seconds` bounds the time of some workers from
below, `tasks.cost.least_cost` that of one group, so both are opened in the order of that bound, until it leaves the
near-ties of the best candidate found: most are never opened, and the choice is the same as if all were.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from math import lcm
from operator import itemgetter

from storage import OutputSpec
from tasks.arithmetic import Arithmetic
from tasks.candidate import Candidate, with_slabs
from tasks.compression import candidates
from tasks.cost import cost_of, estimate, ideal_seconds, least_cost, planned_reads
from tasks.fit import Bar, Fit, Need
from tasks.geometry import blocks
from tasks.hardware import Hardware, Layout
from tasks.job import Job
from tasks.memory import ITEMSIZE, tile_memory
from tasks.options import LEAST_DEPTH, crews, depths, edges, may_be_cut, outputs, parts_for
from tasks.plan import TileShape
from tasks.precision import PROBES, Precision
from tasks.survey import Problem
from tasks.symmetry import tile_count

NEAR_TIE = 0.02
"""Candidates whose times differ by less are equal: `first_fastest` says which is taken."""

BYTES_TIE = 0.01
"""Among near-ties those that move more than the fewest bytes by no more than this are equal, too: then shorter steps are better."""

MOST_COUNTED = 16
"""Near-ties whose bytes are counted exactly."""

MOST_TILES = 1_000_000
"""Tiles of one run: the driver holds a record of each."""

_KEPT = ((False, False), (True, False), (False, True), (True, True))


@dataclass(frozen=True)
class Search:
    """What stays the same while candidates are compared."""

    job: Job
    problem: Problem
    hardware: Hardware
    budget: int
    reserve: Mapping[str, tuple[Arithmetic, ...]] = field(default_factory=dict[str, tuple[Arithmetic, ...]])
    """By arithmetic: others that tiles of the same shape may be computed in, for which there must be memory too."""

    def fastest(self, precision: Precision) -> Fit | None:
        """The fastest candidate within the budget, or None; smaller output chunks where larger do not fit or are much worse."""
        best, bar, times = None, Bar(), 0
        for output in self._outputs(precision):
            found, times = self._fastest_of(precision, output, bar), times + 1
            if found and bar.admits(found.price, found.cost):
                best, times = found, 0
            bar = Bar.above(best, times + 1) if best else Bar()
        return best

    def smallest(self, precision: Precision) -> Need:
        """The candidate that needs least memory."""
        choices = product(self._outputs(precision), self._crews)
        groups = (group for output, crew in choices for group in self._groups(self._whole(precision, output, crew)))
        return min(map(self._least_need, groups), key=lambda need: (not self._fits_device(need), need.total_bytes))

    def _fastest_of(self, precision: Precision, output: OutputSpec, bar: Bar) -> Fit | None:
        """The fastest candidate of one output that the bar admits."""
        wholes = enumerate(self._whole(precision, output, crew) for crew in self._crews)
        fits, limit = dict[int, list[Fit]](), bar.limit
        for ideal, place, whole in sorted((ideal_seconds(self.problem, whole), place, whole) for place, whole in wholes):
            if ideal <= limit * (1 + NEAR_TIE):
                fits[place] = self._fits_of_crew(whole, bar, limit)
                limit = min([limit, *(fit.price for fit in fits[place])])
        found = [fit for place in sorted(fits) for fit in fits[place]]
        return settle(self.problem, found) if found else None

    def _fits_of_crew(self, whole: Candidate, bar: Bar, limit: float) -> list[Fit]:
        """Candidates of these workers, every near-tie of the fastest among them, in the order of their groups."""
        tops = enumerate(top for group in self._groups(whole) for top in self._deepest(group))
        costs = ((least_cost(self.problem, top), place, top) for place, top in tops)
        fits: list[tuple[int, Fit]] = []
        for least, place, top in sorted((cost.seconds, place, top) for cost, place, top in costs if bar.admits(cost.seconds, cost)):
            if least > limit * (1 + NEAR_TIE):
                break
            opened = [fit for fit in self._fits(top, limit) if bar.admits(fit.price, fit.cost)]
            limit = min([limit, *(fit.price for fit in opened)])
            fits += ((place, fit) for fit in opened)
        return [fit for _, fit in sorted(fits, key=itemgetter(0))]

    def _deepest(self, group: Candidate) -> Iterator[Candidate]:
        """The group with each choice of panels to keep, and the deepest slabs that leave room for its accumulator."""
        k, tile, way = self.problem.k, group.tile, group
        panels = tile.rows * self.problem.a.matrix.dtype.itemsize, tile.cols * self.problem.b.matrix.dtype.itemsize
        room = self._room(group) - tile.rows * tile.cols * ITEMSIZE[way.arithmetic.accumulate]
        for kept in self._kept(way) if room > 0 else ():
            left = room - sum(k * panel for panel, stays in zip(panels, kept, strict=True) if stays)
            streamed = sum(panel for panel, stays in zip(panels, kept, strict=True) if not stays)
            deepest = k if streamed == 0 and left >= 0 else min(k - 1, left // streamed) if streamed else 0
            if deepest >= 1:
                yield with_slabs(way, deepest, kept)

    def _kept(self, group: Candidate) -> tuple[tuple[bool, bool], ...]:
        """Panels that may stay: none between the parts of tiles, and in a triangle, which is walked by rows, none of B alone."""
        if group.parts > 1:
            return _KEPT[:1]
        return _KEPT if group.symmetry == "none" else tuple(kept for kept in _KEPT if kept != (False, True))

    def _room(self, group: Candidate) -> int:
        """Bytes of one worker for matrices, at most."""
        if group.device != "cpu":
            return self.hardware.device_memory_bytes
        return self.budget // group.workers - group.layout.base_bytes

    def _fits(self, top: Candidate, limit: float) -> Iterator[Fit]:
        """The group's candidates within the budget, deepest slabs first; without those that surely take more than `limit` seconds."""
        for depth in self._depths:
            if depth > top.tile.depth or (depth == self.problem.k and top.kept != (True, True)):
                continue
            way = with_slabs(top, depth, top.kept)
            if way.grid[2] < way.parts:
                continue
            if estimate(self.problem, way, 0).seconds > limit * (1 + NEAR_TIE):
                continue
            need = self._need(way)
            if self._within(need):
                allocated = need.host_bytes - way.layout.base_bytes
                yield Fit(way, need.host_bytes, need.device_bytes, estimate(self.problem, way, allocated))

    def _whole(self, precision: Precision, output: OutputSpec, crew: tuple[Layout, int]) -> Candidate:
        """All of the product as one tile."""
        m, k, n = self.problem.shape
        tile, workers, settles = TileShape(m, n, k), (*crew, self.hardware.device), candidates(self.job, output.dtype)
        return Candidate(
            (m, k, n),
            precision.arithmetic,
            tile,
            _KEPT[-1],
            output,
            *workers,
            PROBES,
            self.job.durability,
            settles,
            symmetry=self.problem.symmetry,
        )

    def _groups(self, whole: Candidate) -> list[Candidate]:
        """A candidate for each choice of tile edges and parts, with k in one slab."""
        tiles = [replace(whole, tile=TileShape(rows, cols, self.problem.k)) for rows, cols in self._edges(whole.output)]
        cut = [(group, parts_for(self.job, self.problem, group)) for group in tiles if group.tiles <= MOST_TILES]
        return [replace(group, parts=parts) for group, counts in cut for parts in counts]

    @cached_property
    def _crews(self) -> list[tuple[Layout, int]]:
        m, _, n = self.problem.shape
        *_, finest = outputs(self.job, (m, n), "float64", self._along)
        grids = {(blocks(m, rows), blocks(n, cols)) for rows, cols in self._edges(finest)}
        counts = (tile_count(grid, self.problem.symmetry) for grid in grids)
        parts = max(1, self.problem.k // LEAST_DEPTH) if may_be_cut(self.job, self.problem) else 1
        return crews(self.job, self.hardware, parts * max(tiles for tiles in counts if tiles <= MOST_TILES))

    def _edges(self, output: OutputSpec) -> Iterable[tuple[int, int]]:
        """Rows and columns of tiles to try: of a triangle squares, which are whole files both as they are and turned."""
        (m, n), (height, width), (along_m, along_n) = output.shape, output.objects, self._along
        if self.problem.symmetry != "none":
            return ((edge, edge) for edge in edges(m, lcm(height, width), along_m))
        return product(edges(m, height, along_m), edges(n, width, along_n))

    def _outputs(self, precision: Precision) -> Iterator[OutputSpec]:
        found = outputs(self.job, (self.problem.m, self.problem.n), precision.dtype_out, self._along)
        return (replace(output, lower=True) for output in found) if self.problem.symmetry == "triangle" else found

    @property
    def _along(self) -> tuple[int, int]:
        """Edges of the inputs' chunks along m and n."""
        return self.problem.a.chunks[0], self.problem.b.chunks[1]

    def _least_need(self, group: Candidate) -> Need:
        """With the shallowest slabs, and no panel kept."""
        depth = self._depths[-1]
        return self._need(with_slabs(group, depth, _KEPT[0] if depth < self.problem.k else _KEPT[-1]))

    def _need(self, way: Candidate) -> Need:
        others = [replace(way, arithmetic=row) for row in self.reserve.get(way.arithmetic.name, ())]
        memory = [tile_memory(self.problem, other) for other in (way, *others)]
        return Need(way, way.layout.base_bytes + max(one.host_bytes for one in memory), max(one.device_bytes for one in memory))

    @cached_property
    def _depths(self) -> list[int]:
        return depths(self.problem)

    def _within(self, need: Need) -> bool:
        return need.total_bytes <= self.budget and self._fits_device(need)

    def _fits_device(self, need: Need) -> bool:
        return need.device_bytes <= self.hardware.device_memory_bytes or self.hardware.device == "cpu"


def settle(problem: Problem, fits: list[Fit]) -> Fit:
    """The best of the near-ties, once the bytes of the most promising are counted exactly instead of estimated."""
    ties = sorted(near_ties(fits), key=_preference)
    by_steps = sorted(of_fewest_bytes(ties), key=lambda fit: fit.wait)
    promising = {id(fit): fit for group in (ties, by_steps) for fit in group[:MOST_COUNTED]}
    return first_fastest([_counted(problem, fit) for fit in promising.values()])


def _counted(problem: Problem, fit: Fit) -> Fit:
    allocated = fit.host_bytes - fit.way.layout.base_bytes
    return replace(fit, cost=cost_of(problem, fit.way, planned_reads(problem, fit.way), allocated))


def near_ties(fits: list[Fit]) -> list[Fit]:
    """Those that cost about as little as any, deaths included."""
    limit = min(fit.price for fit in fits) * (1 + NEAR_TIE)
    return [fit for fit in fits if fit.price <= limit]


def of_fewest_bytes(fits: list[Fit]) -> list[Fit]:
    """Those of fewest BLAS threads a worker that move about as few bytes as any of them."""
    threads = min(fit.way.layout.threads for fit in fits)
    fits = [fit for fit in fits if fit.way.layout.threads == threads]
    limit = min(fit.cost.bytes_moved for fit in fits) * (1 + BYTES_TIE)
    return [fit for fit in fits if fit.cost.bytes_moved <= limit]


def first_fastest(fits: list[Fit]) -> Fit:
    """The fastest; among near-ties fewer BLAS threads a worker, then about the fewest bytes moved, then short steps, then fewer bytes,
    then whole tiles, then less memory, then the first.

    Raises ValueError when there is none.
    """
    return min(of_fewest_bytes(near_ties(fits)), key=lambda fit: (fit.wait, _preference(fit)))


def _preference(fit: Fit) -> tuple[int, int, bool, int]:
    return fit.way.layout.threads, fit.cost.bytes_moved, fit.way.parts > 1, fit.total_bytes
