"""Members of a zip file read in part, at any byte: stored ones in place, deflated ones from the nearest point passed before.

    deflated   [--------|--------|--------|---]      a point every `spacing` decoded bytes: the decoder's state, 40 KiB each
                        ^ going on from here costs at most one spacing, wherever the wanted bytes are

Nothing is unpacked to disk, so there is nothing to account for there, and nothing to remove after a crash. A point is set when the
stream passes it for the first time; POINTS of them bound the memory.
Formats: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT and RFC 1951
"""

import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import NamedTuple, Protocol
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np

from storage.errors import BadInput, CorruptData
from storage.files import Bytes, opened, read_at

POINTS = 64
"""Most points of one member."""

LEAST_SPACING = 1 << 20
"""Decoded bytes between two points, at least."""

PIECE = 1 << 18
"""Bytes that pass at a time."""

POINTS_BYTES = POINTS * (48 << 10) + 4 * PIECE
"""Upper bound in bytes of what one member's points, and the pieces that pass, hold in a process."""

_LOCAL = struct.Struct("<4s22xHH")
_ENCRYPTED = 1


@dataclass(frozen=True)
class Archive:
    """A zip file as it was when it was opened."""

    path: str
    """Absolute path."""
    size: int
    """In bytes."""
    changed: int
    """Time of its last change in nanoseconds."""

    def require_same(self, descriptor: int) -> None:
        """Raise CorruptData where the file is another one by now."""
        facts = os.fstat(descriptor)
        if (facts.st_size, facts.st_mtime_ns) != (self.size, self.changed):
            raise CorruptData(f"{self.path} was changed since it was opened: start again")


@dataclass(frozen=True)
class Member:
    """One file of an archive."""

    archive: Archive
    name: str
    offset: int
    """Byte of the archive at which its own bytes start."""
    stored: int
    """Bytes in the archive."""
    size: int
    """Decoded bytes."""
    crc: int
    """CRC-32 of the decoded bytes."""
    deflated: bool

    def read(self, target: Bytes, start: int) -> None:
        """Fill `target` with the decoded bytes from `start` on; raises CorruptData where there are not so many, or they do not decode."""
        try:
            with opened(self.archive.path) as descriptor:
                self.archive.require_same(descriptor)
                got = _points(self).read(descriptor, target, start) if self.deflated else self._read_plain(descriptor, target, start)
        except OSError as error:
            raise CorruptData(f"{self.archive.path} cannot be read any more ({error.strerror}): put it back, and run again") from error
        except zlib.error as error:
            raise CorruptData(f"{self.archive.path} member {self.name} does not decode ({error}): save it again") from error
        if got < target.size:
            raise CorruptData(f"{self.archive.path} member {self.name} ends {target.size - got} bytes early: save it again")

    def _read_plain(self, descriptor: int, target: Bytes, start: int) -> int:
        within = target[: max(0, self.size - start)]
        return read_at(descriptor, within, self.offset + start)

    def check(self) -> None:
        """Pass over all of it and compare its CRC-32; raises CorruptData where it differs."""
        crc, buffer = 0, np.empty(4 * PIECE, np.uint8)
        for start in range(0, self.size, buffer.size):
            piece = buffer[: min(buffer.size, self.size - start)]
            self.read(piece, start)
            crc = zlib.crc32(piece.data, crc)
        if crc != self.crc:
            raise CorruptData(f"{self.archive.path} member {self.name} fails its checksum (CRC-32): save it again, or restore it")


class _Decoder(Protocol):
    """What `zlib.decompressobj` gives; the class has no public name."""

    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...
    def copy(self) -> "_Decoder": ...


class _Point(NamedTuple):
    """A state of the decoder, and where it is."""

    decoded: int
    """Bytes that it has given."""
    taken: int
    """Bytes of the member that it was given."""
    decoder: _Decoder


class _Points:
    """Where decoding of one deflated member may start, in this process."""

    def __init__(self, member: Member) -> None:
        self._member, self._lock = member, Lock()
        self._spacing = max(LEAST_SPACING, -(-member.size // POINTS))
        self._points = [_Point(0, 0, zlib.decompressobj(-15))]

    def read(self, descriptor: int, target: Bytes, start: int) -> int:
        """Fill `target` with the decoded bytes from `start` on; returns how many there were."""
        filled = 0
        for at, piece in self._pieces(descriptor, start):
            part = piece[max(0, start - at) :][: target.size - filled]
            target[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
            filled += len(part)
            if filled == target.size:
                break
        return filled

    def _pieces(self, descriptor: int, start: int) -> Iterator[tuple[int, memoryview]]:
        """Decoded pieces, each with the byte at which it starts, from the nearest point on."""
        decoded, taken, decoder = self._nearest(start)
        pending = b""
        while not decoder.eof:
            if not pending:
                pending = self._next(descriptor, taken)
                taken += len(pending)
            piece = decoder.decompress(pending, PIECE)
            if not pending and not piece:
                return
            pending = decoder.unconsumed_tail
            yield decoded, memoryview(piece)
            decoded += len(piece)
            self._keep(_Point(decoded, taken - len(pending), decoder))

    def _next(self, descriptor: int, taken: int) -> bytes:
        return os.pread(descriptor, min(PIECE, self._member.stored - taken), self._member.offset + taken)

    def _nearest(self, start: int) -> _Point:
        with self._lock:
            decoded, taken, decoder = self._points[bisect_right(self._points, start, key=lambda point: point.decoded) - 1]
            return _Point(decoded, taken, decoder.copy())

    def _keep(self, point: _Point) -> None:
        with self._lock:
            if point.decoded >= self._points[-1].decoded + self._spacing:
                self._points.append(point._replace(decoder=point.decoder.copy()))


@lru_cache(maxsize=12)
def _points(member: Member) -> _Points:
    return _Points(member)


def members(path: str) -> dict[str, Member]:
    """The members of a zip file, from its directory; raises BadInput where that is damaged or a member is packed in another way."""
    try:
        with ZipFile(path) as file, opened(path) as descriptor:
            facts = os.fstat(descriptor)
            archive = Archive(path, facts.st_size, facts.st_mtime_ns)
            return {info.filename: _member(archive, info, descriptor) for info in file.infolist()}
    except (BadZipFile, ValueError, struct.error, NotImplementedError, EOFError) as error:
        raise BadInput(f"{path} is a damaged .npz ({error}): restore it, or save it again") from error


def _member(archive: Archive, info: ZipInfo, descriptor: int) -> Member:
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or info.flag_bits & _ENCRYPTED:
        raise BadInput(f"{archive.path} member {info.filename} is encrypted or packed in another way: save it with scipy.sparse.save_npz")
    raw = np.empty(_LOCAL.size, np.uint8)
    got = read_at(descriptor, raw, info.header_offset)
    signature, name, extra = _LOCAL.unpack(raw[:got].tobytes())
    offset = info.header_offset + _LOCAL.size + name + extra
    if signature != b"PK\x03\x04" or offset + info.compress_size > archive.size:
        raise BadZipFile(f"member {info.filename} is not where the directory says")
    return Member(archive, info.filename, offset, info.compress_size, info.file_size, info.CRC, deflated=info.compress_type == ZIP_DEFLATED)
