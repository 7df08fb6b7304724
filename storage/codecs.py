"""The table of compressions that results can be written with. A new codec is one row.

Every chain is bytes (little endian) -> compressor -> crc32c, the checksum always there: without it a flipped bit in an
uncompressed or blosc chunk reads back as a plausible number. The codecs are those of the Zarr v3 registry:
https://github.com/zarr-developers/zarr-extensions/tree/main/codecs

    {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "typesize": 4, "blocksize": 0}}
"""

import difflib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numcodecs.blosc
import numcodecs.zstd
import numpy as np
from numpy.typing import NDArray

from storage.buffers import borrow
from storage.chain import CRC_BYTES, Chain, crc32c
from storage.errors import BadInput
from storage.files import Bytes, as_bytes

Metadata = dict[str, Any]

EVERY_READER = ("zarr-python", "tensorstore", "zarrs", "zarrita.js")
_DEFLATE_INPUT = 1 << 18
SHUFFLED_BYTES = 1 << 19
"""Bytes that blosc shuffles at a time. Its own choice is small: then zstd sees short runs of each byte, and a product's random
significands hide its exponents. At half a MiB the exponents stand together (float32 products: ratio 1.19 for 1.08, and encoding
and decoding 1.4 and 3.9 times as fast)."""

LARGEST_CHUNK_BYTES = (1 << 31) - 1 - numcodecs.blosc.MAX_OVERHEAD


@dataclass(frozen=True)
class Codec:
    """One way to compress a chunk."""

    name: str
    """Row of CODECS."""
    chain: Chain
    """How its chunks decode."""
    compress: Callable[[NDArray[np.generic]], Bytes]
    """C-contiguous elements to compressed bytes without the checksum.

    The result may be a view of the argument, and the thread's next call may overwrite it.
    """
    compressor: Callable[[int], Metadata | None]
    """Zarr v3 metadata of the compressor for an element size in bytes; None where there is none."""
    readers: tuple[str, ...] = EVERY_READER
    """Software that opens the result without gemmflow."""

    def metadata(self, itemsize: int) -> list[Metadata]:
        """Return the Zarr v3 codec list for elements of `itemsize` bytes, as zarr.json holds it."""
        endian: Metadata = {"configuration": {"endian": "little"}} if itemsize > 1 else {}
        return [{"name": "bytes", **endian}, *self.bytes_codecs(itemsize)]

    def bytes_codecs(self, itemsize: int) -> list[Metadata]:
        """Return the part of the codec list after `bytes`."""
        compressor = self.compressor(itemsize)
        return [*([compressor] if compressor else []), {"name": "crc32c"}]

    def encode(self, block: NDArray[np.generic]) -> bytes:
        """Return the file of a chunk: compressed bytes and their crc32c. The block is C-contiguous and little endian."""
        body = self.compress(block)
        return body.tobytes() + suffix(crc32c(body))

    def decode(self, encoded: bytes | bytearray, target: NDArray[np.generic]) -> None:
        """Fill the C-contiguous `target` from the file of a chunk; raises ValueError where the bytes are damaged."""
        self.chain.decode(np.frombuffer(encoded, np.uint8), as_bytes(target))

    def max_encoded_bytes(self, nbytes: int) -> int:
        """Upper bound in bytes of the file of a chunk of `nbytes`, checksum included."""
        return self.chain.max_encoded_bytes(nbytes)


def suffix(checksum: int) -> bytes:
    """Return the checksum as it stands at the end of a chunk: four bytes, least significant first."""
    return checksum.to_bytes(CRC_BYTES, "little")


def resolve_codec(name: str) -> Codec:
    """Return the codec of this name, `auto` being the default one; raises BadInput listing the names and the closest one."""
    if name == "auto":
        return CODECS[DEFAULT_CODEC]
    if name not in CODECS:
        close = difflib.get_close_matches(name, CODECS, 1, 0.3)
        hint = f"did you mean {close[0]}? " if close else ""
        raise BadInput(f"codec {name!r} is not known: {hint}choose auto or one of {', '.join(CODECS)}")
    return CODECS[name]


def _plain() -> Codec:
    return Codec("none", Chain("none", checksum=True), as_bytes, lambda itemsize: None)


def _blosc(name: str, cname: str, clevel: int, shuffle: str, blocksize: int = 0) -> Codec:
    mode = {"shuffle": numcodecs.blosc.SHUFFLE, "bitshuffle": numcodecs.blosc.BITSHUFFLE}[shuffle]

    def compress(block: NDArray[np.generic]) -> Bytes:
        return np.frombuffer(numcodecs.blosc.compress(block, cname.encode(), clevel, mode, blocksize), np.uint8)

    def compressor(itemsize: int) -> Metadata:
        settings = {"typesize": itemsize, "cname": cname, "clevel": clevel, "shuffle": shuffle, "blocksize": blocksize}
        return {"name": "blosc", "configuration": settings}

    return Codec(name, Chain("blosc", checksum=True), compress, compressor)


def _zstd(level: int) -> Codec:
    def compress(block: NDArray[np.generic]) -> Bytes:
        return np.frombuffer(numcodecs.zstd.compress(block, level), np.uint8)

    metadata: Metadata = {"name": "zstd", "configuration": {"level": level, "checksum": False}}
    return Codec("zstd", Chain("zstd", checksum=True), compress, lambda itemsize: metadata)


def _gzip(level: int) -> Codec:
    chain = Chain("gzip", checksum=True)

    def compress(block: NDArray[np.generic]) -> Bytes:
        target, filled = borrow("deflated", chain.max_encoded_bytes(block.nbytes)), 0
        for piece in _deflate(as_bytes(block), level):
            target[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
            filled += len(piece)
        return target[:filled]

    metadata: Metadata = {"name": "gzip", "configuration": {"level": level}}
    return Codec("gzip", chain, compress, lambda itemsize: metadata)


def _deflate(raw: Bytes, level: int) -> Iterator[bytes]:
    stream = zlib.compressobj(level, zlib.DEFLATED, 31)
    for begin in range(0, raw.size, _DEFLATE_INPUT):
        yield stream.compress(raw[begin : begin + _DEFLATE_INPUT].data)
    yield stream.flush()


_ROWS = (
    _plain(),
    _blosc("blosc-lz4", "lz4", 5, "bitshuffle"),
    _blosc("blosc-lz4-shuffle", "lz4", 5, "shuffle"),
    _blosc("blosc-zstd", "zstd", 1, "shuffle", SHUFFLED_BYTES),
    _blosc("blosc-zstd-bitshuffle", "zstd", 1, "bitshuffle", SHUFFLED_BYTES),
    _zstd(1),
    _gzip(1),
)

CODECS: dict[str, Codec] = {codec.name: codec for codec in _ROWS}

DEFAULT_CODEC = "blosc-zstd"
"""Of all rows the best ratio or near it on every kind of product measured, and fast: benchmarks/README.md has the figures."""
