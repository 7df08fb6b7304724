"""Where a tile is computed: one row per kind of device, so that one tile function serves them all.

A device row makes buffers and what fills them (`tasks.loader`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

from tasks.host_memory import empty_host
from tasks.loader import CudaLoader, HostLoader, Loader
from tasks.resident import give_back_free_memory


@dataclass(frozen=True)
class Device:
    """The operations that differ between host and accelerator."""

    place: str
    """torch's name of it."""
    loader: Callable[[int], Loader]
    """What fills blocks of up to so many bytes."""
    synchronize: Callable[[], None]
    """Wait until all that was computed is done, so that a clock tells the truth."""
    empty: Callable[[int, torch.dtype], torch.Tensor]
    """A flat buffer of so many elements, aligned, its contents undefined."""
    give_back: Callable[[], None]
    """Give to others what is free in this process."""


def _empty_cuda(elements: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(elements, dtype=dtype, device="cuda")


def _give_back_cuda() -> None:
    torch.cuda.empty_cache()
    give_back_free_memory()


DEVICES: dict[str, Device] = {
    "cpu": Device("cpu", HostLoader, lambda: None, empty_host, give_back_free_memory),
    "cuda": Device("cuda", CudaLoader, lambda: torch.cuda.current_stream().synchronize(), _empty_cuda, _give_back_cuda),
}


@cache
def torch_dtype(name: str) -> torch.dtype:
    """torch's type of a numpy type name, bfloat16 included."""
    return getattr(torch, name)
