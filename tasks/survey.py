"""Survey: what the inputs are, from their headers alone; nonsense is refused here, before anything is written.

The survey decides nothing about tiles. Its `Problem` holds shapes, types and chunk grids of op(A) and op(B), so that no
later stage asks again whether an operand was transposed: an `Operand` speaks of rows and columns of op(X) and reads the
stored matrix accordingly.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from storage import Matrix, is_url, occupied, open_matrix, require_key, site_of
from storage.result import is_triangle
from tasks.errors import BadInput
from tasks.forecast import Data
from tasks.job import Job
from tasks.symmetry import Symmetry, symmetry_of

T = TypeVar("T")


@dataclass(frozen=True)
class Operand:
    """op(X): a stored matrix, seen as it is or transposed."""

    matrix: Matrix
    transposed: bool

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of op(X)."""
        return self._turn(self.matrix.shape)

    @cached_property
    def chunks(self) -> tuple[int, int]:
        """Rows and columns of a stored chunk, seen in op(X)."""
        return self._turn(self.matrix.chunks)

    @cached_property
    def dtype(self) -> str:
        """Name of the stored type."""
        return self.matrix.dtype.name

    @property
    def nbytes(self) -> int:
        """Decoded bytes of the whole matrix."""
        return self.matrix.shape[0] * self.matrix.shape[1] * self.matrix.dtype.itemsize

    @cached_property
    def sparse(self) -> bool:
        """Whether parts of it are known to be zero, or what is not zero is all that is stored."""
        occupancy = self.matrix.occupancy
        return occupancy is not None and (occupancy.lines is not None or not occupancy.full)

    @property
    def stored_bytes(self) -> int:
        """Decoded bytes of what is stored, padding of edge chunks included where it is known."""
        return self.matrix.decoded_bytes(slice(None), slice(None)) if self.sparse else self.nbytes

    def held(self, axis: int, edges: NDArray[np.int64], across: tuple[int, int]) -> NDArray[np.bool_]:
        """For each block between neighbours of `edges` along an axis of op(X): whether it may hold anything within `across`."""
        return self.matrix.held(1 - axis if self.transposed else axis, edges, across)

    @property
    def cell(self) -> tuple[int, int]:
        """Edges of the smallest part of a sparse op(X) that is known to be zero or not."""
        assert self.matrix.occupancy is not None
        return self._turn(self.matrix.occupancy.cell)

    def blocks(self, row_edges: NDArray[np.int64], col_edges: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Of each block of a sparse op(X) between neighbours of the edges: whether it may hold anything, and its decoded bytes."""
        held, nbytes = self.matrix.blocks(*self._turn((row_edges, col_edges)))
        return (held.T, nbytes.T) if self.transposed else (held, nbytes)

    def is_zero(self, rows: tuple[int, int], cols: tuple[int, int]) -> bool:
        """Whether op(X)[rows, cols] is known to be zero."""
        return self.sparse and not self.held(0, np.array(rows), cols)[0]

    def decoded_bytes(self, rows: slice, cols: slice) -> int:
        """Most bytes that reading op(X)[rows, cols] decodes: whole chunks."""
        return self.matrix.decoded_bytes(*self._turn((rows, cols)))

    def read_into(self, out: np.ndarray, rows: slice, cols: slice) -> int:
        """Read op(X)[rows, cols]; `out` is the stored block, so its shape is turned where the operand is. Returns bytes decoded."""
        first, second = self._turn((rows, cols))
        return self.matrix.read_into(out, first, second)

    def fetch_ahead(self, rows: slice, cols: slice) -> None:
        """Let the system fetch the bytes of op(X)[rows, cols] while the processor multiplies."""
        self.matrix.fetch_ahead(*self._turn((rows, cols)))

    def block_shape(self, rows: int, cols: int) -> tuple[int, int]:
        """Stored shape of a rows x cols block of op(X)."""
        return self._turn((rows, cols))

    def _turn(self, pair: tuple[T, T]) -> tuple[T, T]:
        return (pair[1], pair[0]) if self.transposed else pair


@dataclass(frozen=True)
class Problem:
    """An m x k by k x n product, from headers only."""

    a: Operand
    b: Operand
    add: Matrix | None
    """C0, or None."""
    data: Data | None = None
    """What was sampled of the values; None where headers were enough."""
    keeps_nonfinite: bool = False
    """Whether NaN and infinity are to reach the product, also where they meet an absent chunk."""
    symmetry: Symmetry = "none"
    """Whether one triangle is enough to compute, and what is to be stored."""

    @property
    def m(self) -> int:
        """Rows of the product."""
        return self.a.shape[0]

    @property
    def k(self) -> int:
        """Inner dimension."""
        return self.a.shape[1]

    @property
    def n(self) -> int:
        """Columns of the product."""
        return self.b.shape[1]

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """(m, k, n)."""
        return self.m, self.k, self.n

    @cached_property
    def flops(self) -> int:
        """Floating-point operations of the whole product, symmetric or not: one multiply-add counts 2."""
        return 2 * self.m * self.k * self.n

    @cached_property
    def sparse(self) -> bool:
        """Whether parts of A or B need be neither read nor multiplied."""
        return self.symmetry == "none" and (self.a.sparse or self.b.sparse)

    @property
    def dtypes(self) -> tuple[str, str]:
        """Stored types of A and B."""
        return self.a.dtype, self.b.dtype

    @property
    def title(self) -> str:
        """The name of the run."""
        types = self.a.dtype if self.a.dtype == self.b.dtype else f"{self.a.dtype} by {self.b.dtype}"
        return f"{self.m}x{self.k}x{self.n} {types}"


def survey(job: Job) -> Problem:
    """Read the headers of A, B and C0, see which parts of them are stored, and check that the product makes sense and OUT can be had.

    Raises BadInput (missing or foreign paths, shapes that do not fit, OUT that exists or lies inside an input, a key that is not
    known) and Refused (overwrite on a file system that cannot exchange folders).
    """
    problem = open_problem(job)
    _check_inner(problem)
    _check_added(problem)
    _check_whole(job)
    if job.seal is not None:
        require_key(job.seal)
    site_of(job.out).check([path for path in (job.a, job.b, job.add) if path is not None], job.overwrite)
    return _without_zeros(with_occupancy(problem))


def _without_zeros(problem: Problem) -> Problem:
    """A symmetric product whose zeros can be left out is not halved too; unless a triangle is asked, skipping saves more."""
    zeros = replace(problem, symmetry="none").sparse
    return replace(problem, symmetry="none") if zeros and problem.symmetry == "full" else problem


def open_problem(job: Job) -> Problem:
    """A, B and C0 of a job by their headers; raises BadInput where one is missing or no matrix."""
    a, b = open_matrix(job.a), open_matrix(job.b)
    return Problem(
        Operand(a, job.transpose_a),
        Operand(b, job.transpose_b),
        open_matrix(job.add) if job.add is not None else None,
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


def _check_whole(job: Job) -> None:
    for name, path in (("A", job.a), ("B", job.b), ("C0", job.add)):
        if path is not None and not is_url(path) and is_triangle(path):
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
