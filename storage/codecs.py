"""The table of compressions that results can be written with. A new codec is one row.

Every chain ends with crc32c: without it a flipped bit in an uncompressed or blosc chunk reads back as a plausible number. A row is
portable where zarr-python, TensorStore and zarrs all open it. `auto` and `smallest` are no rows: the data choose a row then.
https://github.com/zarr-developers/zarr-extensions/tree/main/codecs
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numcodecs.blosc
import numpy as np
from numpy.typing import NDArray

from storage import compressors
from storage.chain import CRC_BYTES, Chain, crc32c
from storage.compressors import Compressor, Metadata
from storage.errors import BadInput
from storage.files import Bytes, as_bytes

EVERY_READER = ("zarr-python", "tensorstore", "zarrs", "zarrita.js")
PORTABLE_MEANS = frozenset({"zarr-python", "tensorstore", "zarrs"})
"""A row that all of these open is portable."""

SHUFFLED_BYTES = 1 << 19
"""Bytes that blosc shuffles at a time. Its own choice is small: then zstd sees short runs of each byte, and a product's random
significands hide its exponents. At half a MiB the exponents stand together (float32 products: ratio 1.19 for 1.08, and encoding
and decoding 1.4 and 3.9 times as fast)."""

LARGEST_CHUNK_BYTES = (1 << 31) - 1 - numcodecs.blosc.MAX_OVERHEAD

GOALS = ("auto", "smallest")
"""What may stand for a codec until the data have chosen: the least expected time, the fewest bytes."""


@dataclass(frozen=True)
class Codec:
    """One way to store a chunk."""

    name: str
    """Row of CODECS."""
    compressor: Compressor
    """What happens to the elements before the checksum."""
    readers: tuple[str, ...] = EVERY_READER
    """Software that opens the result without gemmflow."""
    automatic: bool = True
    """Whether the data may choose it; a row that is slow or never the best is used where it is named."""
    package: str = ""
    """Optional package that it needs, also the name of the extra that installs it."""
    least_itemsize: int = 1
    """Smallest element in bytes that it takes."""

    @property
    def portable(self) -> bool:
        """Whether zarr-python, TensorStore and zarrs all open it."""
        return set(self.readers) >= PORTABLE_MEANS

    @property
    def installed(self) -> bool:
        """Whether what it needs is here."""
        return compressors.is_installed(self.package)

    @property
    def chain(self) -> Chain:
        """How its chunks decode, for elements of one byte."""
        return Chain(self.compressor.decoder, checksum=True)

    @property
    def compress(self) -> Callable[[NDArray[np.generic]], Bytes]:
        """C-contiguous little-endian elements to compressed bytes without the checksum; see `Compressor.compress`."""
        return self.compressor.compress

    def metadata(self, itemsize: int) -> list[Metadata]:
        """Return the Zarr v3 codec list for elements of `itemsize` bytes, as zarr.json holds it."""
        return [*self.compressor.metadata(itemsize), {"name": "crc32c"}]

    def bytes_codecs(self, itemsize: int) -> list[Metadata]:
        """Return the part of the codec list after `bytes`."""
        return [codec for codec in self.metadata(itemsize) if codec["name"] != "bytes"]

    def encode(self, block: NDArray[np.generic]) -> bytes:
        """Return the file of a chunk: compressed bytes and their crc32c. The block is C-contiguous and little endian."""
        body, checksum = self.parts(block)
        return body.tobytes() + checksum

    def parts(self, block: NDArray[np.generic]) -> tuple[Bytes, bytes]:
        """Return the same without a copy: the compressed bytes, which the thread's next call may overwrite, and the checksum."""
        body = self.compress(block)
        return body, suffix(crc32c(body))

    def decode(self, encoded: bytes | bytearray | Bytes, target: NDArray[np.generic]) -> None:
        """Fill the C-contiguous `target` from the file of a chunk; raises ValueError where the bytes are damaged."""
        replace(self.chain, element=target.dtype.str).decode(np.frombuffer(encoded, np.uint8), as_bytes(target))

    def max_encoded_bytes(self, nbytes: int) -> int:
        """Upper bound in bytes of the file of a chunk of `nbytes`, checksum included."""
        return self.chain.max_encoded_bytes(nbytes)

    def working_bytes(self, nbytes: int) -> int:
        """Upper bound in bytes of what one thread holds, beside chunk and file, to encode or decode a chunk of `nbytes`."""
        return self.chain.working_bytes(nbytes)

    def require(self, dtype: np.dtype[np.number]) -> None:
        """Raise BadInput where it cannot be used here, or not for elements of this type."""
        if not self.installed:
            raise BadInput(f"codec {self.name} needs the package {self.package}: pip install gemmflow[{self.package}]")
        if dtype.itemsize < self.least_itemsize:
            raise BadInput(
                f"codec {self.name} cannot hold {dtype.name}: choose another codec, or a type of {self.least_itemsize} bytes or more"
            )


def suffix(checksum: int) -> bytes:
    """Return the checksum as it stands at the end of a chunk: four bytes, least significant first."""
    return checksum.to_bytes(CRC_BYTES, "little")


def resolve_codec(name: str) -> Codec:
    """Return the codec of this name, the default one for a goal; raises BadInput listing the names and the closest one."""
    if name in GOALS:
        return CODECS[DEFAULT_CODEC]
    if name not in CODECS:
        close = difflib.get_close_matches(name, CODECS, 1, 0.3)
        hint = f"did you mean {close[0]}? " if close else ""
        raise BadInput(f"codec {name!r} is not known: {hint}choose {', '.join(GOALS)} or one of {', '.join(CODECS)}")
    return CODECS[name]


def automatic_codecs(dtype: np.dtype[np.number], portable: bool) -> tuple[Codec, ...]:
    """Rows that the data may choose among for elements of this type: those that can be used here, in the order of the table."""
    return tuple(
        codec
        for codec in CODECS.values()
        if codec.automatic and (codec.portable or not portable) and codec.least_itemsize <= dtype.itemsize and codec.installed
    )


_ROWS = (
    Codec("none", compressors.plain()),
    Codec("blosc-lz4", compressors.blosc("lz4", 5, "bitshuffle")),
    Codec("blosc-lz4-shuffle", compressors.blosc("lz4", 5, "shuffle")),
    Codec("blosc-zstd", compressors.blosc("zstd", 1, "shuffle", SHUFFLED_BYTES)),
    Codec("blosc-zstd-bitshuffle", compressors.blosc("zstd", 1, "bitshuffle", SHUFFLED_BYTES)),
    Codec("zstd", compressors.zstd(1)),
    Codec("zstd-3", compressors.zstd(3)),
    Codec("gzip", compressors.gzip(1), automatic=False),
    Codec("huffman", compressors.huffman(), readers=("zarr-python", "zarrs", "zarrita.js")),
    Codec("pcodec", compressors.pcodec(8), readers=("zarr-python", "zarrs"), package="pcodec", least_itemsize=2),
)

CODECS: dict[str, Codec] = {codec.name: codec for codec in _ROWS}

DEFAULT_CODEC = "blosc-zstd"
"""Of all rows the best ratio or near it on every kind of product measured, and fast: benchmarks/README.md has the figures."""
