"""A stored matrix: what its headers say, and how a slice of it is read into memory that the caller owns.

`Matrix` is a small frozen value that travels to workers. Where and how the elements are stored is its `source`, one small
frozen value per way of storing (see formats). A source only ever sees checked slices.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from storage.errors import BadInput, CorruptData
from storage.grid import count_touched
from storage.occupancy import Counts, Flags, Occupancy

Block = NDArray[np.number]

ACCEPTED = tuple(np.dtype(name) for name in ("f8", "f4", "f2", "i8", "u8", "i4", "u4", "i2", "u2", "i1", "u1"))
"""Element types that are multiplied: whatever is asked about matrices knows all of these."""


class Source(Protocol):
    """Elements at rest. Frozen, picklable, safe to read from several threads and processes at once."""

    def read_into(self, out: Block, rows: slice, cols: slice) -> int:
        """Fill `out`, which has the shape of the slices and native byte order, and return the bytes decoded.

        Raises CorruptData, naming the chunk, where stored bytes do not decode.
        """
        ...

    @property
    def scratch_bytes(self) -> int:
        """Upper bound of the memory in bytes that one thread holds beside `out` while it reads."""
        ...


@runtime_checkable
class FetchesAhead(Protocol):
    """A source that can have bytes fetched while nobody waits for them."""

    def fetch_ahead(self, rows: slice, cols: slice) -> None:
        """Let the system fetch what the slice's reading will need; what cannot be fetched shows when it is read."""
        ...


@runtime_checkable
class LiesInFiles(Protocol):
    """A source whose elements lie in files, each whole in one of them."""

    def file_of(self, row: int, col: int) -> str:
        """Address of the file that holds an element, or would hold it."""
        ...


