"""Runs of rows or columns of a stored matrix, one after the other, seen as a small matrix of their own.

    stored    | . . a a . . . b b . c . |        gathered    | a a b b c |

Runs that share a stored chunk are read together, so that no chunk is decoded twice in one slice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from storage import Block, Matrix

T = TypeVar("T")

Span = tuple[int, int]


@dataclass(frozen=True)
class Gathered:
    """A source that reads them from the whole matrix."""

    matrix: Matrix
    axis: int
    """Of the stored matrix: 0 for runs of rows."""
    spans: tuple[Span, ...]
    """Starts and stops, ascending."""

    def read_into(self, out: Block, rows: slice, cols: slice) -> int:
        """Fill `out` and return the bytes decoded; see `storage.matrix.Source`."""
        wanted, across = (rows, cols) if self.axis == 0 else (cols, rows)
        decoded = 0
        for hull, parts in together(self._parts(wanted), edge_of(self.matrix, self.axis)):
            decoded += self._read(out, (hull, across), parts)
        return decoded

    @property
    def scratch_bytes(self) -> int:
        """What the matrix needs; the runs that are read together are not bounded by it."""
        return self.matrix.scratch_bytes

    def _parts(self, wanted: slice) -> list["Part"]:
        parts, at = list[Part](), 0
        for start, stop in self.spans:
            first, last = max(at, wanted.start), min(at + stop - start, wanted.stop)
            if first < last:
                parts.append(Part((start + first - at, start + last - at), first - wanted.start))
            at += stop - start
        return parts

    def _read(self, out: Block, where: tuple[Span, slice], parts: Sequence["Part"]) -> int:
        hull, across = where
        if len(parts) == 1:
            return self.matrix.read_into(self._of(out, parts[0].target), *self._turned(slice(*hull), across))
        shape = self._turned(hull[1] - hull[0], across.stop - across.start)
        block = np.empty(shape, self.matrix.dtype)
        decoded = self.matrix.read_into(block, *self._turned(slice(*hull), across))
        for part in parts:
            self._of(out, part.target)[...] = self._of(block, slice(part.span[0] - hull[0], part.span[1] - hull[0]))
        return decoded

    def _of(self, block: Block, lines: slice) -> Block:
        return block[lines] if self.axis == 0 else block[:, lines]

    def _turned(self, along: T, across: T) -> tuple[T, T]:
        return (along, across) if self.axis == 0 else (across, along)


@dataclass(frozen=True)
class Part:
    """A run, or what is wanted of it."""

    span: Span
    """In the stored matrix."""
    at: int = 0
    """Where it starts in what is read."""

    @property
    def target(self) -> slice:
        """Its place in what is read."""
        return slice(self.at, self.at + self.span[1] - self.span[0])


def gathered(matrix: Matrix, axis: int, spans: tuple[Span, ...]) -> Matrix:
    """The matrix of these runs alone."""
    lines = sum(stop - start for start, stop in spans)
    shape = (lines, matrix.shape[1]) if axis == 0 else (matrix.shape[0], lines)
    return replace(matrix, shape=shape, chunks=(1, 1), chunk_bytes=0, occupancy=None, source=Gathered(matrix, axis, spans))


def together(parts: Sequence[Part], edge: int) -> Iterator[tuple[Span, list[Part]]]:
    """Runs that share a chunk of `edge` lines, and the lines from the first of them to the last.

    >>> [hull for hull, _ in together([Part((0, 2)), Part((3, 5)), Part((8, 9))], 4)]
    [(0, 5), (8, 9)]
    """
    group = list[Part]()
    for part in parts:
        if group and part.span[0] // edge > (group[-1].span[1] - 1) // edge:
            yield (group[0].span[0], group[-1].span[1]), group
            group = []
        group.append(part)
    if group:
        yield (group[0].span[0], group[-1].span[1]), group


def edge_of(matrix: Matrix, axis: int) -> int:
    """Lines of the matrix that are decoded together."""
    return matrix.chunks[axis] if matrix.chunk_bytes else 1
