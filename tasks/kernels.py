"""The multiplications themselves: accumulator += A B for one slab, one row per arithmetic and device.

The contract of a row, tested for all of them: it adds the product in place, allocates nothing of the accumulator's size,
takes transposed views without copying them, gives the same bits for the same operands, and leaves torch's global switches
as it found them.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch

from tasks.memory import PRODUCT_ROWS

Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], None]
"""(accumulator [rows, cols], a [rows, depth], b [depth, cols]) -> None."""


def _add_product(accumulator: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
    accumulator.addmm_(a, b)


def _add_product_ieee(accumulator: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
    with _tf32_off():
        accumulator.addmm_(a, b)


def _add_rounded_product(accumulator: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
    """The library returns bfloat16, so each slab's product is rounded once before it is added in float32."""
    for start in range(0, accumulator.shape[0], PRODUCT_ROWS):
        rows = slice(start, start + PRODUCT_ROWS)
        accumulator[rows].add_(torch.mm(a[rows], b))


def _add_wide_product(accumulator: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
    """CUDA returns float32 from bfloat16 operands."""
    with _full_reduction():
        for start in range(0, accumulator.shape[0], PRODUCT_ROWS):
            rows = slice(start, start + PRODUCT_ROWS)
            accumulator[rows].add_(torch.mm(a[rows], b, out_dtype=torch.float32))


@contextmanager
def _tf32_off() -> Generator[None]:
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.fp32_precision = before


@contextmanager
def _full_reduction() -> Generator[None]:
    before = torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = before


KERNELS: dict[tuple[str, str], Kernel] = {
    ("float64", "cpu"): _add_product,
    ("float32", "cpu"): _add_product,
    ("bfloat16", "cpu"): _add_rounded_product,
    ("float64", "cuda"): _add_product,
    ("float32", "cuda"): _add_product_ieee,
    ("bfloat16", "cuda"): _add_wide_product,
}
