"""Seconds and bytes of a candidate on measured rates: formulas only.

One worker runs its lanes one after the other (a prefetch thread gains nothing on busy cores), so its time is the sum of

    read      decoded bytes / decode rate  +  files opened x seconds a file
    multiply  2 m k n / rate at the tile's shortest edge  +  traffic of the accumulator, read and written once a slab
              +  traffic of conversions: a slab is read twice (largest values, slices) and its slices written, once a tile
    verify    elements that pass the probes / probe rate; those of B once a worker, where it keeps what it found (`tasks.memory`)
    encode    bytes of C / encode rate
    write     bytes of C / write rate, synced or not, as if compression saved nothing
    (read)    the buffers' first touch: their bytes / page-fault rate, once a worker

and the run takes as long as the worker with most tiles, plus a fixed part. `tasks.dense_work` counts elements; where parts of A or B are
known to be zero, only what is left counts (`tasks.work`, `tasks.sparse_walk`). Where tiles are summed up in parts, each part goes through
a file to who adds it up: the others wait meanwhile.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from tasks.candidate import Candidate, with_slabs
from tasks.dense_work import least_work, triangle_passes, work_of
from tasks.geometry import SlabCosts
from tasks.memory import ITEMSIZE, keeps_probed
from tasks.plan import TileShape
from tasks.sparse_walk import sparse_reads
from tasks.survey import Problem
from tasks.walk import planned_chunks
from tasks.work import FINEST, Work, sparsity_of

SECONDS_PER_FILE = 1.5e-4
"""Open, stat, read and close one chunk file, beyond its bytes."""

WAITING = 1.08
"""Threads that multiply together wait for the one whose core somebody else used: what that is worth, over the rate that was measured
with nobody else there. (Runs of one worker with two threads took 1.00 to 1.2 of what they were predicted to take without it, and 1.9
beside other work, where two workers with one thread each take 1.5 at most.)"""

FIXED_SECONDS = 0.07
"""Survey, staging, publish."""


@dataclass(frozen=True)
class Cost:
    """What a candidate takes."""

    lanes: dict[str, float]
    """Seconds of one worker by lane, averaged over workers."""
    seconds: float
    bytes_read: int
    bytes_written: int
    bytes_of_parts: int = 0
    """Partial sums, written once and read once."""

    @property
    def bytes_moved(self) -> int:
        """Everything that goes to storage or comes from there."""
        return self.bytes_read + self.bytes_written + 2 * self.bytes_of_parts


@dataclass(frozen=True)
class Reads:
    """What all workers together read."""

    by_operand: tuple[int, int]
    """Decoded bytes of A, and of B."""
    files: float
    """Chunk files opened."""

    @property
    def nbytes(self) -> int:
        """Decoded bytes of A and B."""
        return sum(self.by_operand)


def estimate(problem: Problem, way: Candidate, host_bytes: int) -> Cost:
    """Predicted cost from closed formulas, without playing the walk; `host_bytes` are what a worker allocates."""
    return cost_of(problem, way, _reads(problem, way, passes_over_inputs(way)), host_bytes)


def least_cost(problem: Problem, way: Candidate) -> Cost:
    """No candidate that differs from this one only in shallower slabs is estimated below this, in seconds or in bytes.

    It cuts no chunk along k and allocates nothing.
    """
    uncut, finest = with_slabs(way, problem.k, way.kept), (way.tile.rows, way.tile.cols, FINEST)
    reads = _reads(problem, uncut, passes_over_inputs(way), finest)
    cost = cost_of(problem, way, reads, 0, work_of(problem, way, finest))
    return replace(cost, seconds=cost.seconds - sum(cost.lanes.values()) * (way.imbalance - way.least_imbalance))


def ideal_seconds(problem: Problem, way: Candidate) -> float:
    """No candidate with this one's arithmetic and workers is estimated below this: perfect balance, one tile, one pass."""
    whole = replace(way, tile=TileShape(problem.m, problem.n, problem.k), kept=(True, True))
    finest = (FINEST, FINEST, FINEST)
    reads = _reads(problem, whole, (1.0, 1.0 if way.symmetry == "none" else 0.0), finest)
    lanes = cost_of(problem, whole, reads, 0, least_work(problem, whole, finest)).lanes
    return sum(lanes.values()) + way.layout.rates.task + FIXED_SECONDS


def planned_reads(problem: Problem, way: Candidate) -> Reads:
    """What the walk reads if each worker keeps to its run: exact."""
    costs, sparse = slab_costs(problem, way), sparse_reads(problem, way)
    if sparse is not None:
        return _sum_of(sparse, costs)
    if problem.sparse or way.parts > 1:
        return _reads(problem, way, passes_over_inputs(way))
    chunks = planned_chunks(way.walk, way.slots, way.workers, costs)
    counted = list(zip(chunks, costs, strict=True))
    return Reads(_each(count * cost.unit for count, cost in counted), sum(count for count, cost in counted if cost.whole_chunks))


def dense_reads(problem: Problem, way: Candidate) -> int:
    """Bytes that the walk would read if nothing were known to be zero."""
    costs = slab_costs(problem, way)
    return sum(count * cost.unit for count, cost in zip(planned_chunks(way.walk, way.slots, way.workers, costs), costs, strict=True))


