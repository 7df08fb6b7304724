"""The thin path: chunks of a Zarr array read and decoded straight into the caller's memory.

    chunk file --readinto--> encoded bytes --decode--> the chunk's place in `out`          (whole chunk, contiguous there)
                                           --decode--> decoded chunk --copy--> its place   (every other piece)

Encoded bytes and decoded chunk share one buffer of the thread, and only the pages in use become resident. Uncompressed chunks
are read where they belong. A matrix whose chunks span its width is decoded directly into row-stacked places. Of a shard the
index is read once, then only the chunks that the slice touches.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from storage.buffers import borrow
from storage.chain import CRC_BYTES, Chain, Undecodable, check_trailing_crc
from storage.errors import CorruptData
from storage.files import Bytes, as_bytes
from storage.folder import Folder, Opened
from storage.grid import Piece, pieces
from storage.matrix import Block
from storage.shard import INDEX_COPIES, Index, Shards, Span

FETCHED_SHARD_BYTES = 64 << 20
"""Decoded bytes of a shard up to which it is fetched ahead."""


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
    """The elements of a Zarr array whose chunks are encoded by a common chain."""

    folder: Folder
    """Where its files are."""
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
    """Bytes of one element, in native order, of a chunk that was never written; empty where every chunk was, as in a result."""
    shards: Shards | None = None
    """How chunks lie in shards; None where every chunk is a file."""

    @property
    def chunk_bytes(self) -> int:
        """Decoded bytes of one chunk."""
        return self.chunks[0] * self.chunks[1] * np.dtype(self.stored).itemsize

    @property
    def scratch_bytes(self) -> int:
        """Upper bound in bytes of what one thread holds beside the caller's array."""
        index = INDEX_COPIES * self.shards.index_bytes if self.shards else 0
        return (
            self._buffer_bytes
            + index
            + self.folder.scratch_bytes
            + (0 if self.chain.in_place else self.chain.working_bytes(self.chunk_bytes))
        )

    @property
    def _buffer_bytes(self) -> int:
        """One decoded chunk and, behind it, the largest file that can hold one."""
        return self.chunk_bytes + (0 if self.chain.in_place else self.chain.max_encoded_bytes(self.chunk_bytes))

    @property
    def _files(self) -> tuple[int, int]:
        """Edges in elements of what one file holds."""
        return self.shards.edges if self.shards else self.chunks

    def read_into(self, out: Block, rows: slice, cols: slice) -> int:
        """Fill `out` file by file; returns the bytes decoded. Raises CorruptData naming the file that does not decode."""
        return sum(self._read_piece(out[piece.target], piece) for piece in pieces(rows, cols, self._files))

    def fetch_ahead(self, rows: slice, cols: slice) -> None:
        """Let the system fetch the slice's files, whole; of shards only small ones, since few chunks of a large one may be needed."""
        if self.shards and prod(self._files) * np.dtype(self.stored).itemsize > FETCHED_SHARD_BYTES:
            return
        for piece in pieces(rows, cols, self._files):
            self.folder.fetch_ahead(self.keys.key(piece.chunk))

    def file_of(self, row: int, col: int) -> str:
        """The chunk's file, or the shard's."""
        high, wide = self._files
        return f"{self.folder}/{self.keys.key((row // high, col // wide))}"

    def _read_piece(self, region: Block, piece: Piece) -> int:
        key = self.keys.key(piece.chunk)
        try:
            with self.folder.opened(key, whole=self.shards is None) as file:
                if self.shards:
                    return self._decode_shard(file, self.shards.read_index(file), region, piece)
                return self._decode_piece(file, Span(0, file.size), region, piece.inside)
        except FileNotFoundError as error:
            require_header(self.folder, self.header)
            if not self.fill:
                raise corrupt(self.folder, key, "is missing") from error
            return self._fill(region)
        except Undecodable as error:
            raise corrupt(self.folder, key, str(error)) from error
        except OSError as error:
            raise corrupt(self.folder, key, f"cannot be read ({error.strerror})") from error

    def _decode_shard(self, file: Opened, index: Index, region: Block, piece: Piece) -> int:
        decoded = 0
        for inner in pieces(*piece.inside, self.chunks):
            part, span = region[inner.target], index.span(inner.chunk)
            try:
                decoded += self._decode_piece(file, span, part, inner.inside) if span else self._fill(part)
            except Undecodable as error:
                raise Undecodable(f"(a shard) holds a chunk at {inner.chunk[0]},{inner.chunk[1]} that {error}") from error
        return decoded

    def _fill(self, region: Block) -> int:
        """What was never written reads as the fill value, and nothing is decoded."""
        if not self.fill:
            raise Undecodable("is missing")
        region[...] = np.frombuffer(self.fill, region.dtype)[0]
        return 0

    def _decode_piece(self, file: Opened, span: Span, region: Block, inside: tuple[slice, slice]) -> int:
        direct = region.shape == self.chunks and region.flags.c_contiguous
        buffer = borrow("read", self._buffer_bytes)
        whole = region if direct else buffer[: self.chunk_bytes].view(region.dtype).reshape(self.chunks)
        self._decode(file, span, as_bytes(whole), buffer[self.chunk_bytes :])
        if not np.dtype(self.stored).isnative:
            whole.byteswap(inplace=True)
        if not direct:
            region[...] = whole[inside]
        return self.chunk_bytes

    def _decode(self, file: Opened, span: Span, target: Bytes, buffer: Bytes) -> None:
        if span.nbytes > self.chain.max_encoded_bytes(target.size):
            raise Undecodable(f"has {span.nbytes} bytes, more than any encoding of {target.size} decoded bytes")
        if self.chain.in_place:
            read_plain(file, span, target, self.chain.checksum)
            return
        encoded = buffer[: span.nbytes]
        if file.read_at(encoded, span.offset) < span.nbytes:
            raise Undecodable(f"ended before its {span.nbytes} bytes were read")
        self.chain.decode(encoded, target)


def read_plain(file: Opened, span: Span, target: Bytes, checksum: bool) -> None:
    """Read an uncompressed chunk into place and verify the checksum behind it; raises Undecodable."""
    if span.nbytes != target.size + CRC_BYTES * checksum or file.read_at(target, span.offset) < target.size:
        raise Undecodable(f"has {span.nbytes} bytes, a whole chunk has {target.size + CRC_BYTES * checksum}")
    if checksum:
        suffix: NDArray[np.uint8] = np.empty(CRC_BYTES, np.uint8)
        file.read_at(suffix, span.offset + target.size)
        check_trailing_crc(target, suffix)


def require_header(folder: Folder, header: str) -> None:
    """Raise CorruptData where the whole array is gone: only then is a missing chunk no fill value."""
    if not folder.holds(header):
        raise CorruptData(f"{folder} lost its {header} while it was read: restore the array and start again")


def corrupt(folder: Folder, key: str, why: str) -> CorruptData:
    """Build the error for a chunk that cannot be used."""
    return CorruptData(f"{folder} chunk {key} {why}: restore this chunk from its source")
