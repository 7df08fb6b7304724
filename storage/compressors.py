"""Compressors: elements in, compressed bytes out, and the Zarr v3 codecs that say how.

Most act on the bytes of the elements, little endian. pcodec takes the elements themselves and stands in the place of `bytes`.
    {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "typesize": 4, "blocksize": 0}}

`huffman` is a byte shuffle before DEFLATE without matches: a product's significands never repeat, so a search for matches finds
nothing, while its exponents, once they stand together, take few values. Any inflate decodes it (RFC 1951).
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numcodecs.blosc
import numcodecs.zstd
import numpy as np
from numcodecs.shuffle import Shuffle
from numpy.typing import NDArray

from storage.buffers import borrow
from storage.chain import Chain
from storage.files import Bytes, as_bytes

Metadata = dict[str, Any]

_DEFLATE_INPUT = 1 << 18


@dataclass(frozen=True)
class Compressor:
    """One way to make bytes of elements."""

    decoder: str
    """Row of DECODERS that undoes it."""
    compress: Callable[[NDArray[np.generic]], Bytes]
    """C-contiguous little-endian elements to compressed bytes.

    The result may be a view of the argument, and the thread's next call may overwrite it.
    """
    metadata: Callable[[int], list[Metadata]]
    """Zarr v3 codecs for elements of so many bytes, checksum excluded."""


def plain() -> Compressor:
    """No compression."""
    return Compressor("none", as_bytes, lambda itemsize: [_bytes(itemsize)])


def blosc(cname: str, clevel: int, shuffle: str, blocksize: int = 0) -> Compressor:
    """Blosc 1: (bit)shuffle and an LZ codec, block by block; 0 lets blosc choose the block."""
    mode = {"shuffle": numcodecs.blosc.SHUFFLE, "bitshuffle": numcodecs.blosc.BITSHUFFLE}[shuffle]

    def compress(block: NDArray[np.generic]) -> Bytes:
        return np.frombuffer(numcodecs.blosc.compress(block, cname.encode(), clevel, mode, blocksize), np.uint8)

    def metadata(itemsize: int) -> list[Metadata]:
        settings = {"typesize": itemsize, "cname": cname, "clevel": clevel, "shuffle": shuffle, "blocksize": blocksize}
        return [_bytes(itemsize), {"name": "blosc", "configuration": settings}]

    return Compressor("blosc", compress, metadata)


def zstd(level: int) -> Compressor:
    """A zstd frame with its own checksum over the decoded bytes."""

    def compress(block: NDArray[np.generic]) -> Bytes:
        return np.frombuffer(numcodecs.zstd.compress(block, level, checksum=True), np.uint8)

    named = {"name": "zstd", "configuration": {"level": level, "checksum": True}}
    return Compressor("zstd", compress, lambda itemsize: [_bytes(itemsize), named])


def gzip(level: int) -> Compressor:
    """DEFLATE: LZ77 and Huffman."""
    named = {"name": "gzip", "configuration": {"level": level}}
    stream = _Deflate("gzip", level, 31, zlib.Z_DEFAULT_STRATEGY)
    return Compressor("gzip", lambda block: stream.compress(as_bytes(block)), lambda itemsize: [_bytes(itemsize), named])


def huffman() -> Compressor:
    """Byte shuffle, then Huffman codes only."""
    stream = _Deflate("huffman", 1, 15, zlib.Z_HUFFMAN_ONLY)

    def compress(block: NDArray[np.generic]) -> Bytes:
        shuffled = borrow("shuffled", block.nbytes)
        Shuffle(block.dtype.itemsize).encode(as_bytes(block), out=shuffled)
        return stream.compress(shuffled)

    def metadata(itemsize: int) -> list[Metadata]:
        shuffle = {"name": "numcodecs.shuffle", "configuration": {"elementsize": itemsize}}
        return [_bytes(itemsize), shuffle, {"name": "numcodecs.zlib", "configuration": {"level": 1}}]

    return Compressor("huffman", compress, metadata)


def pcodec(level: int) -> Compressor:
    """Pcodec, made for numbers; needs the optional package of that name."""

    def compress(block: NDArray[np.generic]) -> Bytes:
        from numcodecs.pcodec import PCodec  # noqa: PLC0415  an optional package

        return np.frombuffer(PCodec(level).encode(block.reshape(-1)), np.uint8)

    return Compressor("pcodec", compress, lambda itemsize: [{"name": "numcodecs.pcodec", "configuration": {"level": level}}])


def is_installed(package: str) -> bool:
    """Whether an optional package can be imported; true for the empty name."""
    return not package or find_spec(package) is not None


def _bytes(itemsize: int) -> Metadata:
    return {"name": "bytes", **({"configuration": {"endian": "little"}} if itemsize > 1 else {})}


@dataclass(frozen=True)
class _Deflate:
    """A DEFLATE stream of one kind, into the thread's buffer."""

    decoder: str
    level: int
    wbits: int
    strategy: int

    def compress(self, raw: Bytes) -> Bytes:
        target, filled = borrow("deflated", Chain(self.decoder, checksum=True).max_encoded_bytes(raw.nbytes)), 0
        for piece in self._pieces(raw):
            target[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
            filled += len(piece)
        return target[:filled]

    def _pieces(self, raw: Bytes) -> Iterator[bytes]:
        stream = zlib.compressobj(self.level, zlib.DEFLATED, self.wbits, zlib.DEF_MEM_LEVEL, self.strategy)
        for begin in range(0, raw.size, _DEFLATE_INPUT):
            yield stream.compress(raw[begin : begin + _DEFLATE_INPUT].data)
        yield stream.flush()
