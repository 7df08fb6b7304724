"""Survey: what the inputs are, from their headers alone; nonsense is refused here, before anything is written.

The survey decides nothing about tiles. Its `Problem` holds shapes, types and chunk grids of op(A) and op(B), so that no
later stage asks again whether an operand was transposed: an `Operand` speaks of rows and columns of op(X) and reads the
stored matrix accordingly.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from storage import Matrix, is_url, open_matrix, require_key, site_of
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

    def decoded_bytes(self, rows: slice, cols: slice) -> int:
        """Most bytes that reading op(X)[rows, cols] decodes: whole chunks."""
        return self.matrix.decoded_bytes(*self._turn((rows, cols)))

    def read_into(self, out: np.ndarray, rows: slice, cols: slice) -> int:
        """Read op(X)[rows, cols]; `out` is the stored block, so its shape is turned where the operand is. Returns bytes decoded."""
        first, second = self._turn((rows, cols))
        return self.matrix.read_into(out, first, second)

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
    """Read the headers of A, B and C0 and check that the product makes sense and OUT can be had.

    Raises BadInput (missing or foreign paths, shapes that do not fit, OUT that exists or lies inside an input, a key that is not
    known) and Refused (overwrite on a file system that cannot exchange folders).
    """
    a, b = open_matrix(job.a), open_matrix(job.b)
    problem = Problem(
        Operand(a, job.transpose_a),
        Operand(b, job.transpose_b),
        open_matrix(job.add) if job.add is not None else None,
        symmetry=symmetry_of(job, a, b),
    )
    _check_inner(problem)
    _check_added(problem)
    _check_whole(job)
    if job.seal is not None:
        require_key(job.seal)
    site_of(job.out).check([path for path in (job.a, job.b, job.add) if path is not None], job.overwrite)
    return problem


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
