"""Blocks of an extent, and the stored chunks that they touch: integers only.

extent 10, step 4, chunk 3          |----|----|--|      blocks
                                    |---|---|---|-|     chunks: blocks touch 2, 2 and 2 of them
"""

from functools import cached_property
from math import gcd

import numpy as np
from numpy.typing import NDArray

from tasks.survey import Operand


def blocks(extent: int, step: int) -> int:
    """How many blocks of `step` cover `extent`.

    >>> blocks(10, 4)
    3
    """
    return -(-extent // step)


def block(index: int, extent: int, step: int) -> tuple[int, int]:
    """Start and stop of a block.

    >>> [block(i, 10, 4) for i in range(3)]
    [(0, 4), (4, 8), (8, 10)]
    """
    return index * step, min((index + 1) * step, extent)


def touched(extent: int, step: int, chunk: int) -> NDArray[np.int64]:
    """For each block, how many chunks it touches.

    >>> touched(10, 4, 3).tolist(), touched(8, 4, 4).tolist()
    ([2, 2, 2], [1, 1])
    """
    starts = np.arange(blocks(extent, step), dtype=np.int64) * step
    stops = np.minimum(starts + step, extent)
    return -(-stops // chunk) - starts // chunk


def touches(extent: int, step: int, chunk: int) -> int:
    """The sum of `touched`: every chunk once, and once more for every edge between blocks that cuts one.

    >>> touches(10, 4, 3), touches(8, 4, 4)
    (6, 2)
    """
    inner_edges = blocks(extent, step) - 1
    return blocks(extent, chunk) + inner_edges - inner_edges // (chunk // gcd(chunk, step))


class SlabCosts:
    """Decoded bytes and chunks of every slab of an operand cut into `rows` x `cols` blocks of op(X)."""

    def __init__(self, operand: Operand, rows: int, cols: int) -> None:
        self._cuts = tuple(zip(operand.shape, (rows, cols), operand.chunks, strict=True))
        self.unit = operand.matrix.chunk_bytes or operand.matrix.dtype.itemsize
        """Decoded bytes of one chunk."""
        self.whole_chunks = operand.matrix.chunk_bytes > 0 and not operand.matrix.one_file
        """Whether a chunk is a file; otherwise it is an element of a plain file, or a line of a sparse one."""

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Chunks touched along the rows, by block."""
        return touched(*self._cuts[0])

    @cached_property
    def cols(self) -> NDArray[np.int64]:
        """Chunks touched along the columns, by block."""
        return touched(*self._cuts[1])

    def bytes_of(self, row: int, col: int) -> int:
        """Decoded bytes to read one block."""
        return int(self.rows[row]) * int(self.cols[col]) * self.unit

    def chunks_in_one_pass(self) -> int:
        """Chunks decoded to read every block once."""
        return touches(*self._cuts[0]) * touches(*self._cuts[1])

    def one_pass(self) -> int:
        """Decoded bytes to read every block once."""
        return self.chunks_in_one_pass() * self.unit

    def files_in_one_pass(self) -> int:
        """Chunk files opened to read every block once; a plain file counts none."""
        return self.chunks_in_one_pass() if self.whole_chunks else 0
