"""From the bytes of a stored chunk to its elements: the decoders of the common codec chains.

A chain is bytes -> [compressor] -> [crc32c], or pcodec -> [crc32c]. Decoders write into memory that the caller owns and trust
nothing in the file: sizes are checked before any C code sees them, so damage ends in an exception and never in a read or write
out of bounds.
Blosc 1 chunk header: https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst
"""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import google_crc32c
import numcodecs.blosc
import numcodecs.zstd
import numpy as np
from numcodecs.shuffle import Shuffle

from storage.buffers import borrow
from storage.files import Bytes

CRC_BYTES = 4
WORKING_BYTES = 2 << 20
"""Allowance for what a compression library allocates for itself while it works on one chunk."""
PCODEC_BYTES = 8 << 20
"""What pcodec allocates beyond copies of the chunk's file: its latents and bins, for as many numbers as it takes at a time."""

_BLOSC_HEADER = struct.Struct("<BBBBIII")
_INFLATE_INPUT = 1 << 16
_INFLATE_OUTPUT = 1 << 18

numcodecs.blosc.use_threads = False
numcodecs.blosc.set_nthreads(1)


class Undecodable(ValueError):
    """The encoded bytes are not what the chain says; the message says what differs."""


def crc32c(encoded: bytes | Bytes, before: int = 0) -> int:
    """CRC-32C (Castagnoli) of the bytes, following others whose checksum is `before`."""
    return google_crc32c.extend(before, encoded)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Chain:
    """How a chunk is encoded after its elements became bytes."""

    compressor: str
    """Row of DECODERS."""
    checksum: bool
    """Whether four bytes of crc32c follow the compressed bytes."""
    element: str = "|u1"
    """NumPy type of the elements as stored, for the decoders that must know it."""

    @property
    def in_place(self) -> bool:
        """Whether the stored bytes are the elements themselves."""
        return self.compressor == "none"

    def max_encoded_bytes(self, nbytes: int) -> int:
        """Upper bound in bytes of a sound file whose chunk decodes to `nbytes`."""
        growth = 0 if self.in_place else nbytes // 16 + (1 << 16)
        return nbytes + growth + CRC_BYTES * self.checksum

    def working_bytes(self, nbytes: int) -> int:
        """Upper bound in bytes of what encoding or decoding a chunk of `nbytes` needs beside the chunk and its file."""
        return WORKING_BYTES + {"huffman": nbytes, "pcodec": self.max_encoded_bytes(nbytes) + PCODEC_BYTES}.get(self.compressor, 0)

    def decode(self, encoded: Bytes, target: Bytes) -> None:
        """Fill `target` from the file's bytes, checksum included; raises Undecodable."""
        if self.checksum:
            encoded = check_crc(encoded)
        try:
            DECODERS[self.compressor](encoded, target, self.element)
        except (ValueError, RuntimeError, zlib.error) as error:
            raise Undecodable(f"does not decode: {error}") from error


def check_crc(stored: Bytes) -> Bytes:
    """Return the bytes before the checksum; raises Undecodable where they do not have it."""
    if stored.size < CRC_BYTES:
        raise Undecodable(f"has {stored.size} bytes, less than its checksum")
    check_trailing_crc(stored[:-CRC_BYTES], stored[-CRC_BYTES:])
    return stored[:-CRC_BYTES]


def check_trailing_crc(body: Bytes, suffix: Bytes) -> None:
    """Raise Undecodable where the four bytes after a body are not its crc32c, least significant byte first."""
    declared, computed = int.from_bytes(suffix.tobytes(), "little"), crc32c(body)
    if declared != computed:
        raise Undecodable(f"fails its checksum: stored crc32c {declared:08x}, computed {computed:08x}")


def _copy(encoded: Bytes, target: Bytes, element: str) -> None:
    _expect(encoded.size, target.size)
    target[:] = encoded


