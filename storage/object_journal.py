"""The journal of a run on an object store: objects that are written once, one after another, by one writer.

    journal/00000001    magic record*        the records of one writer up to one `sync` (format: see journal)
    journal/00000002    ...

Each segment may only be created, never replaced: of two writers who both go on after segment 7, one finds segment 8 taken and
knows that it was taken over. The first record of a segment names its writer, so that a write whose answer was lost is known again.
"""

import secrets
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from storage.errors import CorruptData, TakenOver
from storage.journal import MAGIC, Record, frame, scan_records
from storage.objects import ObjectStore

SEGMENT = "segment"
"""Kind of the record that every segment starts with."""


_TRIES = 5


class ObjectJournal:
    """The open journal of a run. One process writes; its threads may share it."""

    def __init__(self, store: ObjectStore, following: int) -> None:
        self._store, self._following, self._writer = store, following, secrets.token_hex(8)
        self._pending: list[Record] = []
        self._lock = threading.Lock()

    @classmethod
    def create(cls, store: ObjectStore, records: Iterable[Record] = ()) -> Self:
        """Start a journal with its first records, durable. Raises TakenOver where there is one."""
        return cls(store, 1)._begin(records)

    @classmethod
    def reopen(cls, store: ObjectStore) -> Self:
        """Go on with a journal: from now on nobody else can."""
        for _ in range(_TRIES):
            try:
                return cls(store, len(_segments(store)) + 1)._begin(())
            except TakenOver:
                continue  # its old writer was still at work
        return cls(store, len(_segments(store)) + 1)._begin(())

    def append(self, record: Record) -> None:
        """Add a record; it is durable after the next `sync`."""
        with self._lock:
            self._pending.append(record)

    def sync(self) -> None:
        """Make every record so far durable; raises TakenOver where another writer went on, and keeps what could not be written."""
        with self._lock:
            if self._pending:
                self._write(self._pending)
                self._pending = []

    def close(self) -> None:
        """Sync; closing twice is harmless."""
        self.sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _begin(self, records: Iterable[Record]) -> Self:
        self._write(records)
        return self

    def _write(self, records: Iterable[Record]) -> None:
        first: Record = {"kind": SEGMENT, "writer": self._writer}
        content = MAGIC + b"".join(map(frame, [first, *records]))
        if self._store.put_if_absent(_key(self._following), content) is None:
            raise TakenOver(f"{self._store} is written by another run: this one stops and has recorded nothing since")
        self._following += 1


def read_object_journal(store: ObjectStore) -> list[Record]:
    """The records, oldest first; raises CorruptData where a segment is damaged or missing: a segment is never torn."""
    found: list[Record] = []
    for number, key in enumerate(_segments(store), 1):
        content = store.read(key).content
        scan = scan_records(content, f"{store}/{key}")
        if key != _key(number) or scan.good_bytes != len(content):
            raise CorruptData(f"{store}/{key} is damaged, or a segment before it is missing: nothing after it can be trusted")
        found += [record for record in scan.records if record["kind"] != SEGMENT]
    return found


def _segments(store: ObjectStore) -> list[str]:
    return [listed.key for listed in store.list()]


def _key(number: int) -> str:
    return f"{number:08d}"
