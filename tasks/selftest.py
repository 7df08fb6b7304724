"""Does a kernel multiply? Small integers, which every arithmetic holds, for each way that operands are stored."""

from itertools import product

import torch

from tasks.devices import DEVICES, torch_dtype
from tasks.kernels import KERNELS
from tasks.ladder import ARITHMETICS
from tasks.memory import PRODUCT_ROWS
from tasks.operands import Prepared
from tasks.product import Method, add_product

SHAPE = (70, 130, 90)
"""Rows, depth, columns: no multiples of what registers hold."""


def method_for(key: tuple[str, str, str], cols: int) -> Method:
    """A kernel (arithmetic, device, library) with a strip for so many columns."""
    row = ARITHMETICS[key[0]]
    return Method(row, KERNELS[key], DEVICES[key[1]].empty(PRODUCT_ROWS * cols, torch_dtype(row.block_output[key[1]])))


def is_right(key: tuple[str, str, str]) -> bool:
    """Whether a kernel multiplies exactly what is exact, writing and adding; one that the machine cannot run is not right."""
    (rows, depth, cols), (name, device, _) = SHAPE, key
    row, method = ARITHMETICS[name], method_for(key, cols)
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(-1, 2, shape, generator=generator).double() for shape in ((rows, depth), (depth, cols)))
    for turned in product((False, True), repeat=2):
        stored = (x.T.contiguous().T if turn else x for x, turn in zip((a, b), turned, strict=True))
        left, right = (Prepared(_slices(x.to(torch_dtype(row.stored_as)).to(device), row.slices)) for x in stored)
        total = torch.full((rows, cols), torch.nan, dtype=torch_dtype(row.accumulate), device=device)
        try:
            for beta in (0.0, 1.0):
                add_product(method, total, left, right, beta)
        except RuntimeError:
            return False
        if not torch.equal(total.double().cpu(), 2 * (a @ b)):
            return False
    return True


def _slices(first: torch.Tensor, count: int) -> tuple[torch.Tensor, ...]:
    return (first, *(torch.zeros_like(first) for _ in range(count - 1)))