def _blosc(encoded: Bytes, target: Bytes, element: str) -> None:
    if encoded.size < _BLOSC_HEADER.size:
        raise Undecodable(f"has {encoded.size} bytes, less than a blosc header")
    version, _, flags, typesize, nbytes, blocksize, cbytes = _BLOSC_HEADER.unpack_from(encoded.data)
    _expect(nbytes, target.size)
    stored_plain = bool(flags & 0x2)
    sound = version == 2 and typesize > 0 and 0 < blocksize <= nbytes and (not stored_plain or cbytes == nbytes + _BLOSC_HEADER.size)
    if cbytes != encoded.size or not sound:
        raise Undecodable(f"has a damaged blosc header: it declares {cbytes} bytes, the file has {encoded.size}")
    numcodecs.blosc.decompress(encoded, target)


def _zstd(encoded: Bytes, target: Bytes, element: str) -> None:
    declared = _zstd_content_size(encoded)
    if declared is not None:
        _expect(declared, target.size)
    numcodecs.zstd.decompress(encoded, target)


def _zstd_content_size(encoded: Bytes) -> int | None:
    """Return the decoded size that the frame header declares, None where it leaves it open (RFC 8878, section 3.1.1.1)."""
    head = encoded[:18].tobytes()
    if len(head) < 5 or head[:4] != b"\x28\xb5\x2f\xfd":
        raise Undecodable("does not start with a zstd frame")
    single_segment = bool(head[4] & 0x20)
    size_bytes = (int(single_segment), 2, 4, 8)[head[4] >> 6]
    begin = 5 + (not single_segment) + (0, 1, 2, 4)[head[4] & 3]
    if size_bytes == 0:
        return None
    return int.from_bytes(head[begin : begin + size_bytes], "little") + (256 if size_bytes == 2 else 0)


def _gzip(encoded: Bytes, target: Bytes, element: str) -> None:
    _inflate(encoded, target, wbits=31)


def _zlib(encoded: Bytes, target: Bytes, element: str) -> None:
    _inflate(encoded, target, wbits=15)


def _huffman(encoded: Bytes, target: Bytes, element: str) -> None:
    """Inflate, then put the bytes of each element together again."""
    shuffled = borrow("unshuffled", target.size)
    _inflate(encoded, shuffled, wbits=15)
    Shuffle(np.dtype(element).itemsize).decode(shuffled, out=target)


def _pcodec(encoded: Bytes, target: Bytes, element: str) -> None:
    standalone = import_module("pcodec").standalone  # an optional package
    progress = standalone.simple_decompress_into(encoded.tobytes(), target.view(element))
    if not progress.finished:
        raise Undecodable(f"holds more than the {target.size} decoded bytes of a whole chunk")
    _expect(progress.n_processed * np.dtype(element).itemsize, target.size)


def _inflate(encoded: Bytes, target: Bytes, wbits: int) -> None:
    """Inflate piece by piece straight into the target, so that a damaged stream can never ask for more memory."""
    stream, filled = zlib.decompressobj(wbits), 0
    for begin in range(0, encoded.size, _INFLATE_INPUT):
        pending = encoded[begin : begin + _INFLATE_INPUT].tobytes()
        while pending:
            if stream.eof:  # gzip allows several members one after another
                stream = zlib.decompressobj(wbits)
            piece = stream.decompress(pending, _INFLATE_OUTPUT)
            pending = stream.unconsumed_tail or stream.unused_data
            if filled + len(piece) > target.size:
                raise Undecodable(f"decodes to more than {target.size} bytes")
            target[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
            filled += len(piece)
    _expect(filled, target.size)
    if not stream.eof:
        raise Undecodable("ends before its stream does")


def _expect(declared: int, expected: int) -> None:
    if declared != expected:
        raise Undecodable(f"holds {declared} decoded bytes, a whole chunk has {expected}")


DECODERS: dict[str, Callable[[Bytes, Bytes, str], None]] = {
    "none": _copy,
    "blosc": _blosc,
    "zstd": _zstd,
    "gzip": _gzip,
    "zlib": _zlib,
    "huffman": _huffman,
    "pcodec": _pcodec,
}
