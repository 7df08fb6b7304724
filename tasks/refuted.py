"""Do a run's own probes contradict what its arithmetic certifies for every input?

Single rows are refused from some 7 times their bound on (`tasks.check`), so errors of several bounds in many rows pass there. The residuals
of all tiles that were computed, of the whole product or by a repair, say more together: ||E||_F of these tiles is above
`tasks.probes.error_floor` of them but for a probability of FALSE_ALARM. Where even that is more than is certified of these tiles, a
kernel or its hardware is wrong; a sound run is refused with that probability at most, because

- the bound is that of each tile, by its own norms: squares of many tiles and of what is certified of them add up alike;
- these norms are surely not too small, as what underflow took from their squares is added; it takes no more of them than of the product;
- the certificate's rounding before storage is in neither: these residuals are from before it;
- tiles that were computed in several arithmetics, chosen by these residuals, are not asked: of a chosen error the floor is none.
"""

from collections.abc import Sequence
from math import hypot, inf, sqrt

from tasks.ladder import ARITHMETICS
from tasks.outcome import Certificate, Measurement
from tasks.plan import Plan
from tasks.prepare import Run
from tasks.probes import FALSE_ALARM, LEAST_NORM, error_floor, product


def refuted(run: Run, tiles: Sequence[Measurement], certificate: Certificate) -> tuple[float, float] | None:
    """What the error surely is above, and the bound for every input that is less, relative to these tiles' norms; None where they agree.

    `certificate` is that of the whole product, of which these may be some tiles.
    """
    rungs, scale = {tile.rung for tile in tiles}, _scale(run, tiles)
    if len(rungs) != 1 or not 0 < scale < inf:
        return None
    certified, floor = _certified(run, rungs.pop(), certificate, scale), _floor(run.plan, tiles, scale)
    return (floor, certified) if floor > certified else None


def _scale(run: Run, tiles: Sequence[Measurement]) -> float:
    """|alpha| ||A_i|| ||B_j|| + |beta| ||C0_ij|| of all these tiles, surely not too small; 0 where all of it is zero."""
    plan, (alpha, beta) = run.plan, (abs(run.job.alpha), abs(run.job.beta))
    (rows, cols), depth = (plan.tile.rows, plan.tile.cols), plan.shape[1]
    lost_a, lost_b, lost_c0 = (sqrt(size) * LEAST_NORM for size in (rows * depth, depth * cols, rows * cols))

    def of_tile(tile: Measurement) -> float:
        size = product((alpha, sqrt(tile.square_a) + lost_a, sqrt(tile.square_b) + lost_b))
        return sqrt(tile.copies) * (size + product((beta, sqrt(tile.square_c0) + lost_c0)) if beta else size)

    if not any((tile.square_a and tile.square_b) or tile.square_c0 for tile in tiles):
        return 0.0
    return hypot(*map(of_tile, tiles))


def _certified(run: Run, rung: int, certificate: Certificate, scale: float) -> float:
    plan, used = run.plan, run.plan.rungs[rung]
    if plan.exact:
        return 0.0
    (m, k, n), factors = plan.shape, (run.job.alpha, run.job.beta)
    norms = certificate.norm_a + sqrt(m * k) * LEAST_NORM, certificate.norm_b + sqrt(k * n) * LEAST_NORM
    return used.bound + ARITHMETICS[used.arithmetic].underflow(plan.shape, norms, plan.dtype_out, factors) / scale


def _floor(plan: Plan, tiles: Sequence[Measurement], scale: float) -> float:
    residual = sqrt(sum(tile.copies * tile.square_residual for tile in tiles))
    shape = plan.shape[0] * plan.grid[1], plan.shape[1], min(plan.tile.cols, plan.shape[2])
    return error_floor(residual, scale, shape, (plan.probes, FALSE_ALARM))
