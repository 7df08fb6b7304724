"""Which slabs of a tile are read and multiplied: those in which both A and B may hold anything.

    row panel of A    [ x | . | x | x ]      a dot holds zeros alone, and everybody knows it: nothing of it is stored
    column panel of B [ x | x | . | x ]
    read              [ y | . | . | y ]      neither read nor multiplied nor probed where either is a dot

What is absent is a structural zero: times NaN or infinity it is nothing, and what meets nothing but zeros is not looked at. Only
where NaN and infinity are to reach the product (`--allow-nonfinite`) a part that can hold them is read although it meets zeros.

Norms are those of the whole operands, as far as anything of them is read: each slab counts once, in the first tile of its panel
that reads it (`owned`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.geometry import blocks
from tasks.recipe import Recipe
from tasks.survey import Problem
from tasks.walk import Tile

Flags = NDArray[np.bool_]
Edges = NDArray[np.int64]


@dataclass(frozen=True)
class Rule:
    """When a slab is needed."""

    whole_a: bool
    """A is read also where B is zero, because it may hold NaN or infinity there that count."""
    whole_b: bool
    """The same of B."""

    def needed(self, a: Flags, b: Flags) -> Flags:
        """From whether A's and B's slabs hold anything."""
        return (a & b) | (a & self.whole_a) | (b & self.whole_b)


@dataclass(frozen=True)
class TileSlabs:
    """The slabs of one tile, bool [slabs along k] each."""

    needed: Flags
    owned_a: Flags
    """Those whose part of A no tile further left in the row reads: their squares belong to this tile."""
    owned_b: Flags
    """Those whose part of B no tile further up in the column reads."""


def rule_of(problem: Problem) -> Rule:
    """The rule of a problem."""
    return _rule(problem.keeps_nonfinite, problem.dtypes)


def _rule(keeps_nonfinite: bool, dtypes: tuple[str, str]) -> Rule:
    return Rule(*(keeps_nonfinite and np.dtype(dtype).kind == "f" for dtype in dtypes))


def edges_of(extent: int, step: int) -> Edges:
    """Where blocks start, and where the last one ends.

    >>> edges_of(10, 4).tolist()
    [0, 4, 8, 10]
    """
    return np.minimum(np.arange(blocks(extent, step) + 1, dtype=np.int64) * step, extent)


def slabs_of(recipe: Recipe, tile: Tile) -> TileSlabs | None:
    """What a tile reads; None where all of it is read, and every tile of a panel reads the same."""
    if recipe.walk.halved or not (recipe.a.sparse or recipe.b.sparse):
        return None
    rule, edges = _rule(recipe.allow_nonfinite, (recipe.a.dtype, recipe.b.dtype)), edges_of(recipe.walk.shape[1], recipe.tile.depth)
    needed = rule.needed(recipe.a.held(1, edges, tile.rows), recipe.b.held(0, edges, tile.cols))
    above, left = tile.rows[0], tile.cols[0]
    read_left = recipe.b.held(0, edges, (0, left)) | rule.whole_a if left else np.zeros_like(needed)
    read_above = recipe.a.held(1, edges, (0, above)) | rule.whole_b if above else np.zeros_like(needed)
    return TileSlabs(needed, needed & ~read_left, needed & ~read_above)
