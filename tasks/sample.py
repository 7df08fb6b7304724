"""A look at the values of A and B before the plan: a few whole chunks, where they are at most 2 % of the input bytes.

From a block of rows of op(A) and a block of columns of op(B) with the same piece of k come the numbers that decide how rounding
errors add up (`tasks.forecast.Data`). They are carried over to all of k: what is random in them falls with the root of the
depth, what has one sign stays.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from tasks.forecast import Data, random_data
from tasks.job import Job
from tasks.survey import Operand, Problem

SHARE = 0.02
"""Of the decoded bytes of A and B, at most."""

LINES = (256, 128, 64, 32, 16)
"""Rows of A and columns of B that are looked at: as many as there is room for."""

DEPTHS = (4096, 1024, 256, 64)
"""Length of the piece of k: as deep as there is room for, in whole chunks."""

DEVIATIONS = 3
"""Numbers of random sign have ||A B||**2 = (rho ||A|| ||B||)**2 with a relative standard deviation of sqrt(2 / elements of A B): what
is this often above has a sign in common, and does not fall with the depth."""

PLACES = 3
"""Blocks along the diagonal of the operands, if there is room for so many."""

Span = tuple[int, int]
Block = tuple[Span, Span, Span]
"""Rows of A, piece of k, columns of B."""


def looked_at(job: Job, problem: Problem) -> Problem:
    """The problem with what its values tell, where a measured guarantee needs it."""
    return replace(problem, data=sample(problem)) if job.guarantee == "measured" else problem


def sample(problem: Problem) -> Data | None:
    """What a few chunks tell; None where one pair of them is more than the share.

    Where all of them hold NaN, infinity or zeros alone the data are taken for random numbers. Raises CorruptData naming a
    chunk that cannot be read.
    """
    found, used = list[Data](), 0
    for rows, depth, cols in _blocks(problem):
        a, bytes_a = _read(problem.a, rows, depth)
        b, bytes_b = _read(problem.b, depth, cols)
        used += bytes_a + bytes_b
        data = look(a, b, problem.k)
        if data is not None:
            found.append(data)
    if not used:
        return None
    worst = found or [random_data(problem.k)]
    return Data(*(max(getattr(one, name) for one in worst) for name in ("concentration", "size", "peak")), sampled_bytes=used)


def _blocks(problem: Problem) -> Iterator[Block]:
    """As many as there is room for, each as large as they may be if all are read, or else as the first one may be."""
    room = SHARE * (problem.a.stored_bytes + problem.b.stored_bytes)
    sizes = [(depth, lines) for depth in DEPTHS for lines in LINES]
    fitting = (
        [_block(problem, place, size) for place in range(PLACES)]
        for most in (room / PLACES, room)
        for size in sizes
        if _cost(problem, _block(problem, 0, size)) <= most
    )
    for block in dict.fromkeys(next(fitting, ())):
        room -= _cost(problem, block)
        if room < 0:
            return
        yield block


def _block(problem: Problem, place: int, size: tuple[int, int]) -> Block:
    """From the edges of chunks, about `place` of PLACES along each extent; `size` is depth and lines."""
    (m, k, n), (depth, lines) = problem.shape, size
    chunk = max(problem.a.chunks[1], problem.b.chunks[0])
    return (
        _span((m, place), _step(problem.a, 0, lines), LINES[0]),
        _span((k, place), max(depth // chunk, 1) * chunk, DEPTHS[0]),
        _span((n, place), _step(problem.b, 1, lines), LINES[0]),
    )


def _step(operand: Operand, side: int, lines: int) -> int:
    return operand.chunks[side] if operand.matrix.chunk_bytes and not operand.matrix.one_file else lines


def _span(where: tuple[int, int], step: int, most: int) -> Span:
    """At the edge of a chunk, however long that is: more than `most` of it would only take memory."""
    extent, place = where
    start = (extent - 1) * place // max(1, PLACES - 1) // step * step
    return start, min(start + min(step, most), extent)


def _cost(problem: Problem, block: Block) -> int:
    """Most bytes that reading the block decodes: whole chunks."""
    rows, depth, cols = (slice(*span) for span in block)
    return problem.a.decoded_bytes(rows, depth) + problem.b.decoded_bytes(depth, cols)


def _read(operand: Operand, rows: Span, cols: Span) -> tuple[np.ndarray, int]:
    out = np.empty(operand.block_shape(rows[1] - rows[0], cols[1] - cols[0]), operand.matrix.dtype)
    decoded = operand.read_into(out, slice(*rows), slice(*cols))
    return (out.T if operand.transposed else out), decoded


def look(left: np.ndarray, right: np.ndarray, k: int) -> Data | None:
    """What a block of A and one of B tell of products of depth k; None where one holds NaN, infinity or zeros alone."""
    a, b = _scaled(left), _scaled(right)
    norms = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    if not 0 < norms < np.inf:
        return None
    depth = a.shape[1]
    concentrated = sqrt(float((np.square(a).sum(0) * np.square(b).sum(1)).sum())) / norms
    together = float(np.linalg.norm(a @ b)) / norms
    by_chance = 1 + DEVIATIONS * sqrt(2 / (a.shape[0] * b.shape[1]))
    one_sign = sqrt(max(0.0, together**2 - by_chance * concentrated**2))
    at_random = concentrated * sqrt(depth / k)
    return Data(at_random, min(1.0, sqrt(one_sign**2 + at_random**2)), max(_peak(a), _peak(b.T)))


def _scaled(values: np.ndarray) -> NDArray[np.float64]:
    """Below 1 by a power of two, so that no square overflows, and none that counts underflows."""
    wide = values.astype(np.float64)
    largest = float(np.abs(wide).max(initial=0.0))
    return np.ldexp(wide, -int(np.frexp(largest)[1])) if np.isfinite(largest) else np.full_like(wide, np.nan)


def _peak(lines: NDArray[np.float64]) -> float:
    """Largest magnitude of a line over its root mean square: the root mean squares, over all lines, of both.

    An int8 step is a share of the former, and what its error counts for is relative to the latter.
    """
    return sqrt(float(np.square(np.abs(lines).max(1)).sum() / np.square(lines).mean(1).sum()))
