"""The chunks that a slice touches, and where each of them lands: pure integers.

      chunk columns   0      1      2
                   +------+------+---+
      chunk row 0  |   ···|······|·  |   a slice (dots) cuts each touched chunk into one piece:
                   +------+------+---+   `inside` is its place in the stored chunk,
      chunk row 1  |   ···|······|·  |   `target` its place in the caller's array.
                   +------+------+---+

The pieces of a slice cover every element of it exactly once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of one chunk that falls in a slice."""

    chunk: Pair
    """Index of the chunk: row and column of the chunk grid."""
    inside: tuple[slice, slice]
    """Rows and columns of the piece within the chunk."""
    target: tuple[slice, slice]
    """Rows and columns of the piece within the slice."""


def ceil_div(total: int, step: int) -> int:
    """How many steps cover the total: `ceil_div(5, 2) => 3`."""
    return -(-total // step)


def grid_shape(shape: Pair, chunks: Pair) -> Pair:
    """Chunks along rows and columns: `grid_shape((5, 4), (2, 2)) => (3, 2)`."""
    return ceil_div(shape[0], chunks[0]), ceil_div(shape[1], chunks[1])


def count_touched(span: slice, edge: int) -> int:
    """How many chunks of `edge` elements a span touches: `count_touched(slice(1, 5), 2) => 3`."""
    return ceil_div(span.stop, edge) - span.start // edge if span.stop > span.start else 0


def pieces(rows: slice, cols: slice, chunks: Pair) -> Iterator[Piece]:
    """Cut a slice along the chunk grid, chunk row by chunk row."""
    for i, row_inside, row_target in _cuts(rows, chunks[0]):
        for j, col_inside, col_target in _cuts(cols, chunks[1]):
            yield Piece((i, j), (row_inside, col_inside), (row_target, col_target))


def _cuts(span: slice, edge: int) -> Iterator[tuple[int, slice, slice]]:
    first = span.start // edge
    for index in range(first, first + count_touched(span, edge)):
        origin = index * edge
        begin, end = max(span.start, origin), min(span.stop, origin + edge)
        yield index, slice(begin - origin, end - origin), slice(begin - span.start, end - span.start)
