"""The journal of a run: an append-only file of checksummed records, written by one process.

    file    magic record*
    magic   the 8 bytes b"GMMFJL1\\n"
    record  length   4 bytes, little endian: bytes of the payload
            check    4 bytes, little endian: crc32c over the length's bytes and the payload
            payload  one JSON object in UTF-8, with a "kind"

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

from storage.errors import BadInput, GemmflowError
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

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._pending = False
        self._failed: GemmflowError | None = None
        """After a failed sync nobody knows what is on disk, and the next one may seem to succeed."""

    @classmethod
    def create(cls, path: Path, records: Iterable[Record] = ()) -> Self:
        """Start a journal that holds `records`, durable, in place of any that is there; raises DiskFull, GemmflowError.

        What was there before is no longer reached by its path: who still has it open writes to nothing.
        """
        fresh = path.with_name(f"{path.name}{PARTIAL}")
        try:
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                write_all(descriptor, [MAGIC + b"".join(map(frame, records))])
                os.fsync(descriptor)
                fresh.rename(path)
                sync_folder(str(path.parent))
            except BaseException:
                os.close(descriptor)
                fresh.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise write_error(path, error) from error
        return cls(path, descriptor)

    @classmethod
    def reopen(cls, path: Path) -> Self:
        """Go on with a journal: its good records are kept, a torn tail is cut off. Raises BadInput, DiskFull, GemmflowError."""
        return cls.create(path, read_journal(path))

    def append(self, record: Record) -> None:
        """Add a record; it is durable after the next `sync`. Raises DiskFull with the record taken back, ValueError where it is no JSON."""
        framed = frame(record)
        with self._lock:
            good = os.fstat(self._descriptor).st_size
            try:
                write_all(self._descriptor, [framed])
            except OSError as error:
                os.ftruncate(self._descriptor, good)
                raise write_error(self.path, error) from error
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


def frame(record: Record) -> bytes:
    """Return the bytes of one record: length, checksum, payload."""
    payload = json.dumps(record, separators=(",", ":"), allow_nan=False).encode()
    return _HEAD.pack(len(payload), _check(len(payload), payload)) + payload


def scan_journal(path: Path) -> JournalScan:
    """Read the good part of a journal; raises BadInput where the file is missing or is no journal."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise BadInput(f"the journal {path} does not exist: nothing of this run can be resumed") from error
    return scan_records(content, str(path))


def scan_records(content: bytes, name: str) -> JournalScan:
    """Read the good part of a journal's bytes; raises BadInput where they are no journal."""
    if not content.startswith(MAGIC):
        if MAGIC.startswith(content):
            return JournalScan([], 0)
        raise BadInput(f"{name} is no gemmflow journal of version 1: it starts with {content[: len(MAGIC)]!r}")
    records, good = list[Record](), len(MAGIC)
    while (end := _end_of_record(content, good)) is not None:
        records.append(json.loads(content[good + _HEAD.size : end]))
        good = end
    return JournalScan(records, good)


def read_journal(path: Path) -> list[Record]:
    """Return the good records of a journal, oldest first; `scan_journal` also says how many bytes they take."""
    return scan_journal(path).records


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
