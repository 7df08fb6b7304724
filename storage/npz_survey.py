"""One pass over a sparse matrix: its checksums, its indices, and where it holds anything.

Zip has one checksum for a whole member, and only the indices say what is zero. So a survey reads the file once from its first byte to its
last, in pieces; workers then rely on it for as long as size and time of the file are the same.
"""

import zlib
from functools import lru_cache
from typing import cast

import numpy as np

from storage.errors import BadInput, CorruptData
from storage.grid import ceil_div, grid_shape
from storage.matrix import Matrix
from storage.occupancy import LineBytes, Occupancy
from storage.sparse_npz import Entries, SparseNpz

LEAST_CELL = 64
"""Edge of a cell in elements, at least."""

MOST_ALONG = 1000
"""Cells along an axis, at most."""


def npz_occupancy(matrix: Matrix) -> Occupancy:
    """Where a sparse matrix holds entries; raises BadInput where its checksums, its line ends or its indices are wrong."""
    return _surveyed(cast("SparseNpz", matrix.source))


@lru_cache(maxsize=8)
def _surveyed(source: SparseNpz) -> Occupancy:
    try:
        for vector in source.vectors:
            vector.member.check()
        return _passed(source)
    except CorruptData as error:
        raise BadInput(str(error)) from error  # nothing was written yet


def _passed(source: SparseNpz) -> Occupancy:
    cell = _edge(source.shape[0]), _edge(source.shape[1])
    held = np.zeros(grid_shape(source.shape, cell), np.bool_)
    across, along = (cell[0], cell[1]) if source.by_rows else (cell[1], cell[0])
    counts = np.zeros(ceil_div(source.lines, across), np.int64)
    marks = held if source.by_rows else held.T
    for entries in source.entries(slice(0, source.lines)):
        _require_within(source, entries)
        rows = entries.lines // across
        marks[rows, entries.indices // along] = True
        counts += np.bincount(rows, minlength=len(counts))
    sums = np.append(0, counts.cumsum()) * source.entry_bytes
    lines = LineBytes(0 if source.by_rows else 1, across, source.lines, zlib.compress(sums.tobytes()))
    return Occupancy.of(held, source.shape, cell, exact=False, lines=lines)


def _edge(extent: int) -> int:
    """A power of two: it divides the edges of most tiles."""
    return max(LEAST_CELL, 1 << (ceil_div(extent, MOST_ALONG) - 1).bit_length())


def _require_within(source: SparseNpz, entries: Entries) -> None:
    wrong = (entries.indices < 0) | (entries.indices >= source.width)
    if wrong.any():
        at = int(wrong.argmax())
        line, other = ("row", "columns") if source.by_rows else ("column", "rows")
        raise BadInput(
            f"{source.path} has index {entries.indices[at]} in {line} {entries.lines[at]}, but {source.width} {other}: "
            "save it again with scipy.sparse.save_npz"
        )
