"""How much of a matrix lies in this host's page cache: some pages of its files are asked for, and nobody waits for one that is not there.

    a place in the matrix --> its file --> a page of it        preadv2(RWF_NOWAIT): the page, or EAGAIN

What is asked for and not there is fetched, so only that page is (POSIX_FADV_RANDOM), and the next time it is another one. cachestat
leaves no trace, but finds every file on overlayfs uncached, and needs Linux 6.5. File systems that cannot answer (overlayfs, tmpfs, NFS)
say so.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from storage.address import is_url
from storage.files import opened
from storage.grid import grid_shape
from storage.matrix import LiesInFiles, Matrix

PAGES = 64
"""Pages of a matrix that are asked for."""

MOST_SECONDS = 3e-3
"""What asking may take, once there is an answer."""

NOBODY_KNOWS = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
"""How a file system says that it cannot tell."""


@dataclass(frozen=True)
class Cached:
    """What the page cache holds of a matrix."""

    nbytes: int
    """Bytes of the matrix's files, by those that were looked at."""
    share: float | None
    """Of these bytes in the page cache; None where the file system does not tell."""

    def __post_init__(self) -> None:
        if self.nbytes < 0 or not 0 <= (self.share or 0.0) <= 1:
            raise ValueError(f"{self.share} of {self.nbytes} bytes cannot be cached")


def cached(matrix: Matrix) -> Cached | None:
    """What the page cache holds of a matrix now; None where it is not in files of this host that can be told apart."""
    if is_url(matrix.path) or not isinstance(matrix.source, LiesInFiles):
        return None
    files = grid_shape(matrix.shape, matrix.shard or matrix.chunks) if os.path.isdir(matrix.path) else (1, 1)  # noqa: PTH112
    seen, since = list[tuple[int, bool | None]](), perf_counter()
    for size, there in _looked_at(matrix, matrix.source):
        seen.append((size, there))
        if perf_counter() - since > MOST_SECONDS:
            break
    sizes = sum(size for size, _ in seen)
    known = sizes > 0 and all(there is not None for _, there in seen)
    share = sum(size for size, there in seen if there) / sizes if known else None
    return Cached(round(sizes / len(seen) * files[0] * files[1]), share)


def _looked_at(matrix: Matrix, source: LiesInFiles) -> Iterator[tuple[int, bool | None]]:
    """The size of a file, 0 where there is none, and whether a page of it is there; of files that hold places drawn at random."""
    drawn = np.random.default_rng().random((PAGES, 3))
    for row, col, place in drawn:
        path = source.file_of(int(row * matrix.shape[0]), int(col * matrix.shape[1]))
        size, there = 0, False
        with suppress(OSError), opened(path) as descriptor:
            size = os.fstat(descriptor).st_size
            there = _is_there(descriptor, int(place * size)) if size else False
        yield size, there


def _is_there(descriptor: int, offset: int) -> bool | None:
    """Whether a byte of an open file can be read without waiting; None where that cannot be known."""
    if not hasattr(os, "RWF_NOWAIT"):
        return None
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        return os.preadv(descriptor, [bytearray(1)], offset, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in NOBODY_KNOWS:
            return None
        raise
