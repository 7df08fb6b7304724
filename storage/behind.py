"""Files that are on their way to the disk while later ones are still being encoded.

    encode 1 | write 1 | encode 2 | write 2 | encode 3 ...
                       the disk takes 1     | takes 2 ...      each is synced, and renamed into place, AT_ONCE files later

The system is told to begin as soon as a file is written, so a sync waits for what is left alone. Each file appears whole or not at
all, and durable, as `sync.replacing` makes it; at the end of the block all have. Where nothing must be durable each is renamed at once.
"""

import ctypes
from collections import deque
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from types import TracebackType

from storage.sync import LIBC, replacing

AT_ONCE = 4
"""Files that are written and not yet synced, at most: they hold memory of the page cache that cannot be taken back."""

_WRITE = 2
"""SYNC_FILE_RANGE_WRITE of linux/fs.h: begin, and do not wait."""


class WriteBehind:
    """Writes files whole; a context manager, after which all are in place. An error within it removes those that are not yet."""

    def __init__(self, durable: bool) -> None:
        self._durable = durable
        self._pending: deque[ExitStack] = deque()

    @contextmanager
    def replacing(self, path: str) -> Generator[int]:
        """A new file, to be renamed to `path`. Raises OSError, for this file or one of those before it."""
        with ExitStack() as file:
            descriptor = file.enter_context(replacing(path, self._durable))
            yield descriptor
            if self._durable:
                begin_writing(descriptor)
                self._pending.append(file.pop_all())
        if len(self._pending) > AT_ONCE:
            self._pending.popleft().close()

    def settle(self) -> None:
        """Wait until all are in place. Raises OSError; what is not in place then is removed on leaving."""
        while self._pending:
            self._pending.popleft().close()

    def __enter__(self) -> "WriteBehind":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        rest = ExitStack()
        while self._pending:
            rest.push(self._pending.pop())
        rest.__exit__(kind, error, trace)


def begin_writing(descriptor: int) -> None:
    """Let the system begin to write what a file holds, without waiting for it, where it can."""
    call = getattr(LIBC, "sync_file_range", None)
    if call is not None:
        call(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _WRITE)
