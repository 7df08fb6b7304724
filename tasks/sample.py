"""A look at the values of A and B before the plan: a few whole chunks, where they are at most 2 % of the input bytes.

From a block of rows of op(A) and a block of columns of op(B) with the same piece of k come the two numbers that decide how rounding
errors add up (`tasks.forecast.Data`). They are carried over to all of k: what is random in them falls with the root of the
depth, what has one sign stays.
"""

from dataclasses import replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from tasks.forecast import Data
from tasks.job import Job
from tasks.survey import Operand, Problem

SHARE = 0.02
"""Of the decoded bytes of A and B, at most."""

MOST_LINES = 256
"""Rows of A and columns of B that are looked at."""

MOST_DEPTH = 4096

PLACES = 3
"""Blocks along the diagonal of the operands, if there is room for so many."""


def looked_at(job: Job, problem: Problem) -> Problem:
    """The problem with what its values tell, where a measured guarantee needs it."""
    return replace(problem, data=sample(problem)) if job.guarantee == "measured" else problem


def sample(problem: Problem) -> Data | None:
    """What a few chunks tell; None where one pair of them is more than the share, or holds NaN, infinity or zeros alone.

    Raises CorruptData naming a chunk that cannot be read.
    """
    room = SHARE * (problem.a.nbytes + problem.b.nbytes)
    found, used = list[Data](), 0
    for place in range(PLACES):
        spans = _spans(problem, place)
        cost = _cost(problem.a, spans[:2]) + _cost(problem.b, spans[1:])
        if used + cost > room:
            break
        used += cost
        a, b = _read(problem.a, spans[:2]), _read(problem.b, spans[1:])
        data = _look(a, b, problem.k)
        if data is not None:
            found.append(data)
    if not found:
        return None
    return Data(*(max(getattr(one, name) for one in found) for name in ("concentration", "size", "peak")), sampled_bytes=used)


def _spans(problem: Problem, place: int) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Rows of A, piece of k, columns of B: whole chunks, about `place` of PLACES along each."""
    m, k, n = problem.shape
    (rows, depth_a), (depth_b, cols) = problem.a.chunks, problem.b.chunks
    depth = max(depth_a, depth_b)
    return (
        _span(m, max(rows, 1) if problem.a.matrix.chunk_bytes else MOST_LINES, place),
        _span(k, depth if depth > 1 else MOST_DEPTH, place),
        _span(n, max(cols, 1) if problem.b.matrix.chunk_bytes else MOST_LINES, place),
    )


def _span(extent: int, step: int, place: int) -> tuple[int, int]:
    start = (extent - 1) * place // max(1, PLACES - 1) // step * step
    return start, min(start + step, extent)


def _cost(operand: Operand, spans: tuple[tuple[int, int], ...]) -> int:
    """Decoded bytes of a block: whole chunks."""
    touched = [-(-stop // chunk) - start // chunk for (start, stop), chunk in zip(spans, operand.chunks, strict=True)]
    return touched[0] * touched[1] * (operand.matrix.chunk_bytes or operand.matrix.dtype.itemsize)


def _read(operand: Operand, spans: tuple[tuple[int, int], ...]) -> np.ndarray:
    rows, cols = spans
    out = np.empty(operand.block_shape(rows[1] - rows[0], cols[1] - cols[0]), operand.matrix.dtype)
    operand.read_into(out, slice(*rows), slice(*cols))
    return out.T if operand.transposed else out


def _look(left: np.ndarray, right: np.ndarray, k: int) -> Data | None:
    a, b = left[:MOST_LINES, :MOST_DEPTH].astype(np.float64), right[:MOST_DEPTH, :MOST_LINES].astype(np.float64)
    norms = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    if not 0 < norms < np.inf:
        return None
    depth = a.shape[1]
    concentrated = sqrt(float((np.square(a).sum(0) * np.square(b).sum(1)).sum())) / norms
    together = float(np.linalg.norm(a @ b)) / norms
    one_sign = sqrt(max(0.0, together**2 - concentrated**2))
    at_random = concentrated * sqrt(depth / k)
    return Data(at_random, min(1.0, sqrt(one_sign**2 + at_random**2)), max(_peak(a), _peak(b.T)))


def _peak(lines: NDArray[np.float64]) -> float:
    """Largest magnitude of a line over its root mean square, at its worst."""
    rms = np.sqrt(np.square(lines).mean(1))
    return float((np.abs(lines).max(1)[rms > 0] / rms[rms > 0]).max(initial=1.0))
