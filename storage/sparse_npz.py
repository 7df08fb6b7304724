"""A scipy sparse matrix saved by `scipy.sparse.save_npz`: CSR or CSC, read as dense blocks.

    indptr   0 2 2 5              row (CSR) or column (CSC) i, a line, has the entries indptr[i] to indptr[i + 1]
    indices  1 7 | | 0 3 3        where in its line each entry is, in any order; what is there twice is added up
    data     a b | | c d e

A block is filled with zeros, then the entries of its lines are added in their order, a piece at a time: as `toarray` adds them, so the
bits are the same. A block that is narrower than its lines decodes them whole: CSR is cheap by rows, CSC by columns.
What indices and checksums say is looked at once, by `npz_occupancy`; a block only refuses what would write beside it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.errors import BadInput, CorruptData
from storage.matrix import Block, Matrix, accept_dtype, accept_shape
from storage.npz_vector import Vector, open_vector, read_small
from storage.zip_member import POINTS_BYTES, Member, members

ENTRIES = 1 << 16
"""Entries that pass at a time."""

LINES = 1 << 15
"""Lines whose ends are read at a time."""

_PIECE_BYTES = 12 * 8 * (ENTRIES + LINES)
"""Upper bound in bytes of a piece and of what is computed from it."""

_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
_ARRAYS = ("indptr", "indices", "data")
_BY_ROWS = {"csr": True, "csc": False}


@dataclass(frozen=True)
class Entries:
    """Some consecutive entries."""

    lines: NDArray[np.int64]
    """Of the matrix, each entry's own."""
    indices: NDArray[np.int64]
    values: NDArray[np.number]


@dataclass(frozen=True)
class SparseNpz:
    """The elements of one file."""

    path: str
    """Absolute path."""
    shape: tuple[int, int]
    """Rows and columns."""
    by_rows: bool
    """Whether lines are rows (CSR); otherwise columns (CSC)."""
    indptr: Vector
    indices: Vector
    data: Vector

    @property
    def scratch_bytes(self) -> int:
        """Upper bound in bytes of what one thread holds beside the caller's array, and its process for all threads."""
        return _PIECE_BYTES + POINTS_BYTES * sum(vector.member.deflated for vector in self.vectors)

    @property
    def vectors(self) -> tuple[Vector, Vector, Vector]:
        """The three arrays of the file."""
        return self.indptr, self.indices, self.data

    @property
    def lines(self) -> int:
        """Rows of a CSR matrix, columns of a CSC one."""
        return self.shape[0] if self.by_rows else self.shape[1]

    @property
    def width(self) -> int:
        """Elements of a line."""
        return self.shape[1] if self.by_rows else self.shape[0]

    @property
    def entry_bytes(self) -> int:
        """Decoded bytes of one entry."""
        return self.indices.itemsize + self.data.itemsize

    def read_into(self, out: Block, rows: slice, cols: slice) -> int:
        """Fill `out`; returns the bytes of the entries decoded. Raises CorruptData where the file is not what it was or is damaged."""
        out[...] = 0
        lines, within, target = (rows, cols, out) if self.by_rows else (cols, rows, out.T)
        if out.size == 0:
            return 0
        count = 0
        for entries in self.entries(lines):
            count += len(entries.indices)
            _add(target, entries, (lines, within))
        return count * self.entry_bytes

    def file_of(self, row: int, col: int) -> str:
        """The one file."""
        del row, col
        return self.path

    def entries(self, lines: slice) -> Iterator[Entries]:
        """The entries of some lines, in the order of the file; raises CorruptData where the lines' ends make no sense."""
        for first in range(lines.start, lines.stop, LINES):
            last = min(first + LINES, lines.stop)
            ends = self.ends(first, last)
            for start in range(int(ends[0]), int(ends[-1]), ENTRIES):
                stop = min(start + ENTRIES, int(ends[-1]))
                own = np.repeat(np.arange(first, last), np.diff(ends.clip(start, stop)))
                yield Entries(own, self.indices.read(start, stop).astype(np.int64, copy=False), self.data.read(start, stop))

    def ends(self, first: int, last: int) -> NDArray[np.int64]:
        """Where the lines `first` to `last` start, and where the last of them ends; raises CorruptData where they go backwards."""
        ends = self.indptr.read(first, last + 1).astype(np.int64, copy=False)
        if ends[0] < 0 or ends[-1] > min(self.indices.length, self.data.length) or (np.diff(ends) < 0).any():
            kind = "rows" if self.by_rows else "columns"
            raise CorruptData(
                f"{self.path} has a damaged indptr: the ends of {kind} {first} to {last} run from {ends[0]} to {ends[-1]}, they must rise "
                f"and stay within {min(self.indices.length, self.data.length)} entries; save it again"
            )
        return ends


