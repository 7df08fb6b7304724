"""What a candidate reads: bytes of A and B and the files opened for them, estimated for ranking, and counted once it is chosen."""

from collections.abc import Iterable
from typing import NamedTuple

from tasks.candidate import Candidate
from tasks.dense_work import triangle_passes
from tasks.geometry import SlabCosts, blocks
from tasks.sparse_walk import sparse_reads
from tasks.survey import Problem
from tasks.walk import planned_chunks
from tasks.work import sparsity_of, stored_of


class Reads(NamedTuple):
    """What all workers together read."""

    by_operand: tuple[int, int]
    """Decoded bytes of A, and of B."""
    files: float
    """Chunk files opened."""
    alone: float = 0.0
    """Share of them that is read while nothing is multiplied: the first slabs of tiles."""

    @property
    def nbytes(self) -> int:
        """Decoded bytes of A and B."""
        return sum(self.by_operand)


def planned_reads(problem: Problem, way: Candidate) -> Reads:
    """What the walk reads if each worker keeps to its run: exact."""
    costs, sparse = slab_costs(problem, way), sparse_reads(problem, way)
    if sparse is not None:
        return _sum_of(sparse, costs, _alone(way))
    if problem.partial or way.parts > 1:
        return estimated_reads(problem, way, passes_over_inputs(way))
    chunks = planned_chunks(way.walk, way.slots, way.workers, costs)
    counted = list(zip(chunks, costs, strict=True))
    files = sum(count for count, cost in counted if cost.whole_chunks)
    return Reads(_each(count * cost.unit for count, cost in counted), files, _alone(way))


def dense_reads(problem: Problem, way: Candidate) -> int:
    """Bytes that the walk would read if nothing were known to be zero."""
    costs = slab_costs(problem, way)
    return sum(count * cost.unit for count, cost in zip(planned_chunks(way.walk, way.slots, way.workers, costs), costs, strict=True))


def estimated_reads(problem: Problem, way: Candidate, passes: tuple[float, float], cut: tuple[int, int, int] | None = None) -> Reads:
    """What so many passes over A and B read; `cut` is how a bound cuts the product: then nothing is read alone."""
    alone = 0.0 if cut else _alone(way)
    costs, sparsity, tile = slab_costs(problem, way), sparsity_of(problem), way.tile
    if sparsity is not None:
        return _sum_of(sparsity.reads(cut or (tile.rows, tile.cols, tile.depth), passes), costs, alone)
    if (stored := stored_of(problem)) is not None:
        return _sum_of(stored.whole_reads(cut or (tile.rows, tile.cols, tile.depth), passes), costs, alone)
    counted = [(cost.chunks_in_one_pass() * count, cost) for count, cost in zip(passes, costs, strict=True)]
    files = sum(chunks for chunks, cost in counted if cost.whole_chunks)
    return Reads(_each(round(chunks * cost.unit) for chunks, cost in counted), files, alone)


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


def _sum_of(nbytes: tuple[float, float], costs: tuple[SlabCosts, SlabCosts], alone: float) -> Reads:
    counted = list(zip(nbytes, costs, strict=True))
    files = sum(count / cost.unit for count, cost in counted if cost.whole_chunks)
    return Reads(_each(round(count) for count, _ in counted), files, alone)


def _alone(way: Candidate) -> float:
    return 1 / blocks(way.grid[2], way.parts)


def _each(nbytes: Iterable[int]) -> tuple[int, int]:
    of_a, of_b = nbytes
    return of_a, of_b
