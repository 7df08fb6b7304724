"""Shards: one file that holds many chunks, and an index of where each of them lies.

    file  [ chunk 0,0 | chunk 0,1 | ... | index | crc32c of the index ]
    index   offset and size of every chunk in the order of the grid, two uint64 each, least significant byte first;
            both have all bits set where a chunk was never written

Results are written in one pass, each chunk behind the one before it, and hold every chunk in which the array has an element.
A shard of others may have its index in front, an index without checksum, and gaps.
Format: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from storage.chain import CRC_BYTES, Undecodable, check_crc, crc32c
from storage.files import Bytes, as_bytes
from storage.folder import Opened
from storage.grid import Pair, grid_shape
from storage.record import Digest

ABSENT = (1 << 64) - 1
INDEX_COPIES = 6
"""Upper bound of what is held while an index is read, in sizes of the index: itself, and what checking it needs."""
_ENTRY = np.dtype("<u8")


class Span(NamedTuple):
    """Where bytes lie in a file."""

    offset: int
    nbytes: int


@dataclass(frozen=True)
class Shards:
    """The shards of an array: how large, and how they say where their chunks are."""

    edges: Pair
    """Edges of a shard in elements."""
    chunks: Pair
    """Edges of a chunk in elements; those of the shard are whole multiples of them."""
    checksum: bool = True
    """Whether four bytes of crc32c follow the index."""
    index_first: bool = False
    """Whether the index stands in front of the chunks."""

    def __post_init__(self) -> None:
        if min(self.edges) < 1 or min(self.chunks) < 1 or any(edge % chunk for edge, chunk in zip(self.edges, self.chunks, strict=True)):
            raise ValueError(f"shard edges {self.edges} must be whole multiples of the chunk edges {self.chunks}")

    @property
    def grid(self) -> Pair:
        """Chunks of one shard along rows and columns."""
        return grid_shape(self.edges, self.chunks)

    @property
    def index_bytes(self) -> int:
        """Size of the index in bytes, checksum included."""
        return 2 * _ENTRY.itemsize * self.grid[0] * self.grid[1] + CRC_BYTES * self.checksum

    def read_index(self, file: Opened) -> "Index":
        """The index of an open file; raises Undecodable where it is damaged or points outside the file."""
        size = file.size
        if size < self.index_bytes:
            raise Undecodable(f"has {size} bytes, less than the {self.index_bytes} of its index")
        raw: Bytes = np.empty(self.index_bytes, np.uint8)
        if file.read_at(raw, 0 if self.index_first else size - raw.size) < raw.size:
            raise Undecodable(f"ended before its {size} bytes were read")
        return self.index_of(raw, size)

    def index_of(self, raw: Bytes, size: int) -> "Index":
        """The index whose bytes, checksum included, are these, in a file of `size` bytes; raises Undecodable."""
        try:
            entries = (check_crc(raw) if self.checksum else raw).view(_ENTRY).reshape(*self.grid, 2)
        except Undecodable as error:
            raise Undecodable(f"has a damaged index: it {error}") from error
        offsets, sizes = entries[..., 0], entries[..., 1]
        present = (offsets != ABSENT) | (sizes != ABSENT)
        if (present & ((offsets > size) | (sizes > size - np.minimum(offsets, size)))).any():
            raise Undecodable(f"has a damaged index: it points outside the {size} bytes of the file")
        return Index(entries)


@dataclass(frozen=True)
class Index:
    """Where the chunks of one shard lie."""

    entries: NDArray[np.uint64]
    """Offset and size by row and column of the chunk."""

    def span(self, chunk: Pair) -> Span | None:
        """Where a chunk lies, its row and column counted within the shard; None where it was never written."""
        offset, nbytes = (int(number) for number in self.entries[chunk])
        return None if offset == nbytes == ABSENT else Span(offset, nbytes)

    def spans(self) -> Iterator[Span]:
        """The chunks that were written, in the order of the grid."""
        for chunk in np.ndindex(*self.entries.shape[:2]):
            if (span := self.span(chunk)) is not None:
                yield span


class Filling:
    """A shard while it is written: what follows what, and how the index grows."""

    def __init__(self, shards: Shards) -> None:
        self._entries = np.full((*shards.grid, 2), ABSENT, _ENTRY)
        self.nbytes = 0
        """Bytes of the file so far."""
        self.crc32c = 0
        """CRC-32C of the bytes so far, without those that `end` adds last: the index's own checksum."""
        self.hash = Digest()
        """Of the same bytes."""

    def add(self, chunk: Pair, parts: tuple[Bytes, bytes]) -> None:
        """Count a chunk, encoded with its checksum, as the next bytes of the file."""
        nbytes = sum(map(len, parts))
        self._entries[chunk] = self.nbytes, nbytes
        self._pass(*parts)

    def end(self) -> tuple[bytes, bytes]:
        """The last bytes of the file: index and its checksum."""
        index = self._entries.tobytes()
        self._pass(index)
        self.nbytes += CRC_BYTES
        return index, crc32c(index).to_bytes(CRC_BYTES, "little")

    def _pass(self, *parts: bytes | Bytes) -> None:
        for part in parts:
            self.nbytes += len(part)
            self.crc32c = crc32c(part, self.crc32c)
            self.hash.update(part)


def guarded(body: Bytes, shards: Shards | None) -> Bytes:
    """The part of a stored file, its last four bytes left off, that these four are the crc32c of.

    All of it for a chunk; the index for a shard, whose chunks have checksums of their own.
    """
    return body if shards is None else body[max(0, body.size + CRC_BYTES - shards.index_bytes) :]


def encoded_chunks(stored: Bytes, shards: Shards) -> Iterator[Bytes]:
    """The encoded chunks of a whole shard in memory, in the order of the grid; raises Undecodable."""
    if stored.size < shards.index_bytes:
        raise Undecodable(f"has {stored.size} bytes, less than the {shards.index_bytes} of its index")
    raw = stored[: shards.index_bytes] if shards.index_first else stored[stored.size - shards.index_bytes :]
    for span in shards.index_of(as_bytes(raw.copy()), stored.size).spans():
        yield stored[span.offset : span.offset + span.nbytes]
