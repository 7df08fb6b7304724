"""Verify: from the tiles' records to the certificate of the whole product.

Tiles were accepted one by one while they were computed (`tasks.tile`); here their squared norms and residuals are summed.
Everything is relative to |alpha| ||op(A)||_F ||op(B)||_F + |beta| ||C0||_F, and to 0 when all of it is zero. Where slabs are skipped,
what meets nothing but zeros everywhere is in no norm: errors are relative to less then, never to more.
"""

from collections import Counter
from math import hypot, inf, sqrt, ulp

from tasks.errors import NotCertified
from tasks.ladder import ARITHMETICS
from tasks.outcome import Certificate, Measurement, Outcome
from tasks.plan import Plan
from tasks.prepare import Run
from tasks.probes import CONFIDENCE, LEAST_NORM, error_bound, scale_of
from tasks.proof import HALF_OF_THE_DOUBT, Proof, doubt_of_a_tile, tile_bound
from tasks.recipe import walk_of
from tasks.refuted import refuted
from tasks.rounding import Rounded, step_of
from tasks.units import round_up
from tasks.walk import Walk

NORM = "||C^ - C||_F / (|alpha| ||op(A)||_F ||op(B)||_F + |beta| ||C0||_F)"

SUMMING = 2.0**-30
"""More than the relative error of any norm summed here."""


def verify(run: Run, outcome: Outcome) -> Certificate:
    """The certificate; raises NotCertified when it misses what was asked, or its own bound (staging is kept)."""
    certificate = certify(run, outcome.measurements)
    if certificate.measured == inf:
        too_large = max(abs(run.job.alpha) * certificate.norm_a * certificate.norm_b, certificate.norm_c0) > 1
        size, way = ("large", "down") if too_large else ("small", "up")
        raise NotCertified(
            f"A or B or their product is too {size} for a norm in float64 (||op(A)||_F is {certificate.norm_a:.3g}, ||op(B)||_F "
            f"{certificate.norm_b:.3g}, alpha {run.job.alpha:.3g}): scale it {way} (result kept in {run.staging.folder})"
        )
    if run.job.max_error is not None and run.job.guarantee == "certified" and certificate.guarantee == "measured" and certificate.kept:
        raise NotCertified(
            f"max-error {certificate.asked:.3g} is measured ({round_up(certificate.measured)}), but what underflow may take is within "
            f"{round_up(certificate.promised)} only: scale the inputs up, use --precision float64, or --guarantee measured "
            f"(result kept in {run.staging.folder})"
        )
    if not certificate.kept:
        raise NotCertified(
            f"the product misses max-error {certificate.asked:.3g}: {round_up(certificate.promised)} is certified and "
            f"{round_up(certificate.measured)} measured; {_remedy(certificate)} (result kept in {run.staging.folder})"
        )
    if (found := refuted(run, outcome.measurements, certificate)) is not None:
        raise NotCertified(
            f"the product is wrong: its error is surely above {found[0]:.3g}, and {' and '.join(certificate.arithmetics)} certifies "
            f"{round_up(found[1])} for every input; check this hardware, or use another --precision (result kept in {run.staging.folder})"
        )
    return certificate


def _remedy(certificate: Certificate) -> str:
    """What to change; only underflow promises more than 1, which nobody can ask for."""
    if certificate.promised > 1:
        return "numbers this small vanish: scale the inputs up, or use --precision float64 --dtype-out float64"
    return "ask for that, or for more precision"


def certify(run: Run, tiles: tuple[Measurement, ...]) -> Certificate:
    """The certificate of these tiles, kept or not."""
    plan, job = run.plan, run.job
    norm_a = _norm_a(tiles)
    norm_b = norm_a if plan.symmetry != "none" else _norm_b(tiles)
    norm_c0 = hypot(*(tile.counted[2] for tile in tiles))
    scale = scale_of((job.alpha, job.beta), (norm_a, norm_b, norm_c0))
    rounding = rounding_of(plan, tiles, scale)
    rungs = Counter(tile.rung for tile in tiles)
    promised = max(_promised(run, (norm_a, norm_b), scale, rung) for rung in rungs) + rounding.measured
    return Certificate(
        norm=NORM,
        asked=plan.max_error,
        promised=promised,
        measured=_measured(run, tiles, scale) + rounding.measured,
        confidence=CONFIDENCE,
        guarantee="certified" if promised <= plan.max_error else "measured",
        arithmetic=plan.arithmetic,
        probes=plan.probes,
        seed=plan.seed,
        exact=plan.exact,
        norm_a=norm_a,
        norm_b=norm_b,
        norm_c0=norm_c0,
        nonfinite=tuple(dict.fromkeys(tile.nonfinite for tile in tiles if tile.nonfinite)),
        rounding=rounding,
        arithmetics={plan.rungs[rung].arithmetic: rungs[rung] for rung in sorted(rungs)},
    )