def _add(target: Block, entries: Entries, spans: tuple[slice, slice]) -> None:
    """Add the entries that fall into the block, each in its turn."""
    lines, within = spans
    inside = (entries.indices >= within.start) & (entries.indices < within.stop)
    at = entries.lines[inside] - lines.start, entries.indices[inside] - within.start
    values = entries.values[inside]
    places = at[0] * target.shape[1] + at[1]
    if (np.diff(places) > 0).all():
        target[at] += values
    else:
        np.add.at(target, at, values)


def is_npz(path: Path) -> bool:
    """Whether the path is a file that starts like a zip archive."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) in _SIGNATURES


def open_npz(path: Path) -> Matrix:
    """Open a scipy .npz by its headers; raises BadInput where it holds another kind of matrix, none, or sizes that do not agree."""
    found = members(str(path))
    source = _source(path, found, _by_rows(path, found))
    native = accept_dtype(str(path), np.dtype(source.data.stored))
    facts = path.stat()
    marked = repr([found[name] for name in sorted(found)]) + f" {facts.st_size} {facts.st_mtime_ns}"
    line_bytes = max(1, source.indices.length * source.entry_bytes // source.lines)
    chunks = (1, source.width) if source.by_rows else (source.width, 1)
    mark = hashlib.sha256(marked.encode()).hexdigest()
    return Matrix(str(path), "npz", source.shape, native, chunks, line_bytes, mark, source, "gzip", one_file=True)


def _by_rows(path: Path, found: dict[str, Member]) -> bool:
    if "format.npy" not in found or "shape.npy" not in found:
        arrays = ", ".join(sorted(name.removesuffix(".npy") for name in found)) or "nothing"
        raise BadInput(f"{path} holds {arrays}, no scipy sparse matrix: save a dense one with numpy.save, a sparse one with save_npz")
    named = read_small(found["format.npy"])
    kind = named.item() if named.ndim == 0 else str(named.shape)
    kind = kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
    if kind not in _BY_ROWS:
        raise BadInput(f"{path} is a sparse matrix in {kind} format, CSR and CSC are read: convert it with .tocsr() and save it again")
    return _BY_ROWS[kind]


def _source(path: Path, found: dict[str, Member], by_rows: bool) -> SparseNpz:
    missing = [name for name in _ARRAYS if f"{name}.npy" not in found]
    if missing:
        raise BadInput(f"{path} lacks {' and '.join(missing)} of a sparse matrix: save it again with scipy.sparse.save_npz")
    edges = read_small(found["shape.npy"])
    if edges.ndim != 1 or edges.dtype.kind not in "iu":
        raise BadInput(f"{path} has a shape that is none ({edges.dtype} of shape {edges.shape}): save it again with scipy.sparse.save_npz")
    shape = accept_shape(str(path), tuple(int(edge) for edge in edges))
    source = SparseNpz(str(path), shape, by_rows, *(open_vector(found[f"{name}.npy"]) for name in _ARRAYS))
    _require_sizes(source)
    return source


def _require_sizes(source: SparseNpz) -> None:
    integers = all(np.dtype(vector.stored).kind in "iu" for vector in (source.indptr, source.indices))
    if not integers or source.indptr.length != source.lines + 1 or source.indices.length != source.data.length:
        lengths = ", ".join(f"{vector.length} {name}" for vector, name in zip(source.vectors, _ARRAYS, strict=True))
        raise BadInput(
            f"{source.path} does not agree with itself: {source.lines} lines ({source.shape[0]} x {source.shape[1]}) have {lengths}; "
            "save it again with scipy.sparse.save_npz"
        )
