"""Blocks of a stored symmetric product of which only the lower triangle is there, and whether both triangles are alike.

    rows   |::::::|\\        Left of the block's first row everything is below the diagonal. From there on, what is above it
           |::::::|:\\       is the transpose of what stands below, in the same columns.
                  |::|

A file that is left out is never read: gemmflow takes one that is missing in its own results for lost.
"""

import numpy as np

from storage import Block, Matrix

Span = tuple[int, int]


def read_lower(product: Matrix, rows: Span, cols: Span) -> Block:
    """product[rows, cols], for rows of a tile that reaches the diagonal at most: its columns start no later, and end later or not at all.

    Needs memory for the block and once more for its part from the diagonal on.
    """
    block, (top, bottom), (left, right) = _read_stored(product, rows, cols), rows, cols
    if right <= top:
        return block
    below = _read_stored(product, (top, right), (top, bottom))
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


def _read_stored(product: Matrix, rows: Span, cols: Span) -> Block:
    """product[rows, cols] as far as files reach: those of a row of files end with the one that holds its last diagonal element."""
    height, width = product.shard or product.chunks
    out, start = np.zeros((rows[1] - rows[0], cols[1] - cols[0]), product.dtype), rows[0]
    while start < rows[1]:
        edge = min((start // height + 1) * height, product.shape[0])
        stop, reach = min(edge, rows[1]), min(-(-edge // width) * width, cols[1])
        if reach > cols[0]:
            product.read_into(out[start - rows[0] : stop - rows[0], : reach - cols[0]], slice(start, stop), slice(cols[0], reach))
        start = stop
    return out
