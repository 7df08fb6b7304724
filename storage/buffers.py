"""Scratch memory that a thread allocates once and reuses.

A fresh 16 MiB buffer costs as many page faults as decoding into it takes time, so every path that reads or writes chunks borrows
its scratch here. A borrowed buffer is valid until the same thread borrows the same name again.
"""

import threading

import numpy as np
from numpy.typing import NDArray


class _Held(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[str, NDArray[np.uint8]] = {}


_HELD = _Held()


def borrow(name: str, nbytes: int) -> NDArray[np.uint8]:
    """Return `nbytes` bytes of this thread's buffer `name`, contents undefined; it grows to the largest size asked so far."""
    buffers = _HELD.buffers
    if name not in buffers or buffers[name].size < nbytes:
        buffers.pop(name, None)  # the old buffer goes before the larger one comes
        buffers[name] = np.empty(nbytes, np.uint8)
    return buffers[name][:nbytes]


def held_bytes() -> int:
    """Return the bytes that the calling thread holds in all its buffers."""
    return sum(buffer.size for buffer in _HELD.buffers.values())
