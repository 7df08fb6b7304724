"""The thin path: chunks of a local Zarr array read and decoded straight into the caller's memory.

    chunk file --readinto--> encoded bytes --decode--> the chunk's place in `out`          (whole chunk, contiguous there)
                                           --decode--> decoded chunk --copy--> its place   (every other piece)

Encoded bytes and decoded chunk share one buffer of the thread, and only the pages in use become resident. Uncompressed chunks
are read where they belong. A matrix whose chunks span its width is decoded directly into row-stacked places.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.buffers import borrow
from storage.chain import CRC_BYTES, Chain, Undecodable, check_trailing_crc
from storage.errors import CorruptData
from storage.files import Bytes, as_bytes, opened, read_at
from storage.grid import Piece, pieces
from storage.matrix import Block


@dataclass(frozen=True)
class ChunkKeys:
    """How chunk indices become the name of a file: `ChunkKeys("c/", "/")` names chunk (0, 3) `c/0/3`."""

    prefix: str
    """What every key starts with."""
    separator: str
    """What stands between the indices."""

    def key(self, chunk: tuple[int, int]) -> str:
        """Key of a chunk, relative to the array's folder."""
        return f"{self.prefix}{chunk[0]}{self.separator}{chunk[1]}"


@dataclass(frozen=True)
class ThinZarr:
    """The elements of a local Zarr array whose chunks are encoded by a common chain."""

    folder: str
    """Absolute path of the array."""
    header: str
    """Name of the metadata file in it."""
    chunks: tuple[int, int]
    """Edges of a chunk in elements."""
    stored: str
    """Element type as stored, byte order included."""
    chain: Chain
    """How chunks are encoded."""
    keys: ChunkKeys
    """How chunk files are named."""
    fill: bytes
    """Bytes of one element, in native order, of a chunk that was never written."""

    @property
    def chunk_bytes(self) -> int:
        """Decoded bytes of one chunk."""
        return self.chunks[0] * self.chunks[1] * np.dtype(self.stored).itemsize

    @property
    def scratch_bytes(self) -> int:
        """Upper bound in bytes of what one thread holds beside the caller's array."""
        return self._buffer_bytes + (0 if self.chain.in_place else self.chain.working_bytes(self.chunk_bytes))

    @property
    def _buffer_bytes(self) -> int:
        """One decoded chunk and, behind it, the largest file that can hold one."""
        return self.chunk_bytes + (0 if self.chain.in_place else self.chain.max_encoded_bytes(self.chunk_bytes))

    def read_into(self, out: Block, rows: slice, cols: slice) -> int:
        """Fill `out` chunk by chunk; returns the bytes decoded. Raises CorruptData naming the chunk that does not decode."""
        return sum(self._read_piece(out[piece.target], piece) for piece in pieces(rows, cols, self.chunks))

    def _read_piece(self, region: Block, piece: Piece) -> int:
        key = self.keys.key(piece.chunk)
        try:
            with opened(f"{self.folder}/{key}") as descriptor:
                self._decode_piece(descriptor, region, piece)
        except FileNotFoundError:
            require_header(self.folder, self.header)
            region[...] = np.frombuffer(self.fill, region.dtype)[0]
            return 0
        except Undecodable as error:
            raise corrupt(self.folder, key, str(error)) from error
        except OSError as error:
            raise corrupt(self.folder, key, f"cannot be read ({error.strerror})") from error
        return self.chunk_bytes

    def _decode_piece(self, descriptor: int, region: Block, piece: Piece) -> None:
        direct = region.shape == self.chunks and region.flags.c_contiguous
        buffer = borrow("read", self._buffer_bytes)
        whole = region if direct else buffer[: self.chunk_bytes].view(region.dtype).reshape(self.chunks)
        self._decode(descriptor, as_bytes(whole), buffer[self.chunk_bytes :])
        if not np.dtype(self.stored).isnative:
            whole.byteswap(inplace=True)
        if not direct:
            region[...] = whole[piece.inside]

    def _decode(self, descriptor: int, target: Bytes, buffer: Bytes) -> None:
        size, bound = os.fstat(descriptor).st_size, self.chain.max_encoded_bytes(target.size)
        if size > bound:
            raise Undecodable(f"has {size} bytes, more than any encoding of {target.size} decoded bytes")
        if self.chain.in_place:
            read_plain(descriptor, target, self.chain.checksum)
            return
        encoded = buffer[:size]
        if read_at(descriptor, encoded, 0) < size:
            raise Undecodable(f"ended before its {size} bytes were read")
        self.chain.decode(encoded, target)


def read_plain(descriptor: int, target: Bytes, checksum: bool) -> None:
    """Read an uncompressed chunk into place and verify the checksum behind it; raises Undecodable."""
    size = os.fstat(descriptor).st_size
    if size != target.size + CRC_BYTES * checksum or read_at(descriptor, target, 0) < target.size:
        raise Undecodable(f"has {size} bytes, a whole chunk has {target.size + CRC_BYTES * checksum}")
    if checksum:
        suffix: NDArray[np.uint8] = np.empty(CRC_BYTES, np.uint8)
        read_at(descriptor, suffix, target.size)
        check_trailing_crc(target, suffix)


def require_header(folder: str, header: str) -> None:
    """Raise CorruptData where the whole array is gone: only then is a missing chunk no fill value."""
    if not Path(folder, header).is_file():
        raise CorruptData(f"{folder} lost its {header} while it was read: restore the array and start again")


def corrupt(folder: str, key: str, why: str) -> CorruptData:
    """Build the error for a chunk that cannot be used."""
    return CorruptData(f"{folder} chunk {key} {why}: restore this chunk from its source")
