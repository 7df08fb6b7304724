"""From the error that a caller accepts to the arithmetics that certify it, each with the type of the stored product."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from tasks.arithmetic import Arithmetic
from tasks.errors import Refused
from tasks.job import Job
from tasks.ladder import ARITHMETICS
from tasks.survey import Problem
from tasks.units import round_up

_FLOATS = ("float16", "float32", "float64")

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
    asked: float
    reason: str
    """Why the row is out of the question; empty where it certifies what was asked."""


def choose_precisions(job: Job, problem: Problem, device: str) -> tuple[Precision, ...]:
    """Every row of the ladder, judged; raises Refused when none certifies what was asked."""
    asked = asked_error(job, problem, device)
    rows = tuple(_judge(row, job, problem, asked, device) for row in ARITHMETICS.values())
    if any(row.reason == "" for row in rows):
        return rows
    raise Refused(_refusal(job, problem, asked, rows))


def asked_error(job: Job, problem: Problem, device: str) -> float:
    """What the caller asked; else what the arithmetic asked for, or that of the inputs' own type, certifies at its best.

    That is 0 where integers are exact. Where k is so large that the bound says nothing, the next wider arithmetic's counts.
    """
    if job.max_error is not None:
        return job.max_error
    names = list(ARITHMETICS)
    rungs = names[names.index(natural_arithmetic(problem.dtypes)) :] if job.precision == "auto" else [job.precision]
    bounds = [_best_bound(ARITHMETICS[name], job, problem, device) for name in rungs if device in ARITHMETICS[name].devices]
    return next((bound for bound in bounds if bound < MEANINGLESS), 0.0)


def natural_arithmetic(dtypes: tuple[str, str]) -> str:
    """The arithmetic of the inputs' result type: float32 for float16 and float32, float64 for all else.

    >>> natural_arithmetic(("float16", "float32")), natural_arithmetic(("int8", "int8"))
    ('float32', 'float64')
    """
    return "float32" if result_type(dtypes) in ("float16", "float32") else "float64"


def result_type(dtypes: tuple[str, str]) -> str:
    """numpy's type of a product of these."""
    return np.result_type(*(np.dtype(name) for name in dtypes)).name


def _judge(row: Arithmetic, job: Job, problem: Problem, asked: float, device: str) -> Precision:
    if device not in row.devices:
        return Precision(row, result_type(problem.dtypes), inf, False, asked, f"not available on {device}")
    exact = _is_exact(row, job, problem, device)
    types = _output_types(job, problem, exact)
    bounds = {stored: _bound(row, job, problem, stored, device) for stored in types}
    stored = next((name for name in types if bounds[name] <= asked), types[-1])
    return Precision(row, stored, bounds[stored], exact, asked, _objection(row, job, stored, (bounds[stored], asked), exact))


def _has_epilogue(job: Job, problem: Problem) -> bool:
    return problem.add is not None or job.alpha != 1.0


def _is_exact(row: Arithmetic, job: Job, problem: Problem, device: str) -> bool:
    return row.exact_for(problem.k, problem.dtypes, device) and not _has_epilogue(job, problem)


def _bound(row: Arithmetic, job: Job, problem: Problem, stored: str, device: str) -> float:
    if stored in ("int64", "float64") and _is_exact(row, job, problem, device):
        return 0.0
    return row.bound(problem.k, problem.dtypes, stored, device, _has_epilogue(job, problem))


def _best_bound(row: Arithmetic, job: Job, problem: Problem, device: str) -> float:
    """With the type asked for, or else without rounding the accumulator."""
    stored = row.accumulate if job.dtype_out == "auto" else job.dtype_out
    exact = job.dtype_out == "auto" and _is_exact(row, job, problem, device)
    return 0.0 if exact else _bound(row, job, problem, stored, device)


def _refusal(job: Job, problem: Problem, asked: float, rows: Sequence[Precision]) -> str:
    named = [row for row in rows if row.arithmetic.name == job.precision] or list(rows)
    best = min(named, key=lambda row: row.bound)
    if best.bound == inf and best.reason.startswith("not available"):
        return f"precision {job.precision} is {best.reason}: use auto"
    if job.dtype_out == "int64" and not best.exact:
        factors = ", scaled or added to," if _has_epilogue(job, problem) else ""
        types = " by ".join(problem.dtypes)
        return f"dtype-out int64 needs an exact product, which {types} with k = {problem.k}{factors} is not: use auto"
    subject = "no arithmetic" if job.precision == "auto" else f"precision {job.precision} never"
    if best.bound >= MEANINGLESS:
        return f"{subject} certifies any digit for k = {problem.k}: use a wider precision, or auto"
    return (
        f"{subject} certifies a max-error of {asked:.3g} for k = {problem.k}: "
        f"the best is {best.arithmetic.name} stored as {best.dtype_out} with {round_up(best.bound)}; ask for at least that"
    )


def _output_types(job: Job, problem: Problem, exact: bool) -> Sequence[str]:
    """Candidates for the stored type, narrowest first."""
    if job.dtype_out != "auto":
        return (job.dtype_out,)
    natural = result_type(problem.dtypes)
    if natural not in _FLOATS:
        return ("int64",) if exact else ("float64",)
    return _FLOATS[_FLOATS.index(natural) :]


def _objection(row: Arithmetic, job: Job, stored: str, errors: tuple[float, float], exact: bool) -> str:
    bound, asked = errors
    if job.precision not in ("auto", row.name):
        return f"{job.precision} was asked for"
    if stored == "int64" and not exact:
        return "not exact, so it cannot be stored as int64"
    return "" if bound <= asked else f"certifies {bound:.2g}, more than {asked:.2g}"
