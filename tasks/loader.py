"""Blocks on their way from a reader of host memory to a device, one after the other.

    CPU     reader --> the block itself
    CUDA    reader --> pinned memory --copy stream--> the block, while the device computes on others

A block may be used after `wait`, and its loader for the next one at any time: `fill` lets the copy before it end.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from tasks.host_memory import Pinned

Reader = Callable[[np.ndarray], int]
"""Fills a host array and returns the bytes decoded."""


class Loader(Protocol):
    """Fills blocks of a device."""

    def fill(self, target: torch.Tensor, reader: Reader) -> int:
        """Begin to fill a block that nothing is computed on, as the reader says; returns the bytes decoded."""
        ...

    def wait(self) -> None:
        """Let what is computed from now on see the block that was filled last."""
        ...

    def close(self) -> None:
        """Nothing is filled any more."""
        ...


class HostLoader:
    """The reader writes into the block."""

    def __init__(self, nbytes: int) -> None:
        del nbytes  # nothing is held

    def fill(self, target: torch.Tensor, reader: Reader) -> int:
        """Fill it at once."""
        return reader(target.numpy())

    def wait(self) -> None:
        """It is there."""

    def close(self) -> None:
        """Nothing was held."""


class CudaLoader:
    """The reader writes into pinned memory of up to `nbytes`, which is copied on a stream of its own."""

    def __init__(self, nbytes: int) -> None:
        self._pinned = Pinned(nbytes)
        self._stream, self._copied = torch.cuda.Stream(), torch.cuda.Event()

    def fill(self, target: torch.Tensor, reader: Reader) -> int:
        """Fill the pinned memory once it is free, and begin to copy."""
        self._copied.synchronize()
        staging = self._pinned.bytes[: target.numel() * target.element_size()].view(target.dtype).view(target.shape)
        count = reader(staging.numpy())
        with torch.cuda.stream(self._stream):
            target.copy_(staging, non_blocking=True)
            target.record_stream(self._stream)
            self._copied.record()
        return count

    def wait(self) -> None:
        """The device waits, not this thread."""
        torch.cuda.current_stream().wait_event(self._copied)

    def close(self) -> None:
        """Wait for the last copy, and give the memory back."""
        self._copied.synchronize()
        self._pinned.release()
