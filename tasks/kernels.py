"""The multiplications themselves, one row per arithmetic, device and library.

Which library is fastest depends on the processor (MKL on Intel, OpenBLAS on AMD), so it is measured, see `tasks.rates`.

The contract of a row, tested for all of them: it takes transposed views without copying them, gives the same bits for the same
operands, allocates nothing of the accumulator's size, and leaves torch's global switches as it found them. A row that adds does so
in place, or, for the first slab, writes without reading what was there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import pad

from tasks import blas
from tasks.switches import FULL_REDUCTION, IEEE, TF32, switched


@dataclass(frozen=True)
class Adds:
    """A library that adds to what is there: (accumulator, a, b, beta), beta 1 or 0."""

    add: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], None]

    def product(self, a: torch.Tensor, b: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
        """a b, written to `out`."""
        assert out is not None
        self.add(out, a, b, 0.0)
        return out


@dataclass(frozen=True)
class Multiplies:
    """A library that returns products: (a, b, out), `out` being memory that it may use."""

    product: Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]


Kernel = Adds | Multiplies


def _add_product(accumulator: torch.Tensor, a: torch.Tensor, b: torch.Tensor, beta: float) -> None:
    with switched(IEEE):
        accumulator.addmm_(a, b, beta=beta)


def _add_product_tf32(accumulator: torch.Tensor, a: torch.Tensor, b: torch.Tensor, beta: float) -> None:
    with switched(TF32):
        accumulator.addmm_(a, b, beta=beta)


def _rounded_product(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
    """The library returns the operands' type."""
    return torch.mm(a, b, out=out)


def _wide_product(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
    """CUDA returns float32 from narrower operands."""
    del out
    with switched(FULL_REDUCTION):
        return torch.mm(a, b, out_dtype=torch.float32)


def _exact_product(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
    """int8 by int8 in int32."""
    a, b = _as_rows(a), _as_rows(b)
    return torch.ops.aten._int_mm.default(a, b) if out is None else torch.ops.aten._int_mm.out(a, b, out=out)


def _as_rows(matrix: torch.Tensor) -> torch.Tensor:
    """A single row with the strides of rows: where it has those of a column, the library multiplies what lies beside it in memory."""
    cols, across = matrix.shape[1], matrix.stride(1)
    return matrix.as_strided((1, cols), (cols * across, across)) if len(matrix) == 1 else matrix


def _exact_product_padded(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
    """cuBLAS wants more than 16 rows, and depths and columns in eights."""
    (rows, depth), cols = a.shape, b.shape[1]
    more_rows, more_depth, more_cols = max(0, 17 - rows), -depth % 8, -cols % 8
    if not (more_rows or more_depth or more_cols):
        return _exact_product(a, b, out)
    padded = pad(a, (0, more_depth, 0, more_rows)), pad(b, (0, more_cols, 0, more_depth))
    return _exact_product(*padded, None)[:rows, :cols]


KERNELS: dict[tuple[str, str, str], Kernel] = {
    ("int8", "cpu", "torch"): Multiplies(_exact_product),
    ("bfloat16", "cpu", "torch"): Multiplies(_rounded_product),
    ("float32", "cpu", "torch"): Adds(_add_product),
    ("float32", "cpu", "scipy"): Adds(blas.add_product),
    ("float32-wide", "cpu", "torch"): Adds(_add_product),
    ("float32-wide", "cpu", "scipy"): Adds(blas.add_product),
    ("float64", "cpu", "torch"): Adds(_add_product),
    ("float64", "cpu", "scipy"): Adds(blas.add_product),
    ("int8", "cuda", "torch"): Multiplies(_exact_product_padded),
    ("float16", "cuda", "torch"): Multiplies(_wide_product),
    ("bfloat16", "cuda", "torch"): Multiplies(_wide_product),
    ("tf32", "cuda", "torch"): Adds(_add_product_tf32),
    ("bfloat16x3", "cuda", "torch"): Multiplies(_wide_product),
    ("bfloat16x6", "cuda", "torch"): Multiplies(_wide_product),
    ("bfloat16x9", "cuda", "torch"): Multiplies(_wide_product),
    ("float32", "cuda", "torch"): Adds(_add_product),
    ("float32-wide", "cuda", "torch"): Adds(_add_product),
    ("float64", "cuda", "torch"): Adds(_add_product),
}
"""By arithmetic, device and library; a near-tie in speed goes to the earlier row."""


def libraries(arithmetic: str, device: str) -> list[str]:
    """Libraries with a kernel for this arithmetic on this device, in the order of the table."""
    return [library for name, place, library in KERNELS if (name, place) == (arithmetic, device)]
