"""Reading files: whole or in part, straight into memory that the caller owns."""

import os
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from storage.errors import CorruptData

Bytes = NDArray[np.uint8]

_LARGEST_READ = 1 << 30

FETCHED_BYTES = 128 << 10
"""What is asked for at a time: of more, Linux fetches no more than it reads ahead of a device by itself, this much where nobody set it."""


@contextmanager
def opened(path: str) -> Generator[int]:
    """Open a file for reading and close it again; raises FileNotFoundError like `os.open`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def fetch_ahead(descriptor: int, offset: int = 0, nbytes: int = 0) -> None:
    """Let the system fetch a part of the file into its page cache, 0 bytes being all that follows, without waiting for it."""
    if hasattr(os, "posix_fadvise"):
        end = offset + nbytes if nbytes else os.fstat(descriptor).st_size
        for start in range(offset, end, FETCHED_BYTES):
            os.posix_fadvise(descriptor, start, min(FETCHED_BYTES, end - start), os.POSIX_FADV_WILLNEED)


def read_at(descriptor: int, target: Bytes, offset: int) -> int:
    """Fill `target` from the file's byte `offset` on and return the bytes read, fewer only at the end of the file."""
    filled = 0
    while filled < target.size:
        got = os.preadv(descriptor, [target[filled : filled + _LARGEST_READ].data], offset + filled)
        if got == 0:
            break
        filled += got
    return filled


def as_bytes(block: NDArray[np.generic]) -> Bytes:
    """View a C-contiguous array as bytes, without a copy."""
    return block.reshape(-1).view(np.uint8)


def read_exactly(descriptor: int, target: Bytes, offset: int, name: str) -> None:
    """Fill `target` from the file's byte `offset` on; raises CorruptData, with the file's name, where the file ends before."""
    got = read_at(descriptor, target, offset)
    if got < target.size:
        ends = os.fstat(descriptor).st_size
        early = offset + target.size - ends
        raise CorruptData(f"{name} ends at byte {ends}, {early} bytes early: it changed while it was read; restore it")
