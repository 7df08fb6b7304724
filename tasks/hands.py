"""Threads of a worker whose device computes by itself: they decode what the device needs next, and encode what it made.

On a processor a worker has one: the cores belong to its multiplication. What a hand reads is a band of whole chunks, so each
chunk is decoded once.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import cache, partial
from itertools import pairwise
from typing import TypeVar

import numpy as np

from storage import Matrix

T = TypeVar("T")


def hands_of(device: str, threads: int) -> int:
    """How many a worker of so many threads has."""
    return 1 if device == "cpu" else threads


def each(hands: int, jobs: Sequence[Callable[[], T]]) -> list[T]:
    """What the jobs give, in their order, `hands` at a time. Raises what one of them raised, once none is at work any more.

    Of several hands none is the caller: scratch stays with the thread that borrowed it, and as much is planned as there are hands.
    """
    if hands == 1:
        return [job() for job in jobs]
    futures = [_pool(hands).submit(job) for job in jobs]
    for waiting in wait(futures, return_when=FIRST_EXCEPTION).not_done:
        waiting.cancel()
    wait(futures)
    return [future.result() for future in futures]  # begun in this order: what failed comes before what never began


def read_block(hands: int, matrix: Matrix, out: np.ndarray, rows: slice, cols: slice) -> int:
    """Fill `out` with a slice of a stored matrix, as `Matrix.read_into` does; returns the bytes decoded."""
    found = bands((rows, cols), matrix.chunks, hands_for(matrix, hands))
    return sum(each(hands, [partial(matrix.read_into, out[_within(part, (rows, cols))], *part) for part in found]))


def hands_for(matrix: Matrix, hands: int) -> int:
    """How many read it: one where all chunks lie in one file, whose decoder goes from one place to the next."""
    return 1 if matrix.one_file else hands


def bands(block: tuple[slice, slice], edges: tuple[int, int], most: int) -> Iterator[tuple[slice, slice]]:
    """The block cut along its side with more chunks, at chunks' edges, into `most` bands at most, of as many chunks, but for one.

    >>> [(part[0].start, part[0].stop) for part in bands((slice(5, 35), slice(0, 8)), (10, 8), 2)]
    [(5, 20), (20, 35)]
    """
    chunks = [-(-side.stop // edge) - side.start // edge for side, edge in zip(block, edges, strict=True)]
    axis = int(chunks[1] > chunks[0])
    side, edge, parts = block[axis], edges[axis], min(most, chunks[axis])
    first = side.start // edge
    places = [side.start, *((first + chunks[axis] * part // parts) * edge for part in range(1, parts)), side.stop]
    for start, stop in pairwise(places):
        yield (slice(start, stop), block[1]) if axis == 0 else (block[0], slice(start, stop))


def _within(part: tuple[slice, slice], block: tuple[slice, slice]) -> tuple[slice, slice]:
    first, second = (slice(one.start - whole.start, one.stop - whole.start) for one, whole in zip(part, block, strict=True))
    return first, second


@cache
def _pool(hands: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(hands, "hand")
