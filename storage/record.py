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
    """One stored chunk."""

    key: str
    """Key of the chunk, relative to the array: c/0/3."""
    nbytes: int
    """Size of its file in bytes, checksum included."""
    crc32c: int
    """CRC-32C of its bytes before the checksum."""
    encoded: str
    """Hash of its bytes before the checksum, in hexadecimal digits."""
    values: str
    """Hash of its decoded bytes, padding included."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """Travel with hashes of 32 bytes, not 64 digits: a tile's record stays small."""
        return _unpack, (self.key, self.nbytes, self.crc32c, bytes.fromhex(self.encoded), bytes.fromhex(self.values))


def _unpack(key: str, nbytes: int, checksum: int, encoded: bytes, values: bytes) -> ChunkRecord:
    return ChunkRecord(key, nbytes, checksum, encoded.hex(), values.hex())


def digest(content: bytes | NDArray[np.generic]) -> str:
    """The hash of bytes, or of a C-contiguous array's memory, as hexadecimal digits."""
    return blake3.blake3(content if isinstance(content, bytes) else content.reshape(-1).view(np.uint8).data).hexdigest()
