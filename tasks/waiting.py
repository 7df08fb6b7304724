"""How long a run waits for bytes that are not in the page cache. Pure.

    disk      slab 0 | slab 1    | slab 2 ...              the next slab is fetched while this one is decoded, multiplied and probed;
    worker           | slab 0    | slab 1 ...              the first one of a tile comes alone

    waited = alone cold + max(0, (1 - alone) (cold - behind))        behind: seconds that are spent on what was cold

Each file is cold once if all that is read between two uses of it fits into the page cache, and as often as it is read where it does not.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.candidate import Candidate
    from tasks.reads import Reads
    from tasks.survey import Problem
    from tasks.warmth import Warmth

Pair = tuple[float, float]
"""Of A, and of B."""


def waiting_for_disk(problem: "Problem", way: "Candidate", reads: "Reads", load: tuple[float, int]) -> float:
    """Seconds of all workers together; `load` are those that they spend on what they read, and the bytes that each allocates."""
    warmth, (busy, host_bytes) = problem.warmth, load
    if warmth is None:
        return 0.0
    operands = zip(reads.by_operand, (problem.a.matrix, problem.b.matrix), strict=True)
    of_a, of_b = (nbytes / max(1, matrix.decoded_bytes(slice(None), slice(None))) for nbytes, matrix in operands)
    cold = cold_bytes(warmth, way, (of_a, of_b), host_bytes)
    everything = of_a * warmth.nbytes[0] + of_b * warmth.nbytes[1]
    return waited(cold / way.layout.rates.uncached, busy * cold / everything, reads.alone) if cold else 0.0


def waited(cold: float, behind: float, alone: float) -> float:
    """Seconds of `cold` that nothing hides, where a share of it comes `alone` and `behind` goes on beside the rest.

    >>> waited(8.0, 5.0, 1.0), waited(8.0, 5.0, 0.25), waited(8.0, 100.0, 0.25)
    (8.0, 4.25, 2.0)
    """
    return alone * cold + max(0.0, (1 - alone) * (cold - behind))


def cold_bytes(warmth: "Warmth", way: "Candidate", passes: Pair, host_bytes: int) -> float:
    """Bytes that come from the disk while A and B are read so often, by workers who allocate `host_bytes` each."""
    room = warmth.room - way.workers * (way.layout.base_bytes + host_bytes)
    of_a, of_b = (min(1.0, count) for count in passes)
    once = (max(of_a, of_b), 0.0) if warmth.shared else (of_a, of_b)  # B finds what A left
    again = [max(0.0, count - seen) * (needed > room) for count, seen, needed in zip(passes, once, _between(warmth, way), strict=True)]
    return sum(nbytes * (share * seen + more) for nbytes, share, seen, more in zip(warmth.nbytes, warmth.cold, once, again, strict=True))


def _between(warmth: "Warmth", way: "Candidate") -> Pair:
    """Bytes of files that are read between two uses of one of A, and of B: panels within a strip of the walk, or all that a strip reads."""
    columns_outside = way.residency == "B"
    strips, length = way.grid[:2][::-1] if columns_outside else way.grid[:2]
    outer, inner = warmth.nbytes[::-1] if columns_outside else warmth.nbytes
    panels = way.workers * outer / strips
    of_outer, of_inner = (min(warmth.total, count) for count in (panels + way.workers * inner / length, panels + inner))
    return (of_inner, of_outer) if columns_outside else (of_outer, of_inner)
