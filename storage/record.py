"""What identifies stored bytes: their size, a quick checksum, and BLAKE3 hashes of 256 bits.

The checksum (CRC-32C, 18 GB/s on one core) finds damage; the hashes (3.6 GB/s) also find what was put there on purpose.
BLAKE3: https://github.com/BLAKE3-team/BLAKE3-specs
"""

from dataclasses import dataclass

import blake3
import numpy as np
from numpy.typing import NDArray

HASH_DIGITS = 64


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
    """Hash of its bytes before the last four, in hexadecimal digits."""
    values: str
    """Hash of its decoded bytes, padding included; of a shard's chunks one after another in the order of their grid."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """Travel with hashes of 32 bytes, not 64 digits: a tile's record stays small."""
        return _unpack, (self.key, self.nbytes, self.crc32c, bytes.fromhex(self.encoded), bytes.fromhex(self.values))


def _unpack(key: str, nbytes: int, checksum: int, encoded: bytes, values: bytes) -> ChunkRecord:
    return ChunkRecord(key, nbytes, checksum, encoded.hex(), values.hex())


def digest(content: bytes | NDArray[np.generic]) -> str:
    """The hash of bytes, or of a C-contiguous array's memory, as hexadecimal digits."""
    return Digest(content).hexdigest()


class Digest:
    """The hash of bytes that come in parts."""

    def __init__(self, *parts: bytes | NDArray[np.generic]) -> None:
        self._state = blake3.blake3()
        for part in parts:
            self.update(part)

    def update(self, part: bytes | NDArray[np.generic]) -> None:
        """Take the next bytes, or the memory of a C-contiguous array."""
        self._state.update(part if isinstance(part, bytes) else part.reshape(-1).view(np.uint8).data)

    def hexdigest(self) -> str:
        """The hash of all parts so far."""
        return self._state.hexdigest()
