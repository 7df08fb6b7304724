"""Where a tile is computed: one row per kind of device, so that one tile function serves them all.

A device row makes buffers, fills one from a reader that writes into host memory, and brings a block back. On the CPU the
reader writes straight into the buffer; on CUDA it writes into pinned memory that is copied from there.
"""

import mmap
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

Reader = Callable[[np.ndarray], int]
"""Fills a host array and returns the bytes decoded."""


@dataclass(frozen=True)
class Device:
    """The operations that differ between host and accelerator."""

    name: str
    torch_name: str
    fill: Callable[[torch.Tensor, Reader], int]
    """Fill a buffer of this device from a reader of host memory."""
    synchronize: Callable[[], None]
    """Wait until all work is done, so that a clock tells the truth."""
    empty: Callable[[int, torch.dtype], torch.Tensor]
    """A flat buffer of so many elements, aligned, its contents undefined."""


def _empty_host(elements: int, dtype: torch.dtype) -> torch.Tensor:
    """Pages of its own, large ones where the kernel has them: given back when the tensor goes, and never a hole in the heap."""
    pages = mmap.mmap(-1, max(1, elements) * dtype.itemsize)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            pages.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(pages, dtype=dtype)


def _empty_cuda(elements: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(elements, dtype=dtype, device="cuda")


def _fill_host(target: torch.Tensor, reader: Reader) -> int:
    return reader(target.numpy())


def _fill_cuda(target: torch.Tensor, reader: Reader) -> int:
    staging = _pinned(target.numel() * target.element_size()).view(target.dtype)[: target.numel()].view(target.shape)
    count = reader(staging.numpy())
    target.copy_(staging, non_blocking=True)
    torch.cuda.synchronize()
    return count


class _Pinned:
    """The one pinned buffer of this process, grown when asked."""

    buffer: torch.Tensor | None = None


def _pinned(nbytes: int) -> torch.Tensor:
    if _Pinned.buffer is None or _Pinned.buffer.numel() < nbytes:
        _Pinned.buffer = None
        _Pinned.buffer = torch.empty(nbytes, dtype=torch.uint8, pin_memory=True)
    return _Pinned.buffer[:nbytes]


DEVICES: dict[str, Device] = {
    "cpu": Device("cpu", "cpu", _fill_host, lambda: None, _empty_host),
    "cuda": Device("cuda", "cuda", _fill_cuda, lambda: torch.cuda.synchronize(), _empty_cuda),
}


@cache
def torch_dtype(name: str) -> torch.dtype:
    """torch's type of a numpy type name, bfloat16 included."""
    return getattr(torch, name)
