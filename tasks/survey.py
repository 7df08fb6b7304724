"""Survey: what the inputs are, from their headers alone; nonsense is refused here, before anything is written.

The survey decides nothing about tiles: it makes a `Problem` (`tasks.problem`).
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from storage import Matrix, is_url, occupied, open_matrix, require_key, site_of
from storage.result import is_triangle
from tasks.errors import BadInput
from tasks.job import Job
from tasks.problem import Operand, Problem
from tasks.symmetry import symmetry_of
from tasks.warmth import warmth_of

Open = Callable[[str], Matrix]
"""Opens an input by its path or URL; raises BadInput."""
IsPart = Callable[[str], bool]


def survey(job: Job) -> Problem:
    """Read the headers of A, B and C0, see what is stored and cached, and check that the product makes sense and OUT can be had.

    Raises BadInput (missing or foreign paths, shapes that do not fit, OUT that exists or lies inside an input, a key that is not
    known) and Refused (overwrite on a file system that cannot exchange folders).
    """
    problem = open_problem(job)
    for check in _checks(job, problem, is_part):
        check()
    require_out(job)
    problem = _without_zeros(with_occupancy(problem))
    return replace(problem, warmth=warmth_of(job.cluster, problem.a, problem.b))


def require_out(job: Job) -> None:
    """Return where OUT can be had. Raises BadInput and Refused as `survey` does."""
    site_of(job.out).check([path for path in (job.a, job.b, job.add) if path is not None], job.overwrite)


def _without_zeros(problem: Problem) -> Problem:
    """A symmetric product whose zeros can be left out is not halved too, unless a triangle is asked."""
    known = problem.a.matrix.occupancy
    if problem.symmetry != "full" or not problem.a.sparse or known is None or known.full:
        return problem
    return replace(problem, symmetry="none", whole_because="parts of X are known to be zero, and are left out instead")


def objections(job: Job, header: Open, only_part: IsPart | None = None) -> list[str]:
    """What a survey would say against the inputs of a job, one line each; `header` opens one, and knows also those that are yet to be made.

    `only_part` says whether a path is a triangle alone. Raises what `header` does.
    """
    lines: list[str] = []
    with _noted(lines):
        problem = open_problem(job, header)
        for check in _checks(job, problem, only_part or is_part):
            with _noted(lines):
                check()
    return lines


@contextmanager
def _noted(lines: list[str]) -> Generator[None]:
    try:
        yield
    except BadInput as error:
        lines.append(str(error))


def _checks(job: Job, problem: Problem, only_part: IsPart) -> Iterator[Callable[[], None]]:
    """What must hold of the inputs, and of the key of the result."""
    yield partial(_check_inner, problem)
    yield partial(_check_added, problem)
    yield partial(_check_whole, job, only_part)
    if job.seal is not None:
        yield partial(require_key, job.seal)


def open_problem(job: Job, header: Open = open_matrix) -> Problem:
    """A, B and C0 of a job by their headers; raises BadInput where one is missing or no matrix."""
    a, b = header(job.a), header(job.b)
    return Problem(
        Operand(a, job.transpose_a),
        Operand(b, job.transpose_b),
        header(job.add) if job.add is not None else None,
        keeps_nonfinite=job.allow_nonfinite,
        symmetry=symmetry_of(job, a, b),
    )


def with_occupancy(problem: Problem) -> Problem:
    """The problem with what is known of which parts of its matrices are stored now."""
    a, b = (replace(operand, matrix=occupied(operand.matrix)) for operand in (problem.a, problem.b))
    return replace(problem, a=a, b=b, add=occupied(problem.add) if problem.add is not None else None)


def require_same_occupancy(problem: Problem) -> None:
    """Raise BadInput where other parts of an input are stored than were when it was surveyed, so that its stamp is that of the plan."""
    now = with_occupancy(problem)
    pairs = (problem.a.matrix, now.a.matrix), (problem.b.matrix, now.b.matrix), (problem.add, now.add)
    changed = [before.path for before, after in pairs if before is not None and before != after]
    if changed:
        raise BadInput(f"{' and '.join(changed)} lost or got chunks while the product was planned: run again when it is at rest")


def is_part(path: str) -> bool:
    """Whether a path is a triangle of a symmetric product alone."""
    return not is_url(path) and is_triangle(path)


def _check_whole(job: Job, only_part: IsPart) -> None:
    for name, path in (("A", job.a), ("B", job.b), ("C0", job.add)):
        if path is not None and only_part(path):
            raise BadInput(f"{name} {path} is a triangle of a symmetric product, the rest of it is not stored: make it with --store full")


def _check_inner(problem: Problem) -> None:
    (m, k), (k_b, n) = problem.a.shape, problem.b.shape
    if k != k_b:
        hint = _turning(problem.b, "transpose-b") if n == k else _turning(problem.a, "transpose-a") if m == k_b else ""
        raise BadInput(
            f"inner dimensions differ: op(A) is {m} x {k} and op(B) is {k_b} x {n}; the columns of op(A) must equal the rows of op(B){hint}"
        )


def _turning(operand: Operand, option: str) -> str:
    return f" (without {option} it would fit)" if operand.transposed else f" ({option} would fit)"


def _check_added(problem: Problem) -> None:
    if problem.add is not None and problem.add.shape != (problem.m, problem.n):
        rows, cols = problem.add.shape
        raise BadInput(f"C0 is {rows} x {cols} but the product is {problem.m} x {problem.n}: give a C0 of the product's shape")
