"""Files on their way to the disk while the next ones are encoded, past the page cache where the system lets them.

    append --copied--> buffer --a thread of its own--> disk; after the last one: cut to size, sync, rename

What must reach the disk anyway gains nothing from the page cache and loses much: its pages must be found (on a virtual machine by the
host, at a fifth of the disk's speed) and copied to, which takes a processor that could multiply. The thread only waits. What need not
be durable goes whichever way holds its writer up less (pace).
Each file appears whole, and durable where that is asked, or not at all.
"""

import errno
import fcntl
import mmap
import os
import time
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from queue import SimpleQueue
from types import TracebackType
from typing import Protocol

from storage.files import Bytes
from storage.pace import Pace, Way, pace_of
from storage.sync import append, replacing, reserve, temporary_name

BUFFER_BYTES = 2 << 20
BUFFERS = 4
"""As many bytes as the disk takes at full speed at a time, and how many times that may wait for it, whatever the size of a file."""

BLOCK_BYTES = 4096
"""What goes past the page cache is a whole number of these, and so are its places in memory and in the file."""

PAST_THE_CACHE = getattr(os, "O_DIRECT", 0)
REFUSED = (errno.EINVAL, errno.EOPNOTSUPP)
"""How a file system says that it has no such way."""


def waiting_bytes(largest: int) -> int:
    """Memory in bytes that is held for the disk by who writes files of at most `largest` bytes."""
    return BUFFERS * min(BUFFER_BYTES, -(-largest // BLOCK_BYTES) * BLOCK_BYTES)


class Growing(Protocol):
    """A file that is being written."""

    def append(self, parts: Sequence[bytes | Bytes]) -> None:
        """Take the next bytes, which may be changed afterwards. Raises OSError where there is no room."""
        ...


class WriteBehind:
    """Writes files whole; a context manager, after which nothing is on its way any more."""

    def __init__(self, durable: bool) -> None:
        self._durable = durable
        self._ending: deque[Future[None]] = deque()
        self._pace: Pace | None = None

    @contextmanager
    def replacing(self, path: str) -> Generator[Growing]:
        """A new file, to be renamed to `path`. Raises OSError, for this file or one of those before it."""
        self._pace = pace = pace_of(os.stat(os.path.dirname(path)).st_dev)  # noqa: PTH116, PTH120  for each of a million chunks
        way: Way = "behind" if self._durable else pace.choose()
        with self._behind(path, pace) if way == "behind" else _cached(path) as file:
            watched = Watched(file)
            yield watched
        self._count(way, watched.seconds, watched.nbytes)

    def settle(self) -> None:
        """Wait until all are in place. Raises OSError where one cannot be."""
        start = time.perf_counter()
        while self._ending:
            self._ending.popleft().result()
        self._count("behind", time.perf_counter() - start, 0)

    def _count(self, way: Way, seconds: float, nbytes: int) -> None:
        if self._pace is not None and not self._durable:  # a sync is nothing to compare the page cache with
            self._pace.took(way, seconds, nbytes)

    @contextmanager
    def _behind(self, path: str, pace: Pace) -> Generator[Growing]:
        file = Outgoing(path, self._durable, pace)
        try:
            yield file
        except BaseException:
            wait([file.abandon()])
            raise
        self._ending.append(file.end())
        while self._ending and self._ending[0].done():
            self._ending.popleft().result()

    def __enter__(self) -> "WriteBehind":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        wait(self._ending)
        if error is None:
            self.settle()


class Watched:
    """A file, and for how long it held up its writer."""

    def __init__(self, file: Growing) -> None:
        self._file, self.seconds, self.nbytes = file, 0.0, 0

    def append(self, parts: Sequence[bytes | Bytes]) -> None:
        """Pass the next bytes on."""
        start = time.perf_counter()
        self._file.append(parts)
        self.seconds += time.perf_counter() - start
        self.nbytes += sum(len(part) for part in parts)


@contextmanager
def _cached(path: str) -> Generator[Growing]:
    with replacing(path, durable=False) as descriptor:
        yield Cached(descriptor)


@dataclass(frozen=True)
class Cached:
    """A file in the page cache."""

    descriptor: int

    def append(self, parts: Sequence[bytes | Bytes]) -> None:
        """Write the next bytes."""
        append(self.descriptor, parts)


class Outgoing:
    """A file on its way to the disk. Only what is in the buffers is held in memory."""

    def __init__(self, path: str, durable: bool, pace: Pace) -> None:
        self._path, self._temporary, self._durable, self._pace = path, temporary_name(path), durable, pace
        self._descriptor = _created(self._temporary)
        self._jobs: list[Future[None]] = []
        self._buffer: mmap.mmap | None = None
        self._filled = self._sent = 0

    def append(self, parts: Sequence[bytes | Bytes]) -> None:
        """Take the next bytes, room for them reserved first; they may be changed afterwards. Raises OSError where there is no room."""
        reserve(self._descriptor, sum(len(part) for part in parts))
        for part in parts:
            view = memoryview(part if isinstance(part, bytes) else part.data).cast("B")
            while view:
                view = view[self._take(view) :]

    def end(self) -> Future[None]:
        """Send what is left; the file is in place when the future is done, and gone where it fails."""
        size = self._sent + self._filled
        self._send()
        return _thread().submit(self._finish, size)

    def abandon(self) -> Future[None]:
        """Remove it, once the disk is done with it."""
        if self._buffer is not None:
            _buffers().put(self._buffer)
        return _thread().submit(self._remove)

    def _take(self, view: memoryview) -> int:
        if self._buffer is None:
            self._buffer = _buffers().get()
        count = min(len(view), BUFFER_BYTES - self._filled)
        self._buffer[self._filled : self._filled + count] = view[:count]
        self._filled += count
        if self._filled == BUFFER_BYTES:
            self._send()
        return count

    def _send(self) -> None:
        if self._buffer is not None:
            whole = -(-self._filled // BLOCK_BYTES) * BLOCK_BYTES
            self._jobs.append(_thread().submit(_write, self._descriptor, self._buffer, whole, self._sent))
            self._buffer, self._sent, self._filled = None, self._sent + self._filled, 0

    def _finish(self, size: int) -> None:
        try:
            for job in self._jobs:
                job.result()
            self._pace.passes = _passes(self._descriptor)
            os.ftruncate(self._descriptor, size)
            if self._durable:
                os.fsync(self._descriptor)
            os.replace(self._temporary, self._path)  # noqa: PTH105  a Path for each of a million chunks costs more than the call
        except BaseException:
            self._remove()
            raise
        os.close(self._descriptor)

    def _remove(self) -> None:
        os.close(self._descriptor)
        with suppress(OSError):
            os.unlink(self._temporary)  # noqa: PTH108


def _created(path: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags | PAST_THE_CACHE, 0o666)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
    with suppress(FileNotFoundError):  # some file systems make the file before they refuse the flag
        os.unlink(path)  # noqa: PTH108
    return os.open(path, flags, 0o666)


def _passes(descriptor: int) -> bool:
    """Whether what is written to a file goes past the page cache."""
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & PAST_THE_CACHE)


def _write(descriptor: int, buffer: mmap.mmap, nbytes: int, offset: int) -> None:
    """All of the first `nbytes`; the buffer is free afterwards."""
    try:
        with memoryview(buffer) as view:
            done = 0
            while done < nbytes:
                done += _written(descriptor, view[done:nbytes], offset + done)
    finally:
        _buffers().put(buffer)


def _written(descriptor: int, view: memoryview, offset: int) -> int:
    try:
        return os.pwrite(descriptor, view, offset)
    except OSError as error:
        if error.errno not in REFUSED:
            raise
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~PAST_THE_CACHE)
    return os.pwrite(descriptor, view, offset)


@cache
def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "write behind")


@cache
def _buffers() -> SimpleQueue[mmap.mmap]:
    free: SimpleQueue[mmap.mmap] = SimpleQueue()
    for _ in range(BUFFERS):
        free.put(mmap.mmap(-1, BUFFER_BYTES))
    return free