def _measured(run: Run, tiles: tuple[Measurement, ...], scale: float | None) -> float:
    """What the probes prove of the whole. Where tiles were chosen by their residuals, only the sum of what each of them proved counts."""
    plan = run.plan
    if scale and any(tile.rung for tile in tiles):
        return hypot(*(sqrt(tile.copies) * _proved(run, tile) for tile in tiles)) / scale
    residual, doubt = hypot(*(sqrt(tile.copies * tile.square_residual) for tile in tiles)), 1 - CONFIDENCE
    return measured_bound(walk_of(plan), plan.probes, residual, scale, HALF_OF_THE_DOUBT if plan.fallbacks else doubt)


def _proved(run: Run, tile: Measurement) -> float:
    """The Frobenius norm of a tile's error: as its own probes prove it, or as its arithmetic certifies it, whichever is less."""
    plan, factors = run.plan, (run.job.alpha, run.job.beta)
    scale = scale_of(factors, (sqrt(tile.square_a), sqrt(tile.square_b), sqrt(tile.square_c0)))
    if scale is None:
        return 0.0
    if scale == 0:
        return _certified(run, tile)
    rows, cols = _tile_edges(plan, tile)
    proof = Proof(plan.max_error, doubt_of_a_tile(plan), plan.probes)
    squares = tile.square_a, tile.square_b, tile.square_c0, tile.square_residual
    return min(_certified(run, tile), tile_bound(proof, factors, squares, (rows, plan.shape[1], cols)) * scale)


def _certified(run: Run, tile: Measurement) -> float:
    """The Frobenius norm of a tile's error, by its arithmetic: with norms that are surely not too small, lost squares and all."""
    plan, rung, (alpha, beta) = run.plan, run.plan.rungs[tile.rung], (run.job.alpha, run.job.beta)
    (rows, cols), depth = _tile_edges(plan, tile), plan.shape[1]
    squares, sizes = (tile.square_a, tile.square_b, tile.square_c0), (rows * depth, depth * cols, rows * cols)
    a, b, c0 = (sqrt(square) + sqrt(size) * LEAST_NORM for square, size in zip(squares, sizes, strict=True))
    lost = ARITHMETICS[rung.arithmetic].underflow((rows, depth, cols), (a, b), plan.dtype_out, (alpha, beta))
    return rung.bound * (abs(alpha) * a * b + abs(beta) * c0) + lost


def _tile_edges(plan: Plan, tile: Measurement) -> tuple[int, int]:
    (top, bottom), (left, right) = (found := walk_of(plan)[tile.index]).rows, found.cols
    return bottom - top, right - left


def _norm_a(tiles: tuple[Measurement, ...]) -> float:
    """Of parts of A: of its row panels, or of the slabs that each tile is the first to read."""
    owned = [tile.counted[0] for tile in tiles if tile.owned is not None]
    return hypot(*(owned or {tile.row: tile.counted[0] for tile in tiles}.values()))


def _norm_b(tiles: tuple[Measurement, ...]) -> float:
    owned = [tile.counted[1] for tile in tiles if tile.owned is not None]
    return hypot(*(owned or {tile.col: tile.counted[1] for tile in tiles}.values()))


def rounding_of(plan: Plan, tiles: tuple[Measurement, ...], scale: float | None) -> Rounded:
    """What rounding before storage did to the whole product: exact but for the measurement's own rounding, which is added."""
    chosen, error = plan.rounding, hypot(*(sqrt(tile.copies) * tile.rounding_error for tile in tiles))
    exponents = [tile.step_exponent for tile in tiles if tile.step_exponent is not None]
    measured = (error + _unseen(plan)) / scale * (1 + SUMMING) if scale and error else 0.0
    return Rounded(chosen.mode, chosen.share, measured, step_of(max(exponents, default=None)), chosen.why)


def _unseen(plan: Plan) -> float:
    """More than the sums of so many elements lose where they are subnormal."""
    return sqrt(plan.shape[0] * plan.shape[2]) * ulp(0.0)


def _promised(run: Run, norms: tuple[float, float], scale: float | None, rung: int) -> float:
    """The a priori bound of one of the plan's arithmetics, with its underflow term, which only measured norms can weigh."""
    plan, used = run.plan, run.plan.rungs[rung]
    if plan.exact or scale is None:
        return 0.0
    if scale == 0:
        return inf
    lost = ARITHMETICS[used.arithmetic].underflow(plan.shape, norms, plan.dtype_out, (run.job.alpha, run.job.beta))
    return used.bound + lost / scale


def measured_bound(walk: Walk, probes: int, residual: float, scale: float | None, doubt: float = 1 - CONFIDENCE) -> float:
    """||E||_F relative to `scale`, but for a probability of `doubt` (`tasks.probes.error_bound`).

    `residual` is the root of the summed squared residuals of all tiles, `scale` that of `scale_of`.
    """
    if scale is None:
        return 0.0
    if scale == 0:
        return inf
    rows, cols = walk.shape[0] * walk.grid[1], min(walk.tile.cols, walk.shape[2])
    return error_bound(residual, scale, (rows, walk.shape[1], cols), (probes, doubt))
