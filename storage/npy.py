"""NumPy's .npy files as a source: read by slab, never mapped, so that resident memory is what the caller counts.

A slice of a C-order file is one run of bytes per row. A Fortran-order file holds the transposed matrix in C order, so it is the
same read into the transposed view of the caller's array. Where runs cannot go straight into place they pass through a small block:

    file rows  ==run==        block (<= 1 MiB)        out (any strides)

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO

import numpy as np

from storage.buffers import borrow
from storage.errors import BadInput, CorruptData
from storage.files import as_bytes, fetch_ahead, opened, read_exactly
from storage.matrix import Block, Matrix, accept_dtype, accept_shape

MAGIC = b"\x93NUMPY"
BLOCK_BYTES = 1 << 20
_WHOLE_ROW_BYTES = 1 << 13
_LONGEST_RUN_BYTES = 1 << 16
_WORTH_A_CALL = 1 << 12
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


@dataclass(frozen=True)
class NpySource:
    """The elements of one .npy file."""

    path: str
    """Absolute path."""
    offset: int
    """Byte at which the elements start."""
    shape: tuple[int, int]
    """Rows and columns of the matrix."""
    stored: str
    """Element type as stored, byte order included."""
    fortran: bool
    """Whether columns, not rows, are the runs of the file."""

    @property
    def scratch_bytes(self) -> int:
        """Upper bound in bytes of what one thread holds beside the caller's array."""
        return BLOCK_BYTES

    def read_into(self, out: Block, rows: slice, cols: slice) -> int:
        """Fill `out`; returns its size in bytes. Raises CorruptData where the file is gone or got shorter since it was opened."""
        try:
            with opened(self.path) as descriptor:
                self._fill(descriptor, *((out.T, cols, rows) if self.fortran else (out, rows, cols)))
        except OSError as error:
            raise CorruptData(f"{self.path} cannot be read any more ({error.strerror}): put it back, and run again") from error
        if not np.dtype(self.stored).isnative:
            out.byteswap(inplace=True)
        return out.nbytes

    def fetch_ahead(self, rows: slice, cols: slice) -> None:
        """Let the system fetch the slice, where the runs of the file are long enough to be worth a call each."""
        lines, run = (cols, rows) if self.fortran else (rows, cols)
        item, width = np.dtype(self.stored).itemsize, self._width
        with suppress(OSError), opened(self.path) as descriptor:
            if run == slice(0, width):
                fetch_ahead(descriptor, self.offset + lines.start * width * item, (lines.stop - lines.start) * width * item)
            elif (run.stop - run.start) * item >= _WORTH_A_CALL:
                for line in range(lines.start, lines.stop):
                    fetch_ahead(descriptor, self.offset + (line * width + run.start) * item, (run.stop - run.start) * item)

    def file_of(self, row: int, col: int) -> str:
        """The one file."""
        del row, col
        return self.path

    def _fill(self, descriptor: int, out: Block, rows: slice, cols: slice) -> None:
        width, item = self._width, out.itemsize
        if out.size == 0:
            return
        if out.shape[1] == width and out.flags.c_contiguous:
            read_exactly(descriptor, as_bytes(out), self.offset + rows.start * width * item, self.path)
        elif out.strides[1] == item and (width * item > _WHOLE_ROW_BYTES or out.shape[1] == width):
            self._fill_runs(descriptor, out, rows, cols)
        else:
            self._fill_by_block(descriptor, out, rows, cols)

    def _fill_runs(self, descriptor: int, out: Block, rows: slice, cols: slice) -> None:
        width, item = self._width, out.itemsize
        for index in range(out.shape[0]):
            first = (rows.start + index) * width + cols.start
            read_exactly(descriptor, as_bytes(out[index]), self.offset + first * item, self.path)

    def _fill_by_block(self, descriptor: int, out: Block, rows: slice, cols: slice) -> None:
        """Read blocks of rows, whole where rows are short, and copy the wanted part of each."""
        width, item = self._width, out.itemsize
        whole = width * item <= _WHOLE_ROW_BYTES
        run = width if whole else min(out.shape[1], _LONGEST_RUN_BYTES // item)
        height = BLOCK_BYTES // (run * item)
        for top in range(rows.start, rows.stop, height):
            count = min(height, rows.stop - top)
            target = out[top - rows.start : top - rows.start + count]
            for left in range(0, width, run) if whole else range(cols.start, cols.stop, run):
                wanted = slice(max(left, cols.start), min(left + run, cols.stop))
                block = borrow("read", count * (run if whole else wanted.stop - wanted.start) * item).view(out.dtype).reshape(count, -1)
                self._fill(descriptor, block, slice(top, top + count), slice(left, left + block.shape[1]))
                place = slice(wanted.start - cols.start, wanted.stop - cols.start)
                target[:, place] = block[:, wanted.start - left : wanted.stop - left]

    @property
    def _width(self) -> int:
        return self.shape[0] if self.fortran else self.shape[1]


def is_npy(path: Path) -> bool:
    """Whether the path is a file that starts like an .npy file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def open_npy(path: Path) -> Matrix:
    """Open an .npy file by its header; raises BadInput where it is no matrix or is shorter than its header says."""
    with path.open("rb") as file:
        shape, fortran, dtype = _read_header(file, path)
        offset = file.tell()
        file.seek(0)
        header = file.read(offset)
    native, shape = accept_dtype(str(path), dtype), accept_shape(str(path), shape)
    facts, needed = path.stat(), offset + shape[0] * shape[1] * native.itemsize
    if facts.st_size < needed:
        raise BadInput(f"{path} is truncated: {facts.st_size} bytes where its header, shape {shape} of {native}, asks for {needed}")
    mark = hashlib.sha256(header + f"{facts.st_size} {facts.st_mtime_ns}".encode()).hexdigest()
    source = NpySource(str(path), offset, shape, dtype.str, fortran)
    return Matrix(str(path), "npy", shape, native, (1, 1), 0, mark, source, "none")


def _read_header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    try:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise BadInput(f"{path} is .npy version {version[0]}.{version[1]}: save it again with numpy.save")
        return _HEADERS[version](file)
    except (ValueError, SyntaxError, TokenError) as error:
        raise BadInput(f"{path} has a damaged .npy header ({str(error).splitlines()[0]}): save it again with numpy.save") from error
