"""Seconds and bytes of a candidate on measured rates: formulas only.

One worker runs its lanes one after the other (a prefetch thread gains nothing on busy cores), so its time is the sum of

    read      decoded bytes / decode rate  +  files opened x seconds a file  +  waiting for the disk (`tasks.waiting`)
    multiply  2 m k n / rate at the tile's shortest edge  +  traffic of the accumulator, read and written once a slab
              +  traffic of conversions: a slab is read twice (largest values, slices) and its slices written, once a tile
    verify    elements that pass the probes / probe rate; those of B once a worker, where it keeps what it found (`tasks.memory`)
    encode    bytes of C / encode rate
    write     bytes of C / write rate, synced or not, as if compression saved nothing
    (read)    the buffers' first touch: their bytes / page-fault rate, once a worker

and the run takes as long as the worker with most tiles, plus a fixed part. `tasks.dense_work` counts elements; where parts of A or B are
known to be zero, only what is left counts (`tasks.work`, `tasks.sparse_walk`). Where tiles are summed up in parts, each part goes through
a file to who adds it up: the others wait meanwhile (`tasks.adding_up`). A worker with a device reads and encodes with all its threads, and
what it reads while that multiplies is no time of `multiply`: there it is what is waited for.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from tasks.adding_up import adding_up, partial_bytes
from tasks.arithmetic import Arithmetic
from tasks.candidate import Candidate, with_slabs
from tasks.dense_work import least_work, work_of
from tasks.geometry import SlabCosts
from tasks.memory import ITEMSIZE, keeps_probed
from tasks.plan import TileShape
from tasks.reads import Reads, estimated_reads, passes_over_inputs
from tasks.survey import Operand, Problem
from tasks.waiting import waiting_for_disk
from tasks.work import FINEST, Work

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
    waiting: float = 0.0
    """Of `seconds`: for bytes that are not in the page cache."""

    @property
    def bytes_moved(self) -> int:
        """Everything that goes to storage or comes from there."""
        return self.bytes_read + self.bytes_written + 2 * self.bytes_of_parts


class Again(NamedTuple):
    """Seconds that one worker takes to do with an operand once more what every candidate does once."""

    chunk: float
    """To decode one of its chunks."""
    probe: float
    """To probe all of it."""
    convert: float
    """To make all of it ready for the arithmetic."""


def estimate(problem: Problem, way: Candidate, host_bytes: int) -> Cost:
    """Predicted cost from closed formulas, without playing the walk; `host_bytes` are what a worker allocates."""
    return cost_of(problem, way, estimated_reads(problem, way, passes_over_inputs(way)), host_bytes)


def least_cost(problem: Problem, way: Candidate) -> Cost:
    """No candidate that differs from this one only in shallower slabs is estimated below this, in seconds or in bytes.

    It cuts no chunk along k and allocates nothing.
    """
    uncut, finest = with_slabs(way, problem.k, way.kept), (way.tile.rows, way.tile.cols, FINEST)
    reads = estimated_reads(problem, uncut, passes_over_inputs(way), finest)
    cost = cost_of(problem, way, reads, 0, work_of(problem, way, finest))
    return replace(cost, seconds=cost.seconds - sum(cost.lanes.values()) * (way.imbalance - way.least_imbalance))


def ideal_seconds(problem: Problem, way: Candidate) -> float:
    """No candidate with this one's arithmetic and workers is estimated below this."""
    lanes = ideal_lanes(problem, way)
    return sum(lanes.values()) - _hidden(way, lanes, 0.0) + way.layout.rates.task + FIXED_SECONDS


def ideal_lanes(problem: Problem, way: Candidate) -> dict[str, float]:
    """Seconds of each worker by lane, with perfect balance, one tile and one pass; nothing at the same time."""
    whole = replace(way, tile=TileShape(problem.m, problem.n, problem.k), kept=(True, True))
    finest = (FINEST, FINEST, FINEST)
    reads = estimated_reads(problem, whole, (1.0, 1.0 if way.symmetry == "none" else 0.0), finest)
    total, _ = _lanes(problem, whole, reads, 0, least_work(problem, whole, finest))
    return {lane: seconds / whole.workers for lane, seconds in total.items()}


def again_for(problem: Problem, way: Candidate) -> tuple[Again, Again]:
    """Seconds for what has to be done with A, and with B, beyond the ideal."""
    return _again(problem, way, problem.a), _again(problem, way, problem.b)


