"""How fast this process multiplies, by arithmetic and library, at a thick block and a thin one. Runs on the workers."""

from collections.abc import Callable
from math import prod

import torch

from tasks.devices import DEVICES, torch_dtype
from tasks.hardware import THICK, THIN
from tasks.kernels import libraries
from tasks.ladder import ARITHMETICS
from tasks.operands import Prepared
from tasks.product import add_product
from tasks.selftest import is_right, method_for
from tasks.stopwatch import rate_of

MOST_SECONDS = 1.0
"""What one multiplication may take; a kernel so slow is never chosen, and its rate need not be exact."""

BLOCK, THIN_BLOCK = (1024, THICK, 2048), (2048, 1024, THIN)
"""Rows, depth and columns of the multiplications that are timed."""

WARM_BLOCK = (384, 384, 384)
"""The multiplication that loads each library's code and buffers before the resident memory is read."""

Key = tuple[str, str, str]
"""Arithmetic, device, library."""

Speeds = dict[str, dict[str, float]]
"""FLOP/s by arithmetic and library."""


def trusted_kernels(device: str) -> list[Key]:
    """Kernels of this device that pass their self-test, in the order of the table."""
    keys = ((name, device, library) for name in arithmetics_of(device) for library in libraries(name, device))
    return [key for key in keys if is_right(key)]


def arithmetics_of(device: str) -> list[str]:
    """Arithmetics that the device has a row for, trusted or not."""
    return [name for name, row in ARITHMETICS.items() if device in row.devices]


def warm_rates(keys: list[Key]) -> dict[Key, float]:
    """FLOP/s at the small block, once each library has loaded what it needs."""
    return {key: flops_rate(key, WARM_BLOCK) for key in keys}


def block_rates(small: dict[Key, float], block: tuple[int, int, int], device: str) -> Speeds:
    """FLOP/s at a block that tiles resemble; the small block's where this one would take long (bfloat16 without hardware)."""
    speeds: Speeds = {name: {} for name in arithmetics_of(device)}
    for (name, place, library), rate in small.items():
        is_quick = 2 * prod(block) < rate * MOST_SECONDS
        speeds[name][library] = flops_rate((name, place, library), block) if is_quick else rate
    return speeds


def flops_rate(key: Key, block: tuple[int, int, int]) -> float:
    """FLOP/s of one kernel; its operands are freed on return."""
    (rows, depth, cols), (name, device, _) = block, key
    row, method, empty = ARITHMETICS[name], method_for(key, cols), DEVICES[device].empty
    a, b = (Prepared(tuple(_filled(empty, row.stored_as, shape) for _ in range(row.slices))) for shape in ((rows, depth), (depth, cols)))
    total = empty(rows * cols, torch_dtype(row.accumulate)).view(rows, cols).zero_()
    return rate_of(2 * rows * depth * cols, lambda: (add_product(method, total, a, b, 1.0), DEVICES[device].synchronize()))


def _filled(empty: Callable[[int, torch.dtype], torch.Tensor], dtype: str, shape: tuple[int, int]) -> torch.Tensor:
    values = empty(prod(shape), torch_dtype(dtype)).view(shape)
    return values.uniform_() if values.is_floating_point() else values.random_(-100, 100)