@dataclass(frozen=True)
class Matrix:
    """A matrix on disk, known from its headers only."""

    path: str
    """Absolute path of the file or folder."""
    format: str
    """Row of FORMATS."""
    shape: tuple[int, int]
    """Rows and columns."""
    dtype: np.dtype[np.number]
    """Element type in native byte order, whatever the stored order."""
    chunks: tuple[int, int]
    """Edges of a stored chunk in elements; (1, 1) where any slice is read exactly."""
    chunk_bytes: int
    """Decoded bytes of one whole stored chunk; 0 where nothing is chunked."""
    fingerprint: str
    """Hash of the header's bytes, size and time of change."""
    source: Source
    """How the elements are read."""
    codec: str = "other"
    """Row of CODECS whose speed is nearest to that of decoding a chunk; other where none is."""
    shard: tuple[int, int] | None = None
    """Edges in elements of a file that holds several chunks; None where every chunk is a file."""
    one_file: bool = False
    """Whether all chunks lie in one file, as the rows or columns of a sparse matrix do."""
    occupancy: Occupancy | None = None
    """Which parts are stored at all, where that was looked up (`occupied`)."""

    @property
    def scratch_bytes(self) -> int:
        """Upper bound of the memory in bytes that one reading thread holds beside the caller's array."""
        return self.source.scratch_bytes + (self.occupancy.scratch_bytes if self.occupancy else 0)

    def decoded_bytes(self, rows: slice, cols: slice) -> int:
        """Bytes that reading the slice decodes: whole chunks touched, padded edge chunks counted as stored, absent ones not at all."""
        rows, cols = self._checked(rows, 0), self._checked(cols, 1)
        if self.occupancy is not None:
            return self._stored_bytes(self.occupancy, rows, cols)
        touched = count_touched(rows, self.chunks[0]) * count_touched(cols, self.chunks[1])
        return touched * (self.chunk_bytes or self.dtype.itemsize)

    def _stored_bytes(self, occupancy: Occupancy, rows: slice, cols: slice) -> int:
        count, lines = occupancy.count(rows, cols), occupancy.lines
        if lines is None or not count:
            return count * self.chunk_bytes
        span = rows if lines.axis == 0 else cols
        return int(lines.between(np.array([span.start, span.stop]))[0])

    def blocks(self, row_edges: Counts, col_edges: Counts) -> tuple[Flags, Counts]:
        """Of each block between neighbours of the edges: whether it may hold anything, and the bytes that reading it decodes.

        For a matrix of which it is known what is stored.
        """
        assert self.occupancy is not None
        counts, lines = self.occupancy.counts(row_edges, col_edges), self.occupancy.lines
        if lines is None:
            return (counts > 0) | (not self.occupancy.zero), counts * self.chunk_bytes
        taken = lines.between(row_edges if lines.axis == 0 else col_edges)
        return counts > 0, np.where(counts > 0, taken[:, None] if lines.axis == 0 else taken, 0)

    def held(self, axis: int, edges: Counts, across: tuple[int, int]) -> Flags:
        """For each block between neighbours of `edges` along an axis: whether it may hold anything but zeros within `across`."""
        if self.occupancy is None or not self.occupancy.zero:
            return np.ones(len(edges) - 1, np.bool_)
        return self.occupancy.along(axis, edges, across)

    def read_into(self, out: Block, rows: slice, cols: slice) -> int:
        """Fill `out` with the slice and return the bytes decoded; a chunk that was never written gives the fill value and 0 bytes.

        `out` has the slice's shape and this dtype, and may be any strided view. Raises CorruptData where stored bytes do not
        decode, ValueError where `out` and the slices do not fit each other or the matrix.
        """
        rows, cols = self._checked(rows, 0), self._checked(cols, 1)
        expected = (rows.stop - rows.start, cols.stop - cols.start)
        if out.shape != expected or out.dtype != self.dtype:
            raise ValueError(f"the slice is {expected} of {self.dtype}, the array to fill is {out.shape} of {out.dtype}")
        count = self.source.read_into(out, rows, cols)
        if self.occupancy is not None and self.occupancy.lines is None:
            self._require_same(count, rows, cols)
        return count

    def fetch_ahead(self, rows: slice, cols: slice) -> None:
        """Let the system fetch the slice's bytes while the processor does something else, where the source can.

        Raises ValueError where the slices do not fit the matrix.
        """
        if isinstance(self.source, FetchesAhead):
            self.source.fetch_ahead(self._checked(rows, 0), self._checked(cols, 1))

    def _require_same(self, count: int, rows: slice, cols: slice) -> None:
        """Raise CorruptData where other chunks are stored than were: a lost one would read as the fill value, a new one is not planned."""
        assert self.occupancy is not None
        expected = self.decoded_bytes(rows, cols)
        if count > expected or (count < expected and self.occupancy.exact):
            change = "lost" if count < expected else "got"
            raise CorruptData(
                f"{self.path} {change} chunks since it was surveyed: rows {rows.start} to {rows.stop}, columns {cols.start} to {cols.stop} "
                f"decode {count} bytes, {expected} were stored; restore it, or start again"
            )

    def _checked(self, span: slice, axis: int) -> slice:
        start, stop = span.start or 0, self.shape[axis] if span.stop is None else span.stop
        if span.step not in (None, 1) or not 0 <= start <= stop <= self.shape[axis]:
            raise ValueError(f"{span} is no run of consecutive indices within 0..{self.shape[axis]} (axis {axis})")
        return slice(int(start), int(stop))


def accept_dtype(path: str, dtype: np.dtype[np.generic] | str) -> np.dtype[np.number]:
    """Return the native form of a stored element type, or raise BadInput naming it and what is accepted."""
    if not isinstance(dtype, str) and dtype.newbyteorder("=") in ACCEPTED:
        return dtype.newbyteorder("=")  # pyright: ignore[reportReturnType]
    raise BadInput(f"{path} holds {dtype}; gemmflow multiplies float16/32/64 and (u)int8/16/32/64: convert it to one of these")


def accept_shape(path: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the shape as two lengths, or raise BadInput where it is not that of a matrix with elements."""
    if len(shape) != 2:
        plural = "dimension" if len(shape) == 1 else "dimensions"
        raise BadInput(f"{path} has {len(shape)} {plural} {shape}; gemmflow multiplies matrices: give a 2-d array")
    if min(shape) < 1:
        raise BadInput(f"{path} is empty, shape {shape}: give a matrix with at least one row and one column")
    return shape
