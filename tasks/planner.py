"""Choose arithmetic, tile, residency and workers: pure, from headers and measured rates.

Each arithmetic that certifies the error gets its fastest candidate within the memory (`tasks.search`); the fastest of those
wins. What the chosen walk reads is then counted slab by slab, so that the bytes in the plan are exact.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import inf

import numpy as np

from storage import CODECS, GOALS
from tasks.adding_up import codec_of_sums
from tasks.advice import warnings_for
from tasks.bound import Team, lower_bound_bytes, square_bound_bytes, symmetric_bound_bytes
from tasks.errors import BadInput, Refused, TooLittleMemory
from tasks.fit import Fit, Need
from tasks.hardware import Hardware, available_memory, default_memory, installed_memory, lacking
from tasks.history import corrected
from tasks.job import Job
from tasks.memory import tile_memory
from tasks.plan import Choice, Plan, Prediction, Rung
from tasks.precision import PROBES, Precision, choose_precisions, fallbacks_of
from tasks.priced import as_found, inputs_of
from tasks.rounding import Rounding, choose_rounding
from tasks.search import Search
from tasks.sparse_plan import skipped, stored_lower_bound
from tasks.survey import Problem
from tasks.symmetry import whole_words
from tasks.ties import first_fastest
from tasks.units import format_bytes
from tasks.warmth import settled

SEED = 20260229
"""Default seed of the probes: results repeat, and the certificate names it."""


def make_plan(job: Job, problem: Problem, hardware: Hardware) -> Plan:
    """The plan of a job; raises Refused where memory or accuracy cannot be had, naming the least that can."""
    _require_codec(job, hardware)
    rows = choose_precisions(job, problem, hardware.device, lacking(hardware))
    reserve = {row.arithmetic.name: fallbacks_of(row, rows) for row in rows}
    search = Search(job, settled(problem, hardware), hardware, _budget(job, hardware), reserve)
    fits = {row.arithmetic.name: search.fastest(row) for row in rows if row.reason == ""}
    found = [fit for fit in fits.values() if fit is not None]
    if not found and problem.symmetry == "full":  # its square tiles are too large: other tiles need not be square
        return make_plan(job, replace(problem, symmetry="none", whole_because=_squares_too_large(search, rows)), hardware)
    if not found:
        raise _too_small(search, rows)
    best = first_fastest(found)
    chosen = next(row for row in rows if row.arithmetic is best.way.arithmetic)
    now = {name: as_found(problem, fit) for name, fit in fits.items() if fit is not None}
    choices = tuple(_choice(row, now.get(row.arithmetic.name), (chosen, best)) for row in rows)
    plan = _plan(search, now[chosen.arithmetic.name], chosen, choices)
    return replace(plan, inputs=inputs_of(problem, best))


def _require_codec(job: Job, hardware: Hardware) -> None:
    """Raise BadInput where the caller names a codec whose package the workers lack."""
    if job.codec not in GOALS and any(job.codec not in layout.rates.encode for layout in hardware.layouts):
        raise BadInput(f"codec {job.codec} is missing on the workers: pip install gemmflow[{CODECS[job.codec].package}] there")


def _budget(job: Job, hardware: Hardware) -> int:
    foreign = "://" in job.cluster
    if job.memory is None:
        return default_memory(hardware.memory_bytes if foreign else available_memory())
    most = hardware.memory_bytes if foreign else installed_memory()
    if job.memory > most:
        raise Refused(f"memory is {format_bytes(job.memory)} but this machine has {format_bytes(most)}: give at most that")
    return job.memory


def _plan(search: Search, fit: Fit, chosen: Precision, choices: tuple[Choice, ...]) -> Plan:
    way, problem = fit.way, search.problem
    rounding = choose_rounding(search.job.round, chosen.asked, chosen.bound, chosen.exact)
    least = _lower_bound(search, fit)
    return Plan(
        shape=problem.shape,
        arithmetic=chosen.arithmetic.name,
        kernel=way.layout.rates.kernel(chosen.arithmetic.name, way.shortest),
        dtype_out=chosen.dtype_out,
        exact=chosen.exact,
        tile=way.tile,
        grid=way.grid,
        residency=way.residency,
        slots=way.slots,
        device=way.device,
        workers=way.workers,
        threads_per_worker=way.layout.threads,
        chunk=way.output.chunks,
        codec=search.job.codec,
        memory_limit=search.budget,
        max_error=chosen.asked,
        predicted=corrected(_prediction(problem, fit, chosen, rounding), search.hardware.history),
        lower_bound_bytes=least,
        choices=choices,
        probes=PROBES,
        seed=SEED,
        warnings=(*whole_words(problem.whole_because, chosen.exact), *warnings_for(search.job, problem, fit, least)),
        shard=way.output.shard,
        rounding=rounding,
        guarantee="certified" if chosen.certifies else "measured",
        fallbacks=_fallbacks(search, fit, chosen),
        data=problem.data,
        parts=way.parts,
        sums_codec=codec_of_sums(way) if way.parts > 1 else "none",
        skipped=skipped(problem, way, fit.cost.bytes_read),
        symmetry=problem.symmetry,
        rates=search.hardware.fingerprint,
    )


def _fallbacks(search: Search, fit: Fit, chosen: Precision) -> tuple[Rung, ...]:
    """What a tile may be computed in when it misses what was asked, stored as the others are."""
    problem, job, device = search.problem, search.job, fit.way.device
    rates, edge = fit.way.layout.rates, fit.way.shortest
    epilogue = problem.add is not None or job.alpha != 1.0
    return tuple(
        Rung(row.name, rates.kernel(row.name, edge), row.bound(problem.k, problem.dtypes, chosen.dtype_out, device, epilogue))
        for row in search.reserve[chosen.arithmetic.name]
    )


def _prediction(problem: Problem, fit: Fit, chosen: Precision, rounding: Rounding) -> Prediction:
    items = {"interpreter and libraries": fit.way.layout.base_bytes, **tile_memory(problem, fit.way).host}
    items["room for a better arithmetic"] = fit.host_bytes - sum(items.values())
    return Prediction(
        seconds=fit.cost.seconds,
        lanes=fit.cost.lanes,
        bytes_read=fit.cost.bytes_read,
        bytes_written=fit.cost.bytes_written,
        peak_memory_bytes=fit.total_bytes,
        memory_items={name: size for name, size in items.items() if size},
        error_bound=chosen.bound + rounding.share,
        bytes_of_sums=fit.cost.bytes_of_parts,
    )


def _lower_bound(search: Search, fit: Fit) -> int:
    problem, way = search.problem, fit.way
    sizes = (problem.a.matrix.dtype.itemsize, problem.b.matrix.dtype.itemsize, np.dtype(way.output.dtype).itemsize)
    on_host = max(search.budget // way.workers - way.layout.base_bytes, 1)
    memory = on_host if way.device == "cpu" else search.hardware.device_memory_bytes
    if problem.partial:
        return stored_lower_bound(problem, sizes, Team(way.workers, memory, 1.0))
    share = way.largest_share
    if problem.is_symmetric:
        team = Team(way.workers, memory, min(1.0, 2 * share * problem.m / max(1, problem.m - 1)))
        stored = "triangle" if problem.symmetry == "triangle" else "full"
        return symmetric_bound_bytes(problem.m, problem.k, sizes[1:], team, stored)
    if problem.of_one_matrix:
        return square_bound_bytes(problem.m, sizes[1:], Team(way.workers, memory, share))
    return lower_bound_bytes(problem.shape, sizes, Team(way.workers, memory, share))


def _choice(row: Precision, fit: Fit | None, best: tuple[Precision, Fit]) -> Choice:
    """A line of the table; its speed is that of one worker of the chosen layout, at the block shape of its plan."""
    chosen, layout = best[0], best[1].way.layout
    verdict = row.reason or ("does not fit the memory" if fit is None else "chosen" if row is chosen else "slower")
    seconds = inf if row.reason or fit is None else fit.cost.seconds
    edge = (fit or best[1]).way.shortest
    speed = layout.rates.speed(row.arithmetic.name, edge) if row.arithmetic.name in layout.rates.kernels else 0.0
    return Choice(row.arithmetic.name, row.bound, seconds, verdict, speed, None if row.expected == inf else row.expected)


def _squares_too_large(search: Search, rows: Sequence[Precision]) -> str:
    """Why no triangle is computed."""
    least, mebibytes = _smallest(search, rows)
    height, width = least.way.output.objects
    chunks = "" if height == width else " and square chunks less"
    return f"its tiles, squares of whole chunks ({height} x {width}), need {mebibytes} MiB of --memory{chunks}"


def _smallest(search: Search, rows: Sequence[Precision]) -> tuple[Need, int]:
    """What needs least memory of all that may be chosen, and the MiB that it needs."""
    least = min((search.smallest(row) for row in rows if row.reason == ""), key=lambda fit: fit.total_bytes)
    return least, -(-least.total_bytes // 2**20)


def _too_small(search: Search, rows: Sequence[Precision]) -> Refused:
    least, mebibytes = _smallest(search, rows)
    if least.device_bytes > search.hardware.device_memory_bytes and search.hardware.device != "cpu":
        return Refused(f"the smallest tile needs {format_bytes(least.device_bytes)} of device memory; the device has less free")
    return TooLittleMemory(
        f"memory of {format_bytes(search.budget)} is too small: the smallest plan needs {mebibytes} MiB "
        f"({format_bytes(least.way.layout.base_bytes)} of it for interpreter and libraries); give --memory {mebibytes}MiB or more"
        f"{', or a smaller --shard' if search.job.shard else ''}"
    )
