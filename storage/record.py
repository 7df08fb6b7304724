"""What identifies stored bytes: their size, a quick checksum, a hash of what is stored and one of what it decodes to.

    CRC-32C, 32 bits     18 GB/s on one core    finds damage
    BLAKE3, 256 bits     4 GB/s                 of the stored bytes; also finds what was put there on purpose
    XXH3, 128 bits       45 GB/s                of the values: whether a tile computed again, or encoded otherwise, is the same

The manifest's root stands for both hashes, so that the stored bytes vouch for the values.
BLAKE3: https://github.com/BLAKE3-team/BLAKE3-specs  XXH3: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
"""

from dataclasses import dataclass
from typing import Protocol

import blake3
import numpy as np
import xxhash
from numpy.typing import NDArray

HASH_DIGITS = 64
VALUES_DIGITS = 32


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """One stored file: a chunk, or a shard of several."""

    key: str
    """Its key, relative to the array: c/0/3."""
    nbytes: int
    """Its size in bytes, checksum included."""
    crc32c: int
    """CRC-32C of its bytes before the last four. These are, in a chunk, this same checksum; in a shard, that of the index alone."""
    encoded: str
    """BLAKE3 hash of its bytes before the last four, in hexadecimal digits."""
    values: str
    """XXH3 hash of its decoded bytes, padding included; of a shard's chunks one after another in the order of their grid."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """Travel with hashes of 48 bytes, not 96 digits: a tile's record stays small."""
        return _unpack, (self.key, self.nbytes, self.crc32c, bytes.fromhex(self.encoded), bytes.fromhex(self.values))


def _unpack(key: str, nbytes: int, checksum: int, encoded: bytes, values: bytes) -> ChunkRecord:
    return ChunkRecord(key, nbytes, checksum, encoded.hex(), values.hex())


def digest(content: bytes | NDArray[np.generic]) -> str:
    """The BLAKE3 hash of bytes, or of a C-contiguous array's memory, as hexadecimal digits."""
    return Digest(content).hexdigest()


def values_digest(content: bytes | NDArray[np.generic]) -> str:
    """The XXH3 hash of bytes, or of a C-contiguous array's memory, as hexadecimal digits."""
    return ValuesDigest(content).hexdigest()


class Digest:
    """The BLAKE3 hash of bytes that come in parts."""

    def __init__(self, *parts: bytes | NDArray[np.generic]) -> None:
        self._state = self._begin()
        for part in parts:
            self.update(part)

    def update(self, part: bytes | NDArray[np.generic]) -> None:
        """Take the next bytes, or the memory of a C-contiguous array."""
        self._state.update(part if isinstance(part, bytes) else part.reshape(-1).view(np.uint8).data)

    def hexdigest(self) -> str:
        """The hash of all parts so far."""
        return self._state.hexdigest()

    def _begin(self) -> "_Hash":
        return blake3.blake3()


class ValuesDigest(Digest):
    """The XXH3 hash of bytes that come in parts."""

    def _begin(self) -> "_Hash":
        return xxhash.xxh3_128()


class _Hash(Protocol):
    def update(self, data: "bytes | memoryview", /) -> object: ...

    def hexdigest(self) -> str: ...
