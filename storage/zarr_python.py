"""Every Zarr array that the thin path does not know (filters, transposes, F order): chunk by chunk through zarr-python.

Slower (an event loop and copies between codecs), but whatever zarr-python opens, gemmflow multiplies. The thread pool and the
concurrency of zarr-python are set to one: parallel work is laid out by the plan, not here.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import zarr

from storage.errors import BadInput, CorruptData, GemmflowError
from storage.folder import Folder
from storage.grid import Piece, pieces
from storage.matrix import Block
from storage.zarr_thin import corrupt, require_header

StoredArray = zarr.Array[Any]

SCRATCH_CHUNKS = 5

zarr.config.set({"async.concurrency": 1, "threading.max_workers": 1})


@dataclass(frozen=True)
class ZarrPython:
    """The elements of a Zarr array, read by zarr-python."""

    folder: Folder
    """Where its files are."""
    header: str
    """Name of the metadata file in it."""
    chunks: tuple[int, int]
    """Edges in elements of the smallest part that is decoded by itself: a chunk, or an inner chunk of a shard."""
    files: tuple[int, int]
    """Edges in elements of what one file holds: a chunk, or a whole shard."""
    itemsize: int
    """Bytes of one element."""
    fingerprint: str
    """Fingerprint of the header, so that a changed array is opened anew."""

    @property
    def chunk_bytes(self) -> int:
        """Decoded bytes of one chunk."""
        return self.chunks[0] * self.chunks[1] * self.itemsize

    @property
    def scratch_bytes(self) -> int:
        """Upper bound in bytes of what one thread holds beside the caller's array: encoded, decoded and filtered copies."""
        return SCRATCH_CHUNKS * self.chunk_bytes + self.folder.scratch_bytes + (1 << 20)

    def read_into(self, out: Block, rows: slice, cols: slice) -> int:
        """Fill `out` chunk by chunk; returns the bytes decoded. Raises CorruptData naming the file that does not decode."""
        array = opened_array(self.folder, self.fingerprint)
        begin = (rows.start, cols.start)
        return sum(self._read_piece(array, out[piece.target], piece, begin) for piece in pieces(rows, cols, self.chunks))

    def _read_piece(self, array: StoredArray, region: Block, piece: Piece, begin: tuple[int, int]) -> int:
        origin = tuple(index * edge for index, edge in zip(piece.chunk, self.chunks, strict=True))
        file = tuple(first // edge for first, edge in zip(origin, self.files, strict=True))
        key = array.metadata.encode_chunk_key(file)
        rows, cols = (slice(start + part.start, start + part.stop) for start, part in zip(begin, piece.target, strict=True))
        try:
            with self.folder.translated(key):
                region[...] = np.asarray(array[rows, cols])
        except (MemoryError, GemmflowError):
            raise
        except Exception as error:
            raise corrupt(self.folder, key, f"does not decode: {one_line(error)}") from error
        return self.chunk_bytes if self._stored(key) else 0

    def _stored(self, key: str) -> bool:
        try:
            size = self.folder.size(key)
        except FileNotFoundError:
            require_header(self.folder, self.header)
            return False
        if size == 0:  # zarr-python takes an empty shard for one that was never written
            raise CorruptData(str(corrupt(self.folder, key, "is empty")))
        return True


@lru_cache(maxsize=8)
def opened_array(folder: Folder, fingerprint: str) -> StoredArray:
    """Open an array once for each state of its header; raises BadInput where zarr-python does not open it."""
    try:
        with folder.translated(""):
            return zarr.open_array(folder.zarr_store(), mode="r")
    except GemmflowError:
        raise
    except Exception as error:
        raise BadInput(f"{folder} cannot be opened by zarr-python {zarr.__version__}: {one_line(error)}") from error


def one_line(error: Exception) -> str:
    """Return the first line of a foreign message, with its type where it is empty."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