def cost_of(problem: Problem, way: Candidate, reads: Reads, host_bytes: int, work: Work | None = None) -> Cost:
    """Predicted cost where it is known what is read, and how much there is to do: by default what the candidate's tiles do."""
    rates, work = way.layout.rates, work or work_of(problem, way)
    bytes_written = way.output.elements * np.dtype(way.output.dtype).itemsize
    total = {
        "read": reads.nbytes / _decode_rate(problem, way) + reads.files * SECONDS_PER_FILE,
        "multiply": work.flops / rates.speed(way.arithmetic.name, way.shortest) * _waiting(way)
        + (2.0 * work.accumulated * ITEMSIZE[way.arithmetic.accumulate] + _conversion_traffic(problem, way, work)) / rates.copy,
        "verify": _probed_elements(problem, way, work) / rates.probe,
        "encode": bytes_written / rates.encode[way.output.codec],
        "write": bytes_written / (rates.write if way.durability == "power" else rates.write_unsynced),
    }
    lanes = {lane: seconds / way.workers for lane, seconds in total.items()}
    busy = sum(lanes.values()) * way.imbalance
    first_touch = host_bytes / rates.touch
    lanes["read"] += first_touch
    alone = first_touch + _adding_up(problem, way) + way.busiest * rates.task + FIXED_SECONDS
    return Cost(lanes, busy + alone, reads.nbytes, bytes_written, partial_bytes(problem, way))


def slab_costs(problem: Problem, way: Candidate) -> tuple[SlabCosts, SlabCosts]:
    """Bytes and files of every slab of A and of B."""
    return SlabCosts(problem.a, way.tile.rows, way.tile.depth), SlabCosts(problem.b, way.tile.depth, way.tile.cols)


def passes_over_inputs(way: Candidate) -> tuple[float, float]:
    """How often A and B are read: estimates for ranking, exact for one worker.

    The outer operand changes panel with every strip of the walk; kept, it is read once (and again by each worker that starts
    inside a strip). The inner one is read once a strip, less what is still in memory where the snake turns.
    """
    if way.symmetry != "none":
        return triangle_passes(way)
    gm, gn, gk = way.grid
    if way.parts > 1:
        return float(gn), float(gm)
    columns_outside = way.residency == "B"
    strips, length = (gn, gm) if columns_outside else (gm, gn)
    kept_outer, kept_inner = way.kept[::-1] if columns_outside else way.kept
    outer = 1 + max(0, way.workers - strips) / strips if kept_outer else 1 + (length - 1) * (1 - 1 / gk)
    inner = strips - (strips - 1) / (length * (1 if kept_inner else gk))
    return (inner, outer) if columns_outside else (outer, inner)


def _reads(problem: Problem, way: Candidate, passes: tuple[float, float], cut: tuple[int, int, int] | None = None) -> Reads:
    costs, sparsity, tile = slab_costs(problem, way), sparsity_of(problem), way.tile
    if sparsity is not None:
        return _sum_of(sparsity.reads(cut or (tile.rows, tile.cols, tile.depth), passes), costs)
    counted = [(cost.chunks_in_one_pass() * count, cost) for count, cost in zip(passes, costs, strict=True)]
    return Reads(_each(round(chunks * cost.unit) for chunks, cost in counted), sum(chunks for chunks, cost in counted if cost.whole_chunks))


def _sum_of(nbytes: tuple[float, float], costs: tuple[SlabCosts, SlabCosts]) -> Reads:
    counted = list(zip(nbytes, costs, strict=True))
    return Reads(_each(round(count) for count, _ in counted), sum(count / cost.unit for count, cost in counted if cost.whole_chunks))


def _each(nbytes: Iterable[int]) -> tuple[int, int]:
    of_a, of_b = nbytes
    return of_a, of_b


def _decode_rate(problem: Problem, way: Candidate) -> float:
    """Of the operand that decodes slower."""
    rates = way.layout.rates.decode
    return min(rates.get(operand.matrix.codec, min(rates.values())) for operand in (problem.a, problem.b))


def _waiting(way: Candidate) -> float:
    return WAITING if way.layout.threads > 1 and way.device == "cpu" else 1.0


def _adding_up(problem: Problem, way: Candidate) -> float:
    """Seconds that the parts of the product take beyond their work, one after the other."""
    if way.parts == 1:
        return 0.0
    rates, nbytes = way.layout.rates, partial_bytes(problem, way)
    kept = nbytes / (rates.write if way.durability == "power" else rates.write_unsynced)
    summed = nbytes / rates.decode.get("none", min(rates.decode.values()))
    return kept / way.workers + (summed + 3 * nbytes / rates.copy) / min(way.tiles, way.workers)


def partial_bytes(problem: Problem, way: Candidate) -> int:
    """Bytes of all partial sums, which are written once and read once; 0 where there are none."""
    return way.parts * problem.m * problem.n * ITEMSIZE[way.arithmetic.accumulate] if way.parts > 1 else 0


def _conversion_traffic(problem: Problem, way: Candidate, work: Work) -> float:
    row = way.arithmetic
    sliced, (of_a, of_b) = row.slices * ITEMSIZE[row.stored_as], work.converted
    counted = ((problem.a.matrix.dtype, of_a), (problem.b.matrix.dtype, of_b))
    return sum(count * (2.0 * dtype.itemsize + sliced) for dtype, count in counted if row.converts(dtype.name))


def _probed_elements(problem: Problem, way: Candidate, work: Work) -> float:
    of_a, of_b = work.passed
    if way.parts == 1 and keeps_probed(problem.k, way.grid[1], way.probes):
        of_b = min(of_b, work.once_b * min(way.grid[0], way.workers))
    return of_a + of_b + work.elements
