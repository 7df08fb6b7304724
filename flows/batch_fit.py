"""Whether the matrices of a batch's jobs fit each other, from headers alone: products yet to be made have the shape that their jobs say.

    A, B, C0 on disk               their headers
    the product of an earlier job  rows of its op(A), columns of its op(B), if these are known and fit
    part of such a product         nobody knows: not checked

What is wrong with an input itself is named elsewhere (`flows.batch_places`); a job that has such an input is not looked at here.
"""

from collections.abc import Sequence

import numpy as np

from flows.batch_places import Tie
from storage import Matrix, open_matrix
from tasks.errors import GemmflowError
from tasks.job import Job
from tasks.survey import is_part, objections, open_problem


class Headers:
    """Inputs by their headers, each opened once."""

    def __init__(self) -> None:
        self._known: dict[str, Matrix | GemmflowError] = {}

    def open(self, place: str) -> Matrix:
        """The matrix at a path or URL; raises what `open_matrix` does."""
        found = self._look(place)
        if isinstance(found, GemmflowError):
            raise found
        return found

    def missing(self, place: str) -> str:
        """Why it cannot be opened; empty where it can."""
        found = self._look(place)
        return str(found) if isinstance(found, GemmflowError) else ""

    def _look(self, place: str) -> Matrix | GemmflowError:
        if place not in self._known:
            try:
                self._known[place] = open_matrix(place)
            except GemmflowError as error:
                self._known[place] = error
        return self._known[place]


def misfits(jobs: Sequence[Job | None], ties: Sequence[Tie], headers: Headers) -> list[list[str]]:
    """For each job, what a survey would say against its inputs; a job that is None is not known well enough to tell."""
    book = _Products(jobs, ties, headers)
    return [[] if job is None else book.look(number, job) for number, job in enumerate(jobs)]


class _Unknown(Exception):
    """An input of which nothing can be said, or nothing yet."""


class _Products:
    """What the jobs make, in the order of the file."""

    def __init__(self, jobs: Sequence[Job | None], ties: Sequence[Tie], headers: Headers) -> None:
        self._jobs, self._ties, self._headers = jobs, ties, headers
        self._made: dict[int, Matrix] = {}

    def look(self, number: int, job: Job) -> list[str]:
        """What is wrong with one; the product of one that is right is known from then on."""

        def header(place: str) -> Matrix:
            maker = self._maker(number, place)
            if self._headers.missing(place) if maker is None else maker not in self._made:
                raise _Unknown
            return self._headers.open(place) if maker is None else self._made[maker]

        def is_triangle(place: str) -> bool:
            maker = self._maker(number, place)
            made = self._jobs[maker] if maker is not None else None
            return is_part(place) if maker is None else made is not None and made.store == "triangle"

        try:
            found = objections(job, header, is_triangle)
            if not found:
                self._made[number] = _promised(job.out, open_problem(job, header).shape)
        except (_Unknown, GemmflowError):
            return []
        return found

    def _maker(self, number: int, place: str) -> int | None:
        """Which job makes an input; None where it is on disk. Raises _Unknown where it is a part of what one makes, or of several."""
        makers = self._ties[number].makers.get(place)
        if makers is None:
            return None
        if len(makers) != 1:
            raise _Unknown
        return makers[0]


def _promised(out: str, shape: tuple[int, int, int]) -> Matrix:
    """The product as far as it is known: its place and its shape."""
    rows, _, cols = shape
    return Matrix(out, "zarr", (rows, cols), np.dtype("float64"), (rows, cols), 0, "", _NotYet())


class _NotYet:
    """Elements that are yet to be computed."""

    scratch_bytes = 0

    def read_into(self, out: np.ndarray, rows: slice, cols: slice) -> int:
        """There is nothing to read."""
        raise _Unknown
