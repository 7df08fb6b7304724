"""A floor under the time of every pair of tile edges, all pairs at once: few of them are then worth a closer look.

    whole tiles      (ideal + what is done again) / workers  x  imbalance  +  tasks
    parts of tiles   (ideal + what is done again) / workers  +  sums of two parts

The ideal reads, probes and converts A and B once. Of whole tiles, slabs cut no chunk, one operand's panels stay in memory, whatever that
takes, and the imbalance is that of the first worker, who has as many tiles as any. Parts come out even and find nothing in memory.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tasks.adding_up import adding_up
from tasks.candidate import Candidate
from tasks.cost import FIXED_SECONDS, again_for, ideal_lanes
from tasks.geometry import blocks, touches
from tasks.memory import PROBED_COLUMNS, keeps_probed
from tasks.options import PARTS_SHARE
from tasks.reads import slab_costs
from tasks.survey import Problem

Numbers = NDArray[np.float64]


def floors(problem: Problem, whole: Candidate, pairs: list[tuple[int, int]], cut: bool) -> list[tuple[float, float]]:
    """For each pair of edges, seconds and bytes moved: no candidate is estimated below them that has these edges and else is as the
    `whole` product in one tile.

    Infinity where there are fewer tiles than workers and they may not be `cut` along k; zero where something is not stored, or the
    product is symmetric: of such pairs it is only known one by one.
    """
    if problem.partial or whole.symmetry != "none":
        return [(0.0, 0.0)] * len(pairs)
    found = _Pairs(problem, whole, pairs)
    return list(zip(found.seconds(cut).tolist(), found.nbytes().tolist(), strict=True))


class _Pairs:
    """Pairs of edges, as arrays of one element each."""

    def __init__(self, problem: Problem, whole: Candidate, pairs: list[tuple[int, int]]) -> None:
        self._problem, self._whole, (m, k, n) = problem, whole, problem.shape
        self._rows, self._cols = np.array(pairs, np.float64).T
        self._gm, self._gn = np.ceil(m / self._rows), np.ceil(n / self._cols)
        self._inner_a, self._inner_b = self._gn - (self._gn - 1) / self._gm, self._gm - (self._gm - 1) / self._gn
        (high, deep), (long, wide) = problem.a.chunks, problem.b.chunks
        self._chunks_a = _chunks(m, [rows for rows, _ in pairs], high) * blocks(k, deep)
        self._chunks_b = _chunks(n, [cols for _, cols in pairs], wide) * blocks(k, long)
        self._again = again_for(problem, whole)
        units = (cost.unit for cost in slab_costs(problem, whole))
        self._rounding = sum(again.chunk / unit for again, unit in zip(self._again, units, strict=True)) / 2
        """Seconds of half a byte of A and one of B: estimates count whole bytes."""
        self._once = ideal_lanes(problem, whole)

    def nbytes(self) -> Numbers:
        unit_a, unit_b = (cost.unit for cost in slab_costs(self._problem, self._whole))
        of_a, of_b = unit_a * self._chunks_a, unit_b * self._chunks_b
        return np.minimum(of_a + of_b * self._inner_b, of_a * self._inner_a + of_b) + self._whole.output.nbytes - 1

    def seconds(self, cut: bool) -> Numbers:
        tiles, workers, task = self._gm * self._gn, self._whole.workers, self._whole.layout.rates.task
        few, cheap = tiles < workers, PARTS_SHARE * self._problem.k * (self._rows + self._cols) >= 2 * self._rows * self._cols
        whole = np.where(few, np.inf, self._of_whole_tiles() + np.ceil(tiles / workers) * task)
        parts = np.where(cut & (few | cheap), self._of_parts() + task, np.inf)
        return np.minimum(whole, parts) + FIXED_SECONDS

    def _of_whole_tiles(self) -> Numbers:
        (m, k, n), gm, gn, workers = self._problem.shape, self._gm, self._gn, self._whole.workers
        reading = np.minimum(self._reading(np.ones(1), self._inner_b), self._reading(self._inner_a, np.ones(1)))
        remembers = (gn <= PROBED_COLUMNS) & keeps_probed(k, 1, self._whole.probes)
        by_rows, by_columns = _imbalance((m, self._rows), (n, self._cols), workers), _imbalance((n, self._cols), (m, self._rows), workers)
        return self._busy(reading, np.where(remembers, np.minimum(gm, workers), gm)) * np.minimum(by_rows, by_columns)

    def _of_parts(self) -> Numbers:
        sums = adding_up(replace(self._whole, parts=2)) / self._whole.workers
        return self._busy(self._reading(self._gn, self._gm), self._gm) + sums

    def _reading(self, passes_a: Numbers, passes_b: Numbers) -> Numbers:
        of_a, of_b = self._again
        return of_a.chunk * self._chunks_a * passes_a + of_b.chunk * self._chunks_b * passes_b - self._rounding

    def _busy(self, reading: Numbers, probed_b: Numbers) -> Numbers:
        """Seconds of each worker, if all together read for so long and probe B so often; a device multiplies while its host reads."""
        (of_a, of_b), once, workers = self._again, self._once, self._whole.workers
        probing = ((self._gn - 1) * of_a.probe + (probed_b - 1) * of_b.probe) / workers
        multiplying = once["multiply"] + ((self._gn - 1) * of_a.convert + (self._gm - 1) * of_b.convert) / workers
        together = np.add if self._whole.device == "cpu" else np.maximum
        return together(reading / workers, multiplying) + probing + once["verify"] + once["encode"] + once["write"]


def _chunks(extent: int, edges: list[int], chunk: int) -> Numbers:
    """Chunks that one pass of tiles touches along an extent, for each of their edges."""
    found = {edge: touches(extent, edge, chunk) for edge in set(edges)}
    return np.array([found[edge] for edge in edges], np.float64)


def _imbalance(across: tuple[int, Numbers], along: tuple[int, Numbers], workers: int) -> Numbers:
    """Elements of the first worker's tiles over the average: extents and edges `across` the strips of a walk, and `along` them."""
    (width, strip), (length, edge) = across, along
    in_strip = np.ceil(length / edge)
    whole, rest = np.divmod(np.ceil(np.ceil(width / strip) * in_strip / workers), in_strip)
    reached = np.where(whole % 2 == 1, length - np.minimum((in_strip - rest) * edge, length), np.minimum(rest * edge, length))
    start, stop = np.minimum(whole * strip, width), np.minimum((whole + 1) * strip, width)
    return np.maximum(1.0, workers * (start * length + (stop - start) * reached) / (width * length))
