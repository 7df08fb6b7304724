"""The multiplications themselves: accumulator = beta accumulator + A B for one slab, one row per arithmetic, device and library.

Which library is fastest depends on the processor (MKL on Intel, OpenBLAS on AMD), so it is measured, see `tasks.rates`.

The contract of a row, tested for all of them: it adds the product in place, or, for the first slab, writes it without reading what
was there; it allocates nothing of the accumulator's size, takes transposed views without copying them, gives the same bits for the
same operands, and leaves torch's global switches as it found them.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import product

import torch

from tasks import blas
from tasks.arithmetic import ARITHMETICS
from tasks.devices import torch_dtype
from tasks.memory import PRODUCT_ROWS

Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], None]
"""(accumulator [rows, cols], a [rows, depth], b [depth, cols], beta) -> None; beta is 1, or 0 where the accumulator holds nothing."""


def _add_product(accumulator: torch.Tensor, a: torch.Tensor, b: torch.Tensor, beta: float) -> None:
    accumulator.addmm_(a, b, beta=beta)


def _add_product_ieee(accumulator: torch.Tensor, a: torch.Tensor, b: torch.Tensor, beta: float) -> None:
    with _tf32_off():
        accumulator.addmm_(a, b, beta=beta)


def _add_rounded_product(accumulator: torch.Tensor, a: torch.Tensor, b: torch.Tensor, beta: float) -> None:
    """The library returns bfloat16, so each slab's product is rounded once before it is added in float32."""
    for start in range(0, accumulator.shape[0], PRODUCT_ROWS):
        rows = slice(start, start + PRODUCT_ROWS)
        _add(accumulator[rows], torch.mm(a[rows], b), beta)


def _add_wide_product(accumulator: torch.Tensor, a: torch.Tensor, b: torch.Tensor, beta: float) -> None:
    """CUDA returns float32 from bfloat16 operands."""
    with _full_reduction():
        for start in range(0, accumulator.shape[0], PRODUCT_ROWS):
            rows = slice(start, start + PRODUCT_ROWS)
            _add(accumulator[rows], torch.mm(a[rows], b, out_dtype=torch.float32), beta)


def _add(accumulator: torch.Tensor, product: torch.Tensor, beta: float) -> None:
    if beta:
        accumulator.add_(product)
    else:
        accumulator.copy_(product)


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


KERNELS: dict[tuple[str, str, str], Kernel] = {
    ("float64", "cpu", "torch"): _add_product,
    ("float64", "cpu", "scipy"): blas.add_product,
    ("float32", "cpu", "torch"): _add_product,
    ("float32", "cpu", "scipy"): blas.add_product,
    ("bfloat16", "cpu", "torch"): _add_rounded_product,
    ("float64", "cuda", "torch"): _add_product,
    ("float32", "cuda", "torch"): _add_product_ieee,
    ("bfloat16", "cuda", "torch"): _add_wide_product,
}
"""By arithmetic, device and library; a near-tie in speed goes to the earlier row."""


def libraries(arithmetic: str, device: str) -> list[str]:
    """Libraries with a kernel for this arithmetic on this device, in the order of the table."""
    return [library for name, place, library in KERNELS if (name, place) == (arithmetic, device)]


def is_right(arithmetic: str, device: str, library: str) -> bool:
    """Whether a kernel multiplies small integers exactly, which every arithmetic holds, for each way that operands are stored."""
    row, kernel = ARITHMETICS[arithmetic], KERNELS[arithmetic, device, library]
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randint(-1, 2, shape, generator=generator).double() for shape in ((70, 130), (130, 90)))
    for turned_a, turned_b in product((False, True), repeat=2):
        stored = (x.T.contiguous().T if turned else x for x, turned in ((a, turned_a), (b, turned_b)))
        left, right = (x.to(torch_dtype(row.compute)).to(device) for x in stored)
        total = torch.full((70, 90), torch.nan, dtype=torch_dtype(row.accumulate), device=device)
        for beta in (0.0, 1.0):
            kernel(total, left, right, beta)
        if not torch.equal(total.double().cpu(), 2 * (a @ b)):
            return False
    return True