def cost_of(problem: Problem, way: Candidate, reads: Reads, host_bytes: int, work: Work | None = None) -> Cost:
    """Predicted cost where it is known what is read, and how much there is to do: by default what the candidate's tiles do."""
    total, waiting = _lanes(problem, way, reads, host_bytes, work or work_of(problem, way))
    total["multiply"] -= _hidden(way, total, reads.alone)
    lanes = {lane: seconds / way.workers for lane, seconds in total.items()}
    alone = adding_up(way) + way.busiest * way.layout.rates.task + FIXED_SECONDS
    seconds = sum(lanes.values()) * way.imbalance + alone
    cost = Cost(lanes, seconds, reads.nbytes, way.output.nbytes, partial_bytes(way), waiting * way.imbalance / way.workers)
    return with_buffers(cost, way, host_bytes) if host_bytes else cost


def _lanes(problem: Problem, way: Candidate, reads: Reads, host_bytes: int, work: Work) -> tuple[dict[str, float], float]:
    """Seconds of all workers by lane, one after the other, and how many of them wait for the disk."""
    rates, bytes_written = way.layout.rates, way.output.nbytes
    total = {
        "read": (reads.nbytes / _decode_rate(problem, way) + reads.files * SECONDS_PER_FILE) / way.hands,
        "multiply": work.flops / rates.speed(way.arithmetic.name, way.shortest) * _waiting(way)
        + (2.0 * work.accumulated * ITEMSIZE[way.arithmetic.accumulate] + _conversion_traffic(problem, way, work)) / rates.copy,
        "verify": _probed_elements(problem, way, work) / rates.probe,
        "encode": bytes_written / rates.encode[way.output.codec] / way.hands,
        "write": bytes_written / (rates.write if way.durability == "power" else rates.write_unsynced),
    }
    waiting = waiting_for_disk(problem, way, reads, (total["read"] + total["multiply"] + total["verify"], host_bytes))
    total["read"] += waiting
    return total, waiting


def _hidden(way: Candidate, lanes: dict[str, float], alone: float) -> float:
    """Seconds that a device multiplies while its host reads: all slabs of a tile come meanwhile but the first, their share `alone`."""
    return min(lanes["multiply"], lanes["read"] * (1 - alone)) if way.device != "cpu" else 0.0


def with_buffers(cost: Cost, way: Candidate, host_bytes: int) -> Cost:
    """The cost of a candidate that was priced without what a worker allocates, with it; what is cached is taken not to change."""
    first_touch = host_bytes / way.layout.rates.touch
    return replace(cost, lanes=cost.lanes | {"read": cost.lanes["read"] + first_touch}, seconds=cost.seconds + first_touch)


def _decode_rate(problem: Problem, way: Candidate) -> float:
    """Of the operand that decodes slower."""
    rates = way.layout.rates.decode
    return min(rates.get(operand.matrix.codec, min(rates.values())) for operand in (problem.a, problem.b))


def _waiting(way: Candidate) -> float:
    return WAITING if way.layout.threads > 1 and way.device == "cpu" else 1.0


def _conversion_traffic(problem: Problem, way: Candidate, work: Work) -> float:
    return sum(count * _conversion(way.arithmetic, operand) for count, operand in zip(work.converted, (problem.a, problem.b), strict=True))


def _conversion(row: Arithmetic, operand: Operand) -> float:
    """Bytes of traffic for each element."""
    return 2.0 * operand.itemsize + row.slices * ITEMSIZE[row.stored_as] if row.converts(operand.dtype) else 0.0


def _again(problem: Problem, way: Candidate, operand: Operand) -> Again:
    rates, cost, elements = way.layout.rates, SlabCosts(operand, *operand.shape), operand.shape[0] * operand.shape[1]
    chunk = (cost.unit / _decode_rate(problem, way) + cost.whole_chunks * SECONDS_PER_FILE) / way.hands
    return Again(chunk, elements / rates.probe, elements * _conversion(way.arithmetic, operand) / rates.copy)


def _probed_elements(problem: Problem, way: Candidate, work: Work) -> float:
    of_a, of_b = work.passed
    if way.parts == 1 and keeps_probed(problem.k, way.grid[1], way.probes):
        of_b = min(of_b, work.once_b * min(way.grid[0], way.workers))
    return of_a + of_b + work.elements
