"""The journal of a run: an append-only file of checksummed records, written by one process.

    file    magic record*
    magic   the 8 bytes b"GMMFJL1\\n"
    record  length   4 bytes, little endian: bytes of the payload
            check    4 bytes, little endian: crc32c over the length's bytes and the payload
            payload  one JSON object in UTF-8, with a "kind"; in a sealed run sealed as object "journal/<n>", n counting from 0

A record counts once it is whole and its checksum holds. A crash leaves at most a torn tail: reading stops at the first record
that is torn or damaged and reports how many bytes before it are good. Records are durable after `sync`.
"""

import json
import os
import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import google_crc32c

from storage.chain import Undecodable
from storage.errors import BadInput, GemmflowError
from storage.object_files import sealed_bytes, unsealed_bytes
from storage.seal import Seal
from storage.sync import PARTIAL, sync_folder, write_all, write_error

Record = dict[str, object]

MAGIC = b"GMMFJL1\n"

_HEAD = struct.Struct("<II")


@dataclass(frozen=True)
class JournalScan:
    """What a journal holds up to its first torn or damaged record."""

    records: list[Record]
    """The good records, oldest first."""
    good_bytes: int
    """Length in bytes of the good part of the file, the magic included; 0 where even the magic is torn."""


class Journal:
    """The open journal of a run. One process writes; its threads may share it."""

    def __init__(self, path: Path, descriptor: int, count: int, seal: Seal | None) -> None:
        self.path = path
        self._count, self._seal = count, seal
        """Records in the file, and what seals the next one."""
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._pending = False
        self._failed: GemmflowError | None = None
        """After a failed sync nobody knows what is on disk, and the next one may seem to succeed."""

    @classmethod
    def create(cls, path: Path, records: Iterable[Record] = (), seal: Seal | None = None) -> Self:
        """Start a journal that holds `records`, durable, in place of any that is there; raises DiskFull, GemmflowError.

        What was there before is no longer reached by its path: who still has it open writes to nothing.
        """
        fresh, framed = path.with_name(f"{path.name}{PARTIAL}"), [frame(record, place, seal) for place, record in enumerate(records)]
        try:
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                write_all(descriptor, [MAGIC + b"".join(framed)])
                os.fsync(descriptor)
                fresh.rename(path)
                sync_folder(str(path.parent))
            except BaseException:
                os.close(descriptor)
                fresh.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise write_error(path, error) from error
        return cls(path, descriptor, len(framed), seal)

    @classmethod
    def reopen(cls, path: Path, seal: Seal | None = None) -> Self:
        """Go on with a journal: its good records are kept, a torn tail is cut off. Raises BadInput, DiskFull, GemmflowError."""
        return cls.create(path, read_journal(path, seal), seal)

    def append(self, record: Record) -> None:
        """Add a record; it is durable after the next `sync`. Raises DiskFull with the record taken back, ValueError where it is no JSON."""
        with self._lock:
            framed = frame(record, self._count, self._seal)
            good = os.fstat(self._descriptor).st_size
            try:
                write_all(self._descriptor, [framed])
            except OSError as error:
                os.ftruncate(self._descriptor, good)
                raise write_error(self.path, error) from error
            self._count += 1
            self._pending = True

    def sync(self) -> None:
        """Make every record so far durable; does nothing where all are. Fails for good once it has failed."""
        with self._lock:
            if self._failed is not None:
                raise self._failed
            pending, self._pending = self._pending, False
            if not pending or self._descriptor < 0:
                return
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                self._failed = write_error(self.path, error)
                raise self._failed from error

    def close(self) -> None:
        """Sync and close; closing twice is harmless."""
        if self._descriptor >= 0:
            try:
                self.sync()
            finally:
                os.close(self._descriptor)
                self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def frame(record: Record, place: int = 0, seal: Seal | None = None) -> bytes:
    """Return the bytes of one record at its place in a journal: length, checksum, payload."""
    payload = sealed_bytes(seal, f"journal/{place}", json.dumps(record, separators=(",", ":"), allow_nan=False).encode())
    return _HEAD.pack(len(payload), _check(len(payload), payload)) + payload


def scan_journal(path: Path, seal: Seal | None = None) -> JournalScan:
    """Read the good part of a journal; raises BadInput where the file is missing, is no journal, or its seal's key is missing."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise BadInput(f"the journal {path} does not exist: nothing of this run can be resumed") from error
    return scan_records(content, str(path), seal)


def scan_records(content: bytes, name: str, seal: Seal | None = None) -> JournalScan:
    """Read the good part of a journal's bytes; raises BadInput where they are no journal."""
    if not content.startswith(MAGIC):
        if MAGIC.startswith(content):
            return JournalScan([], 0)
        raise BadInput(f"{name} is no gemmflow journal of version 1: it starts with {content[: len(MAGIC)]!r}")
    records, good = list[Record](), len(MAGIC)
    while (end := _end_of_record(content, good)) is not None:
        record = _record(content[good + _HEAD.size : end], len(records), seal)
        if record is None:
            break
        records.append(record)
        good = end
    return JournalScan(records, good)


def read_journal(path: Path, seal: Seal | None = None) -> list[Record]:
    """Return the good records of a journal, oldest first; `scan_journal` also says how many bytes they take."""
    return scan_journal(path, seal).records


def _record(payload: bytes, place: int, seal: Seal | None) -> Record | None:
    """The record in a payload, None where it does not unseal, or is sealed and nothing is known to open it."""
    try:
        return json.loads(unsealed_bytes(seal, f"journal/{place}", payload))
    except (Undecodable, ValueError):
        return None


def _end_of_record(content: bytes, begin: int) -> int | None:
    """Return where the record at `begin` ends, None where it is torn or damaged."""
    if begin + _HEAD.size > len(content):
        return None
    length, check = _HEAD.unpack_from(content, begin)
    payload = content[begin + _HEAD.size : begin + _HEAD.size + length]
    sound = len(payload) == length and check == _check(length, payload)
    return begin + _HEAD.size + length if sound else None


def _check(length: int, payload: bytes) -> int:
    return google_crc32c.extend(google_crc32c.value(length.to_bytes(4, "little")), payload)
