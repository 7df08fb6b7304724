"""What a plan says of zeros: what is left out, and the least bytes that a schedule can move where parts are not stored.

    bytes >= max( what is stored of A and meets anything of B, the same of B, and C            each read or written once
                  2 V / sqrt(S) - 2 p S, 3 V**(2/3) )                                        V: multiplications of stored parts

Of a symmetric product A is read once, for both sides, and V are those below the diagonal over sqrt(2).

The bounds of `tasks.bound` in V hold for any set of multiplications, boxes or not (Loomis and Whitney). Of a sparse matrix it is not known
how many of them no schedule can leave out, so there only the first counts.
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from tasks.bound import Team
from tasks.candidate import Candidate
from tasks.dense_work import work_of
from tasks.plan import Skipped
from tasks.reads import dense_reads
from tasks.survey import Operand, Problem
from tasks.work import FINEST, Panels, stored_of

_ROUNDING = 1e-9
"""The sums' own rounding, taken off so that the bound stays one."""


def skipped(problem: Problem, way: Candidate, bytes_read: int) -> Skipped | None:
    """What the walk leaves out; None where nothing is known to be zero."""
    if not problem.sparse:
        return None
    work, (gm, gn, gk) = work_of(problem, way), way.grid
    return Skipped(
        slabs=gm * gn * gk - round(work.slabs),
        of=gm * gn * gk,
        bytes_read=max(0, dense_reads(problem, way) - bytes_read),
        flops=max(0, problem.flops - round(work.flops)),
    )


def stored_lower_bound(problem: Problem, itemsizes: tuple[int, int, int], team: Team) -> int:
    """Bytes that no schedule can do without; `itemsizes` are those of A, B and C."""
    sparsity = stored_of(problem)
    assert sparsity is not None
    depths, (a, b) = np.diff(sparsity.slab_edges(FINEST)).astype(np.float64), sparsity.stored()
    once = [_once(operand, panels, depths) for operand, panels in ((problem.a, a), (problem.b, b))]
    if problem.is_symmetric:  # what is stored of A meets at least itself, and is all of B, too
        read, volume = once[0].sum(), (depths * a.lines * (a.lines - 1)).sum() / 2 / sqrt(2)
    else:
        of_a, of_b = sparsity.panels_a(FINEST, FINEST), sparsity.panels_b(FINEST, FINEST)
        met = (of_b.panels > 0) | sparsity.rule.whole_a, (of_a.panels > 0) | sparsity.rule.whole_b
        read, volume = sum((nbytes * needed).sum() for nbytes, needed in zip(once, met, strict=True)), (depths * a.lines * b.lines).sum()
        if problem.of_one_matrix:  # an element may stand on both sides
            read, volume = max((nbytes * needed).sum() for nbytes, needed in zip(once, met, strict=True)), volume / 2
    moved = float(read) + _written(problem) * itemsizes[2]
    if not (problem.a.matrix.one_file or problem.b.matrix.one_file):
        moved = max(moved, _moved(float(volume), min(itemsizes), team))
    return int(moved * (1 - _ROUNDING))


def _once(operand: Operand, panels: Panels, depths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bytes of what is stored of an operand, by slab."""
    return panels.nbytes if operand.matrix.one_file else depths * panels.lines * operand.itemsize


def _written(problem: Problem) -> int:
    """Elements of C, at least: of a triangle those on and below the diagonal."""
    m, _, n = problem.shape
    return m * (m + 1) // 2 if problem.symmetry == "triangle" else m * n


def _moved(volume: float, itemsize: int, team: Team) -> float:
    memory = max(team.memory // itemsize, 1)
    return itemsize * max(2 * volume / sqrt(memory) - 2 * team.workers * memory, 3 * volume ** (2 / 3))
