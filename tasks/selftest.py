"""Does a kernel multiply? Integers, which every arithmetic holds, for each way that operands are stored.

Small ones for every row. A row for int8 gets its extremes, too: without instructions that sum products in 32 bits (VNNI, AMX) libraries add
pairs of them in 16 bits, with A shifted by 128 to have no sign: where (127 + 128) 127 + (127 + 128) 127 saturates, values of 1 do not.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import torch

from tasks.devices import DEVICES, torch_dtype
from tasks.kernels import KERNELS
from tasks.ladder import ARITHMETICS, SATURATING
from tasks.memory import PRODUCT_ROWS
from tasks.operands import Prepared
from tasks.product import Method, add_product

SHAPE = (70, 130, 90)
"""Rows, depth, columns: no multiples of what registers hold."""

EXTREME_SHAPES = ((70, 300, 90), (1, 601, 33), (33, 257, 1), (1, 2, 1), (128, 512, 64), (9, 4099, 7))
"""Those of the extremes: libraries have other code for a single row or column, for odd depths, for whole registers."""

LEAST, MOST = -128, 127

Pair = tuple[torch.Tensor, torch.Tensor]


def method_for(key: tuple[str, str, str], cols: int) -> Method:
    """A kernel (arithmetic, device, library) with a strip for so many columns."""
    row = ARITHMETICS[key[0]]
    return Method(row, KERNELS[key], DEVICES[key[1]].empty(PRODUCT_ROWS * cols, torch_dtype(row.block_output[key[1]])))


def is_right(key: tuple[str, str, str]) -> bool:
    """Whether a kernel multiplies exactly what is exact, writing and adding; one that the machine cannot run is not right."""
    try:
        return all(_multiplies(key, pair) for pair in _operands(key[0]))
    except RuntimeError:
        return False


def wrong_kernels(keys: Sequence[tuple[str, str, str]]) -> tuple[str, ...]:
    """Arithmetics whose kernels are not right in this process; runs on workers."""
    return tuple(key[0] for key in keys if not is_right(key))


def _multiplies(key: tuple[str, str, str], pair: Pair) -> bool:
    (name, device, _), (a, b) = key, pair
    place = DEVICES[device].place
    (rows, _), cols = a.shape, b.shape[1]
    row, method, right = ARITHMETICS[name], method_for(key, cols), 2 * (a @ b)
    for turned in product((False, True), repeat=2):
        stored = (_stored(x.to(torch_dtype(row.stored_as)), turn) for x, turn in zip(pair, turned, strict=True))
        left, below = (Prepared(_slices(x.to(place), row.slices)) for x in stored)
        total = torch.full((rows, cols), torch.nan, dtype=torch_dtype(row.accumulate), device=place)
        for beta in (0.0, 1.0):
            add_product(method, total, left, below, beta)
        if not torch.equal(total.double().cpu(), right):
            return False
    return True


def _operands(name: str) -> Iterator[Pair]:
    """What is multiplied, as float64; its products are exact there, too."""
    generator = torch.Generator().manual_seed(0)
    yield _drawn(SHAPE, (-1, 1), generator)
    if name in SATURATING:
        for shape in EXTREME_SHAPES:
            yield _drawn(shape, (LEAST, MOST), generator)
            for a, b in product((LEAST, MOST), repeat=2):
                yield torch.full(shape[:2], a).double(), torch.full(shape[1:], b).double()


def _drawn(shape: tuple[int, int, int], ends: tuple[int, int], generator: torch.Generator) -> Pair:
    left, below = (torch.randint(ends[0], ends[1] + 1, size, generator=generator).double() for size in (shape[:2], shape[1:]))
    return left, below


def _stored(matrix: torch.Tensor, turned: bool) -> torch.Tensor:
    """By rows, or by columns; a line alone has other strides, too."""
    return matrix.T.flatten().view(matrix.T.shape).T if turned else matrix


def _slices(first: torch.Tensor, count: int) -> tuple[torch.Tensor, ...]:
    return (first, *(torch.zeros_like(first) for _ in range(count - 1)))
