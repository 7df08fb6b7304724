"""A tile for which memory runs out is computed in less of it: the same chunks, the same probes, every sum in the same order.

    step 0    as planned
    step 1    one slab of A and one of B: nothing is kept for the next tile
    step 2    in two pieces, one after the other: half of the rows each, whole files
    step 3    in four, ...                          as far as one file high, or a few

Rows are cut, never the depth: how a sum is added up is part of the result. Libraries take other ways for a few rows, so no piece has
too few. Where a step was needed, the driver sends the tiles that follow with it.

A symmetric product cuts where its mirror image has whole files, too, and strips of diagonal tiles where they are whole. Pieces of such a
tile, and of a part of k, go through files of the staging (`tasks.parts`).
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from math import ceil, lcm

from tasks.memory import PRODUCT_ROWS, strip_elements
from tasks.recipe import Recipe
from tasks.triangle import STRIP
from tasks.walk import Tile

ROWS_ALIKE = {"scipy": 48}
"""By library, rows that it handles together: what is left of a block over whole ones of these has other last bits (measured with OpenBLAS:
with AVX-512 twelve). MKL, by torch, sums up all rows alike, if there are enough.
"""

LEAST_ROWS = 8
"""Rows for each thread from which on MKL sums up all alike (measured with 1 to 8 threads: it takes 4 for one, 12 for more)."""

SMALL = 10**6
"""Multiply-adds up to which OpenBLAS has other kernels."""


def steps(recipe: Recipe) -> Iterator[Recipe]:
    """The recipe, then with ever less at a time."""
    yield recipe
    held = recipe.slots, recipe.rows
    while held != ((1, 1), _last_rows(recipe)):
        recipe = narrowed(recipe, recipe.narrowed + 1)
        if (recipe.slots, recipe.rows) != held:
            held = recipe.slots, recipe.rows
            yield recipe


def narrowed(recipe: Recipe, step: int) -> Recipe:
    """The recipe at a step, or further if it is that already."""
    if step <= recipe.narrowed:
        return recipe
    unit = _unit(recipe)
    rows = min(recipe.tile.rows, ceil(recipe.tile.rows / 2 ** (step - 1) / unit) * unit)
    return replace(recipe, narrowed=step, slots=(1, 1), piece_rows=max(rows, _last_rows(recipe)))


def pieces(recipe: Recipe, tile: Tile) -> list[Tile]:
    """The tile, row by row of pieces."""
    (start, stop), unit, least = tile.rows, _unit(recipe), _least(recipe)
    edges = [*range(start, stop, recipe.rows), stop]
    if len(edges) > 2 and edges[-1] - edges[-2] < least:
        edges[-2] -= unit
    return [replace(tile, rows=rows) for rows in pairwise(edges)]


def _last_rows(recipe: Recipe) -> int:
    """Rows of the smallest pieces: where those at the end of a tile would be too few, the piece before gives them some."""
    unit = _unit(recipe)
    return min(recipe.tile.rows, 2 * unit if _leaves_few(recipe, unit) else unit)


def _unit(recipe: Recipe) -> int:
    """Rows of whole files that the library adds up in the order in which it does in the whole tile."""
    spec, halved, alike, least = recipe.staging.spec, recipe.walk.halved, ROWS_ALIKE.get(recipe.kernel, 1), _least(recipe)
    turned = spec.objects[1] if halved and not spec.lower else 1
    unit = lcm(spec.objects[0], turned, alike, STRIP if halved and alike > 1 else 1)
    unit = lcm(unit, least) if halved and alike == 1 else ceil(least / unit) * unit  # strips of the diagonal are cut there, too
    if _in_strips(recipe) and (alike > 1 or PRODUCT_ROWS % unit or _leaves_few(recipe, unit)):
        unit = lcm(unit, PRODUCT_ROWS)
    return unit


def _in_strips(recipe: Recipe) -> bool:
    """Whether products are held apart, some rows at a time, and rounded there."""
    row = recipe.arithmetic
    return row.inner != "int32" and strip_elements(row, (recipe.a.dtype, recipe.b.dtype), recipe.tile) > 0


def _leaves_few(recipe: Recipe, unit: int) -> bool:
    """Whether a tile has too few rows beyond whole units."""
    rows = recipe.tile.rows
    return any(unit < height and 0 < height % unit < _least(recipe) for height in (rows, (recipe.walk.shape[0] - 1) % rows + 1))


def _least(recipe: Recipe) -> int:
    """Rows of which no piece may have fewer, or they would be summed up in another way."""
    if recipe.kernel not in ROWS_ALIKE:
        return min(STRIP, 1 << (LEAST_ROWS * recipe.threads - 1).bit_length())  # a power of two, as strips are
    (_, k, n), tile = recipe.walk.shape, recipe.tile
    smallest = min(tile.cols, (n - 1) % tile.cols + 1) * min(tile.depth, (k - 1) % tile.depth + 1)
    return max(ROWS_ALIKE[recipe.kernel], SMALL // smallest + 1)
