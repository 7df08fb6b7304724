"""One slab's product, added to the accumulator as the arithmetic's row says: at once by the library, or block by block.

    for each strip of rows, each block of k, each pair of slices taken:   strip = a_i b_j;  accumulator += factor x strip

What a strip holds is small, and the order is fixed.
"""

from dataclasses import dataclass

import torch

from tasks.arithmetic import Arithmetic
from tasks.kernels import Adds, Kernel
from tasks.memory import PRODUCT_ROWS, block_elements
from tasks.operands import Prepared

MOST_EXPONENT = 100
"""Factors up to 2**this are applied in the accumulator's own type."""


@dataclass(frozen=True)
class Method:
    """How products are computed."""

    row: Arithmetic
    kernel: Kernel
    strip: torch.Tensor | None
    """A flat buffer for `PRODUCT_ROWS` rows of a block's product, in the type that the library returns; None where it is never needed."""


def add_product(method: Method, accumulator: torch.Tensor, a: Prepared, b: Prepared, beta: float) -> None:
    """accumulator [rows, cols] = beta accumulator + a [rows, depth] b [depth, cols]; beta is 1, or 0 where nothing is read."""
    scaled = bool(a.exponent or b.exponent) or a.factors is not None or b.factors is not None
    if method.row.block is None and isinstance(method.kernel, Adds) and not scaled:
        method.kernel.add(accumulator, a.slices[0], b.slices[0], beta)
        return
    for start in range(0, accumulator.shape[0], PRODUCT_ROWS):
        _add_strip(method, accumulator, (a, b), slice(start, start + PRODUCT_ROWS), beta)


def _add_strip(method: Method, accumulator: torch.Tensor, pair: tuple[Prepared, Prepared], rows: slice, beta: float) -> None:
    a, b = pair
    target, depth = accumulator[rows], a.slices[0].shape[1]
    step = method.row.block or depth
    for start in range(0, depth, step):
        for i, j in method.row.taken:
            part = _part(method, a.slices[i][rows, start : start + step], b.slices[j][start : start + step])
            _add(target, part, (a, b), rows, beta)
            beta = 1.0


def _part(method: Method, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    strip = method.strip
    out = None if strip is None else strip[: a.shape[0] * b.shape[1]].view(a.shape[0], b.shape[1])
    return method.kernel.product(a, b, out)


def _add(target: torch.Tensor, part: torch.Tensor, pair: tuple[Prepared, Prepared], rows: slice, beta: float) -> None:
    a, b = pair
    exponent = a.exponent + b.exponent
    if a.factors is not None or b.factors is not None or abs(exponent) > MOST_EXPONENT:
        left = _line_factors(a, target.device)
        _add_scaled(target, part, (left[rows] if a.factors is not None else left, _line_factors(b, target.device)), beta)
    elif beta:
        _add_plainly(target, part, 2.0**exponent)
    else:
        target.copy_(part).mul_(2.0**exponent)


def _add_plainly(target: torch.Tensor, part: torch.Tensor, factor: float) -> None:
    """A few rows at a time, since torch widens a copy of what it adds."""
    alpha = factor if part.is_floating_point() else 1
    step = len(target) if part.dtype == target.dtype else _piece_rows(target)
    for start in range(0, len(target), step):
        target[start : start + step].add_(part[start : start + step], alpha=alpha)


def _piece_rows(target: torch.Tensor) -> int:
    """Rows that pass through a core's cache together."""
    return max(1, block_elements(target.device.type, torch.get_num_threads()) // target.shape[1])


def _line_factors(operand: Prepared, device: torch.device) -> torch.Tensor:
    if operand.factors is not None:
        return operand.factors
    return torch.tensor([2.0**operand.exponent], dtype=torch.float64, device=device)


def _add_scaled(target: torch.Tensor, part: torch.Tensor, factors: tuple[torch.Tensor, torch.Tensor], beta: float) -> None:
    """By way of float64, a few rows at a time: whatever the factors are, what can be held is."""
    step = _piece_rows(target)
    for start in range(0, target.shape[0], step):
        lines = factors[0] if len(factors[0]) == 1 else factors[0][start : start + step]
        wide = part[start : start + step].double().mul_(lines[:, None]).mul_(factors[1])
        if beta:
            wide.add_(target[start : start + step])
        target[start : start + step].copy_(wide)
