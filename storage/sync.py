"""Making writes durable: files replaced whole, folders synced, and what the system says when it cannot.

A rename makes a file appear whole or not at all. It survives a power loss once the file was synced before it and the folder
after it. Space is reserved before the bytes are written: a full disk is noticed at once, and the file system need not find room
page by page or, on ext4, flush the file when it replaces an older one.
"""

import contextlib
import ctypes
import errno
import itertools
import os
import secrets
from collections.abc import Generator, Sequence
from pathlib import Path

from storage.errors import DiskFull, GemmflowError
from storage.files import Bytes

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PARTIAL = ".partial"
RESERVE_FROM_BYTES = 1 << 16

_TOKEN = secrets.token_hex(4)  # processes on several hosts, or one after another, may have the same number
_COUNTER = itertools.count()
LIBC = ctypes.CDLL(None, use_errno=True)
"""For calls that Python's `os` does not have."""


def sync_folder(path: str) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: str, parts: Sequence[bytes | Bytes], durable: bool) -> None:
    """Write a file whole, as `replacing` does."""
    with replacing(path, durable) as descriptor:
        append(descriptor, parts)


@contextlib.contextmanager
def replacing(path: str, durable: bool) -> Generator[int]:
    """A new file under a temporary name, renamed into place when the block ends well; durable: its bytes are synced before that.

    What stood there before stays until the new file is complete. Raises OSError, the temporary removed.
    """
    temporary = temporary_name(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            yield descriptor
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)  # noqa: PTH105  a Path for each of a million chunks costs more than the call
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def temporary_name(path: str) -> str:
    """What a file that will be `path` is called until it is complete; no two are alike."""
    return f"{path}.{os.getpid()}-{_TOKEN}-{next(_COUNTER)}{PARTIAL}"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file whole and durable: a reader sees the old content or the new. Raises OSError.

    Links are followed. What is no regular file (/dev/null, a named pipe) is written to and never replaced.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        with place.open("wb") as file:
            file.write(content)
        return
    replace_file(str(place), [content], durable=True)
    sync_folder(str(place.parent))


def append(descriptor: int, parts: Sequence[bytes | Bytes]) -> None:
    """Write the next bytes of a new file, room for them reserved first."""
    reserve(descriptor, sum(len(part) for part in parts))
    write_all(descriptor, parts)


def reserve(descriptor: int, nbytes: int) -> None:
    """Reserve room for the next bytes of a new file; raises OSError where there is none, does nothing where the file system cannot reserve.

    Not `os.posix_fallocate`: where a file system cannot reserve, that one writes to every block instead.
    """
    call = getattr(LIBC, "fallocate64", None)
    if call is None or nbytes < RESERVE_FROM_BYTES:
        return
    begin = os.fstat(descriptor).st_size
    if call(descriptor, 0, ctypes.c_int64(begin), ctypes.c_int64(nbytes)) != 0 and ctypes.get_errno() in NO_ROOM:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def write_all(descriptor: int, parts: Sequence[bytes | Bytes]) -> None:
    """Write every byte of every part, in order."""
    pending = [memoryview(part if isinstance(part, bytes) else part.data) for part in parts if len(part)]
    while pending:
        written = os.writev(descriptor, pending)
        while pending and written >= len(pending[0]):
            written -= len(pending.pop(0))
        if written:
            pending[0] = pending[0][written:]


def write_error(path: str | Path, error: OSError) -> GemmflowError:
    """Translate a failed write into the error that says what to change."""
    if error.errno in NO_ROOM:
        return DiskFull(f"no room to write {path} ({error.strerror}): free space or raise the quota, then run again")
    return GemmflowError(f"{path} cannot be written ({error.strerror}): check the file system, then run again")
