"""One worker's own measurements of a file system: files written, durably or not, and read when they are not in the page cache.

The durable ones go past the page cache, or are dropped from it, and are read as a slab's files are. On a virtual machine its host may
still have them in memory, and its disk be slower.
"""

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from storage import WriteBehind
from storage.files import opened, read_at

WRITTEN_BYTES = 16 << 20
"""Size of a file that is written."""

MOST_WRITTEN, WRITING_SECONDS = 256 << 20, 0.15
"""Files are written until there are so many bytes, or it took so long. All of it counts: a page of the page cache that is used for the
first time takes sixteen times as long on a virtual machine whose host must find it first (measured: 430 MB/s and 7 GB/s)."""

READING_SECONDS = 0.1
"""The same for those that are read."""


def durable_rates(folder: Path, seconds: float = WRITING_SECONDS) -> tuple[float, float]:
    """Bytes/s of files written, as a run writes them, and of the same files read from the disk."""
    with TemporaryDirectory(dir=folder) as scratch:
        paths, rate = _written(scratch, True, seconds)
        return rate, _uncached_rate(paths)


def unsynced_rate(folder: Path) -> float:
    """Bytes/s of files that need not be durable."""
    with TemporaryDirectory(dir=folder) as scratch:
        return _written(scratch, False, WRITING_SECONDS)[1]


def _written(folder: str, durable: bool, seconds: float) -> tuple[list[str], float]:
    """Files after files, and bytes/s of writing them."""
    content, paths = np.random.default_rng(1).bytes(WRITTEN_BYTES), list[str]()
    start = time.perf_counter()
    with WriteBehind(durable) as behind:
        while not paths or (len(paths) * WRITTEN_BYTES < MOST_WRITTEN and time.perf_counter() - start < seconds):
            paths.append(f"{folder}/{len(paths)}")
            with behind.replacing(paths[-1]) as file:
                file.append([content])
    return paths, len(paths) * WRITTEN_BYTES / (time.perf_counter() - start)


def _uncached_rate(paths: list[str]) -> float:
    target, count = np.zeros(WRITTEN_BYTES, np.uint8), 0
    for path in paths:
        _drop(path)
    start = time.perf_counter()
    while not count or (count < len(paths) and time.perf_counter() - start < READING_SECONDS):
        with opened(paths[count]) as descriptor:
            read_at(descriptor, target, 0)
        count += 1
    return count * WRITTEN_BYTES / (time.perf_counter() - start)


def _drop(path: str) -> None:
    """From the page cache, where the system can."""
    if hasattr(os, "posix_fadvise"):
        with opened(path) as descriptor:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
