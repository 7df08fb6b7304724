"""Blocks of a stored symmetric product, read from what is stored: all of it, or the lower triangle alone.

rows   |::::::|\\        Left of the block's first row everything is below the diagonal. From there on, what is above it
       |::::::|:\\       is the transpose of what stands below, in the same columns.
              |::|
"""

import numpy as np

from storage import Block, Matrix

Span = tuple[int, int]


def read_lower(product: Matrix, rows: Span, cols: Span) -> Block:
    """product[rows, cols], for rows of a tile that reaches the diagonal at most: its columns start no later, and end later or not at all.

    Needs memory for the block and once more for its part from the diagonal on.
    """
    block, (top, bottom), (left, right) = _read(product, rows, cols), rows, cols
    if right <= top:
        return block
    below = _read(product, (top, right), (top, bottom))
    down, across = np.indices((bottom - top, right - top), sparse=True)
    np.copyto(block[:, top - left :], below.T, where=across > down)
    return block


def is_mirrored(product: Matrix, rows: Span, cols: Span) -> bool:
    """Whether product[rows, cols] is, bit for bit, what stands on the other side of the diagonal."""
    return _read(product, rows, cols).tobytes() == np.ascontiguousarray(_read(product, cols, rows).T).tobytes()


def _read(product: Matrix, rows: Span, cols: Span) -> Block:
    out = np.empty((rows[1] - rows[0], cols[1] - cols[0]), product.dtype)
    product.read_into(out, slice(*rows), slice(*cols))
    return out
