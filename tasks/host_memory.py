"""Memory of the host in pages of its own: given back when nobody holds it any more, and never a hole in the heap."""

import mmap
from contextlib import suppress
from typing import Protocol, SupportsInt, cast
from weakref import finalize

import torch


def empty_host(elements: int, dtype: torch.dtype) -> torch.Tensor:
    """A flat tensor, its contents undefined; large pages where the kernel has them."""
    pages = mmap.mmap(-1, max(1, elements) * dtype.itemsize)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            pages.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(pages, dtype=dtype)


class Driver(Protocol):
    """The part of CUDA's runtime that is used here, by CUDA's names; each gives a status, 0 where all is well."""

    def cudaHostRegister(self, place: int, nbytes: int, flags: int, /) -> SupportsInt:  # noqa: N802
        """Pin memory."""
        ...

    def cudaHostUnregister(self, place: int, /) -> SupportsInt:  # noqa: N802
        """Let it go."""
        ...


class Pinned:
    """Pages that a CUDA device reads by itself, as many as were asked for: torch would take the next power of two, and keep it.

    https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__MEMORY.html
    """

    def __init__(self, nbytes: int) -> None:
        """Raises MemoryError where the driver does not take so many."""
        self.bytes, driver = empty_host(nbytes, torch.uint8), cast("Driver", torch.cuda.cudart())
        if status := int(driver.cudaHostRegister(self.bytes.data_ptr(), nbytes, 0)):
            _take_error()
            raise MemoryError(f"{nbytes} bytes of host memory cannot be pinned: CUDA error {status}")
        self._let_go = finalize(self, _unpin, driver, self.bytes)  # also where what should have held them could not be made
        self._let_go.atexit = False

    def release(self) -> None:
        """Let the driver forget them; the caller sees to it that it does not read any more."""
        self._let_go()


def _take_error() -> None:
    """CUDA keeps what a call failed with for whoever asks next: torch does so behind each kernel, and takes it for that one's."""
    with suppress(RuntimeError):
        torch.ones(1, device="cuda")


def _unpin(driver: Driver, pages: torch.Tensor) -> None:
    """While the pages are there: the next ones may lie at their place."""
    driver.cudaHostUnregister(pages.data_ptr())
