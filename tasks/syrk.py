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
    add_symmetric_rows(method, accumulator, (a, _turned(a)), 0, beta)


def add_symmetric_rows(method: Method, accumulator: torch.Tensor, pair: tuple[Prepared, Prepared], first: int, beta: float) -> None:
    """The same for some rows of the tile, from its row `first` on: `pair` are those rows of A, and all of Aᵀ."""
    a, b = pair
    (rows, edge), last = accumulator.shape, first + accumulator.shape[0]
    for start in range(first // STRIP * STRIP, last, STRIP):
        stop, top, bottom = min(start + STRIP, edge), max(start - first, 0), min(start + STRIP - first, rows)
        add_product(method, accumulator[top:bottom, :stop], _lines(a, slice(top, bottom)), _columns(b, slice(0, stop)), beta)


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


def _columns(b: Prepared, columns: slice) -> Prepared:
    """Some columns of a slab of B."""
    return replace(b, slices=tuple(part[:, columns] for part in b.slices), factors=None if b.factors is None else b.factors[columns])


def _turned(a: Prepared) -> Prepared:
    """A slab of A as one of B: its lines are columns then, with the same factors."""
    return replace(a, slices=tuple(part.T for part in a.slices))
