"""The fastest of all candidates for one arithmetic that fit the memory budget.

Candidates come in groups of equal tile edges and workers. `tasks.cost.ideal_seconds` bounds the time of some workers from below,
`tasks.floors` that of each pair of edges, and `tasks.cost.least_cost` that of one group of such tiles. All are opened in the order of
these bounds, until they leave the near-ties of the best candidate found: most are never opened, and the choice is the same as if all were.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import product
from math import lcm
from operator import itemgetter

from storage import OutputSpec
from tasks.arithmetic import Arithmetic
from tasks.candidate import Candidate, with_slabs
from tasks.compression import candidates
from tasks.cost import Cost, estimate, ideal_seconds, least_cost, with_buffers
from tasks.fit import Bar, Fit, Need
from tasks.floors import floors
from tasks.geometry import blocks
from tasks.hardware import Hardware, Layout
from tasks.job import Job
from tasks.memory import ITEMSIZE, tile_memory
from tasks.options import LEAST_DEPTH, crews, depths, edges, may_be_cut, outputs, parts_for
from tasks.plan import TileShape
from tasks.precision import PROBES, Precision
from tasks.survey import Problem
from tasks.symmetry import tile_count
from tasks.ties import NEAR_TIE, settle

MOST_TILES = 1_000_000
"""Tiles of one run: the driver holds a record of each."""

_Place = tuple[int, ...]
"""Of a pair of edges, or of a group of its tiles: what is found first is taken first."""

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
            if found and bar.admits(found.price, found.cost.bytes_moved):
                best, times = found, 0
            bar = Bar.above(best, times + 1) if best else Bar()
        return best

    def smallest(self, precision: Precision) -> Need:
        """The candidate that needs least memory."""
        choices = product(self._outputs(precision), self._crews)
        wholes = (self._whole(precision, output, crew) for output, crew in choices)
        groups = (group for whole in wholes for group in self._groups(whole, self._edges(whole.output)))
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
        pairs, fits = list(self._edges(whole.output)), list[tuple[_Place, Fit]]()
        least = enumerate(floors(self.problem, whole, pairs, may_be_cut(self.job, self.problem)))
        queue: list[tuple[float, _Place, Candidate | None]] = [
            (seconds, (place,), None) for place, (seconds, nbytes) in least if bar.admits(seconds, nbytes)
        ]
        heapify(queue)
        while queue and queue[0][0] <= limit * (1 + NEAR_TIE):
            _, place, top = heappop(queue)
            if top is None:
                for number, (least, group) in enumerate(self._tops(whole, pairs[place[0]], bar)):
                    heappush(queue, (least, (*place, number), group))
            else:
                opened = list(self._fits(top, bar, limit))
                limit = min([limit, *(fit.price for fit in opened)])
                fits += ((place, fit) for fit in opened)
        return [fit for _, fit in sorted(fits, key=itemgetter(0))]

    def _tops(self, whole: Candidate, pair: tuple[int, int], bar: Bar) -> Iterator[tuple[float, Candidate]]:
        """The groups of a pair of edges with the least time of each, if the bar may admit any of it."""
        tops = (top for group in self._groups(whole, [pair]) for top in self._deepest(group))
        costs = ((least_cost(self.problem, top), top) for top in tops)
        return ((least.seconds, top) for least, top in costs if bar.admits(least.seconds, least.bytes_moved))

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

    def _fits(self, top: Candidate, bar: Bar, limit: float) -> Iterator[Fit]:
        """The group's candidates within the budget that the bar admits, deepest slabs first, if they take about `limit` seconds at most."""
        for depth in self._depths:
            if depth > top.tile.depth or (depth == self.problem.k and top.kept != (True, True)):
                continue
            way = with_slabs(top, depth, top.kept)
            if way.grid[2] < way.parts:
                continue
            cost = estimate(self.problem, way, 0)
            if cost.seconds > limit * (1 + NEAR_TIE) or not bar.admits(cost.seconds, cost.bytes_moved):
                continue
            fit = self._fit(way, cost)
            if self._within(fit) and bar.admits(fit.price, cost.bytes_moved):
                yield fit

    def _fit(self, way: Candidate, cost: Cost) -> Fit:
        """A candidate that was priced without its buffers, with them."""
        need = self._need(way)
        sees_no_disk = self.problem.warmth is None
        exact = with_buffers(cost, way, need.allocated) if sees_no_disk else estimate(self.problem, way, need.allocated)
        return Fit(way, need.host_bytes, need.device_bytes, exact)

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

    def _groups(self, whole: Candidate, pairs: Iterable[tuple[int, int]]) -> list[Candidate]:
        """A candidate for each of these pairs of tile edges and each choice of parts, with k in one slab."""
        tiles = [replace(whole, tile=TileShape(rows, cols, self.problem.k)) for rows, cols in pairs]
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
