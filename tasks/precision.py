"""From the error that a caller accepts to the arithmetics that certify it, each with the type of the stored product."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import inf

from tasks.arithmetic import Arithmetic
from tasks.errors import Refused
from tasks.forecast import forecast, random_data
from tasks.job import Job
from tasks.ladder import ARITHMETICS
from tasks.number_types import UNIT_ROUNDOFF, holds_integers, largest_sum, natural_arithmetic, result_type
from tasks.probes import inflation
from tasks.survey import Problem
from tasks.units import round_up

_FLOATS = ("float16", "float32", "float64")

MISSING = "not available"

WRONG = "it fails its self-test there"
"""Or no library has it: what cannot multiply integers exactly is not offered."""

OUT_OF_RANGE = "may leave its range"

PROBES = 10
"""Gaussian columns of the verifier, beside that of random signs; `tasks.probes` says what they prove."""

DOUBT_OF_A_TILE = 1e-6
"""Share of the allowed doubt that one tile of a few dozens has."""

MEANINGLESS = 1.0
"""A product of zeros is as exact as this."""


@dataclass(frozen=True)
class Precision:
    """One row of the ladder for one problem."""

    arithmetic: Arithmetic
    dtype_out: str
    bound: float
    """Certified normwise error, rounding to `dtype_out` included; 0 where every integer is exact."""
    exact: bool
    """Integer inputs, no sum of which leaves the exact integers of the arithmetic, or of the stored type."""
    asked: float
    reason: str
    """Why the row is out of the question; empty where it keeps what was asked."""
    expected: float = inf
    """What probes will probably certify; infinity where nobody asked."""

    @property
    def reaches(self) -> float:
        """The least error that it keeps: certified, or probably measured where that counts."""
        return min(self.bound, self.expected)

    @property
    def certifies(self) -> bool:
        """Whether the bound for every input is within what was asked."""
        return self.bound <= self.asked


def choose_precisions(job: Job, problem: Problem, device: str, lacking: Collection[str] = ()) -> tuple[Precision, ...]:
    """Every row of the ladder, judged; raises Refused when none keeps what was asked.

    `lacking` are rows for which the workers have no kernel.
    """
    asked = asked_error(job, problem, device)
    rows = tuple(_judge(row, job, problem, asked, _Place(device, row.name in lacking)) for row in ARITHMETICS.values())
    if any(row.reason == "" for row in rows):
        return rows
    raise Refused(_refusal(job, problem, asked, rows))


def fallbacks_of(row: Precision, rows: Sequence[Precision]) -> tuple[Arithmetic, ...]:
    """What tiles of this row are computed in when they miss what was asked: better rows up the ladder, up to one that certifies it."""
    if row.certifies or row.reason:
        return ()
    better = [other for other in rows[rows.index(row) + 1 :] if _is_there(other) and _is_better(other, row)]
    certified = next((place for place, other in enumerate(better) if other.certifies), len(better) - 1)
    return tuple(other.arithmetic for other in better[: certified + 1])


def _is_better(one: Precision, other: Precision) -> bool:
    return one.bound < other.bound or one.expected < other.expected


def _is_there(row: Precision) -> bool:
    return not row.reason.startswith(MISSING) and not row.reason.endswith(("was asked for", OUT_OF_RANGE))


def asked_error(job: Job, problem: Problem, device: str) -> float:
    """What the caller asked; else what the arithmetic asked for, or that of the inputs' own type, certifies at its best.

    That is 0 where integers are exact, and else three digits, rounded up, so that the underflow of ordinary data is within it. Where k
    is so large that the bound says nothing, the next wider arithmetic's counts.
    """
    if job.max_error is not None:
        return job.max_error
    names = list(ARITHMETICS)
    rungs = names[names.index(natural_arithmetic(problem.dtypes)) :] if job.precision == "auto" else [job.precision]
    bounds = [_best_bound(ARITHMETICS[name], job, problem, device) for name in rungs if device in ARITHMETICS[name].devices]
    return float(round_up(next((bound for bound in bounds if bound < MEANINGLESS), 0.0)))


@dataclass(frozen=True)
class _Place:
    """Where a row would compute."""

    device: str
    lacking: bool


def _judge(row: Arithmetic, job: Job, problem: Problem, asked: float, place: _Place) -> Precision:
    device = place.device
    if device not in row.devices:
        return Precision(row, result_type(problem.dtypes), inf, False, asked, f"{MISSING} on {device}")
    exact_sums = _is_exact(row, job, problem, device)
    types = _output_types(job, problem, exact_sums)
    bounds = {stored: _bound(row, job, problem, stored, device) for stored in types}
    expected = {stored: _expected(row, job, problem, stored, device) for stored in types}
    stored = next((name for name in types if min(bounds[name], expected[name]) <= asked), types[-1])
    exact = exact_sums and holds_integers(stored, largest_sum(problem.k, problem.dtypes))
    found = Precision(row, stored, bounds[stored], exact, asked, "", expected[stored])
    return replace(found, reason=f"{MISSING} on every worker: {WRONG}" if place.lacking else _objection(found, job, problem))


def _expected(row: Arithmetic, job: Job, problem: Problem, stored: str, device: str) -> float:
    """What the probes of a tile will probably certify, where measuring counts: the usual error, as much larger as its proof is."""
    if job.guarantee != "measured":
        return inf
    data = problem.data or random_data(problem.k)
    return inflation(PROBES, DOUBT_OF_A_TILE) * forecast(row, data, problem.k, problem.dtypes, stored, device)


def _has_epilogue(job: Job, problem: Problem) -> bool:
    return problem.add is not None or job.alpha != 1.0


def _is_exact(row: Arithmetic, job: Job, problem: Problem, device: str) -> bool:
    return row.exact_for(problem.k, problem.dtypes, device) and not _has_epilogue(job, problem)


def _bound(row: Arithmetic, job: Job, problem: Problem, stored: str, device: str) -> float:
    if _is_exact(row, job, problem, device):
        return 0.0 if holds_integers(stored, largest_sum(problem.k, problem.dtypes)) else UNIT_ROUNDOFF[stored]
    return row.bound(problem.k, problem.dtypes, stored, device, _has_epilogue(job, problem))


def _best_bound(row: Arithmetic, job: Job, problem: Problem, device: str) -> float:
    """With the type asked for, or else without rounding the accumulator."""
    stored = row.accumulate if job.dtype_out == "auto" else job.dtype_out
    exact = job.dtype_out == "auto" and _is_exact(row, job, problem, device)
    return 0.0 if exact else _bound(row, job, problem, stored, device)


def _refusal(job: Job, problem: Problem, asked: float, rows: Sequence[Precision]) -> str:
    there = [row for row in rows if not row.reason.startswith(MISSING)]
    named = [row for row in rows if row.arithmetic.name == job.precision] or there
    best = min(named, key=lambda row: row.reaches)
    if best.reason.startswith(MISSING):
        there = ", ".join(row.arithmetic.name for row in rows if not row.reason.startswith(MISSING))
        return f"precision {job.precision} is {best.reason}; there are {there}: use one of them, or auto"
    if job.dtype_out == "int64" and not best.exact:
        factors = ", scaled or added to," if _has_epilogue(job, problem) else ""
        types = " by ".join(problem.dtypes)
        return f"dtype-out int64 needs an exact product, which {types} with k = {problem.k}{factors} is not: use auto"
    subject = "no arithmetic" if job.precision == "auto" else f"precision {job.precision} never"
    verb = "certifies" if best.expected == inf else "certifies, or will probably be measured to keep,"
    if best.reaches >= MEANINGLESS:
        return f"{subject} {verb} any digit for k = {problem.k}: use a wider precision, or auto"
    how = " expected to be measured" if best.expected < best.bound else ""
    return (
        f"{subject} {verb} a max-error of {asked:.3g} for k = {problem.k}: "
        f"the best is {best.arithmetic.name} stored as {best.dtype_out} with {round_up(best.reaches)}{how}; ask for at least that"
    )


def _output_types(job: Job, problem: Problem, exact: bool) -> Sequence[str]:
    """Candidates for the stored type, narrowest first."""
    if job.dtype_out != "auto":
        return (job.dtype_out,)
    natural = result_type(problem.dtypes)
    if natural not in _FLOATS:
        return ("int64",) if exact else ("float64",)
    return _FLOATS[_FLOATS.index(natural) :]


def _objection(row: Precision, job: Job, problem: Problem) -> str:
    if job.precision not in ("auto", row.arithmetic.name):
        return f"{job.precision} was asked for"
    if job.precision == "auto" and row.arithmetic.may_overflow(problem.k, problem.dtypes):
        return f"{' by '.join(problem.dtypes)} {OUT_OF_RANGE}"
    if row.dtype_out == "int64" and not row.exact:
        return "not exact, so it cannot be stored as int64"
    if row.reaches <= row.asked:
        return ""
    if row.expected == inf:
        return f"certifies {row.bound:.2g}, more than {row.asked:.2g}"
    return f"certifies {row.bound:.2g}, will probably measure {row.expected:.2g}, both more than {row.asked:.2g}"
