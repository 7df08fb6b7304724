"""What a plan says of zeros: what is left out, and the least bytes that a schedule can move without them.

    bytes >= max( what is stored of A and meets anything of B, the same of B, and C            each read or written once
                  2 V / sqrt(S) - 2 p S, 3 V**(2/3) )                                        V: multiplications of stored parts

The bounds of `tasks.bound` in V hold for any set of multiplications, boxes or not (Loomis and Whitney). Of a sparse matrix it is not known
how many of them no schedule can leave out, so there only the first counts.
"""

from math import sqrt

import numpy as np

from tasks.bound import Team
from tasks.candidate import Candidate
from tasks.cost import dense_reads
from tasks.dense_work import work_of
from tasks.plan import Skipped
from tasks.survey import Problem
from tasks.work import FINEST, sparsity_of

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


def sparse_lower_bound(problem: Problem, itemsizes: tuple[int, int, int], team: Team) -> int:
    """Bytes that no schedule can do without; `itemsizes` are those of A, B and C."""
    sparsity = sparsity_of(problem)
    assert sparsity is not None
    m, _, n = problem.shape
    a, b = sparsity.panels_a(FINEST, FINEST), sparsity.panels_b(FINEST, FINEST)
    depths = np.diff(sparsity.slab_edges(FINEST)).astype(np.float64)
    compulsory = float(m) * n * itemsizes[2]
    operands = (problem.a, a, (b.panels > 0) | sparsity.rule.whole_a), (problem.b, b, (a.panels > 0) | sparsity.rule.whole_b)
    for (operand, panels, needed), itemsize in zip(operands, itemsizes, strict=False):
        stored = panels.nbytes if operand.matrix.one_file else depths * panels.lines * itemsize
        compulsory += float((stored * needed).sum())
    moved = compulsory
    if not (problem.a.matrix.one_file or problem.b.matrix.one_file):
        moved = max(moved, _moved(float((depths * a.lines * b.lines).sum()), min(itemsizes), team))
    return int(moved * (1 - _ROUNDING))


def _moved(volume: float, itemsize: int, team: Team) -> float:
    memory = max(team.memory // itemsize, 1)
    return itemsize * max(2 * volume / sqrt(memory) - 2 * team.workers * memory, 3 * volume ** (2 / 3))
