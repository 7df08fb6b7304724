"""A tile on the diagonal of a symmetric product: A Aᵀ of one slab of A, half of it multiplied.

    #           Strips of rows, each as far as the diagonal: of s strips (s + 1) / 2s is multiplied. In the end the upper triangle
    # #         gets the values of the lower one, so the tile is symmetric to the last bit.
    # # #

By the same kernels as any other tile, in any arithmetic, so each element below the diagonal has the bound that it always has, and
those above have it too: it is one of single elements, |e_ij| <= eps ||a_i|| ||a_j||.
"""

from dataclasses import replace

import torch

from tasks.operands import Prepared
from tasks.product import Method, add_product
from tasks.triangle import STRIP

BLOCK = 64
"""Edge of a block that is turned at a time."""


def add_symmetric_product(method: Method, accumulator: torch.Tensor, a: Prepared, beta: float) -> None:
    """accumulator [rows, rows] = beta accumulator + a aᵀ, on and below the diagonal; what is above is undefined."""
    rows = accumulator.shape[0]
    for start in range(0, rows, STRIP):
        stop = min(start + STRIP, rows)
        strip, columns = _lines(a, slice(start, stop)), _turned(_lines(a, slice(0, stop)))
        add_product(method, accumulator[start:stop, :stop], strip, columns, beta)


def fill_upper(values: torch.Tensor) -> None:
    """Give every element above the diagonal the value of its counterpart below, in place."""
    rows = values.shape[0]
    for start in range(0, rows, BLOCK):
        stop = min(start + BLOCK, rows)
        corner = values[start:stop, start:stop]
        above = torch.ones_like(corner, dtype=torch.bool).triu_(1)
        corner.copy_(torch.where(above, corner.T, corner))
        values[start:stop, stop:].copy_(values[stop:, start:stop].T)


def _lines(a: Prepared, rows: slice) -> Prepared:
    """Some rows of a slab of A."""
    return replace(a, slices=tuple(part[rows] for part in a.slices), factors=None if a.factors is None else a.factors[rows])


def _turned(a: Prepared) -> Prepared:
    """A slab of A as one of B: its lines are columns then, with the same factors."""
    return replace(a, slices=tuple(part.T for part in a.slices))
