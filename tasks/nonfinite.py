"""NaN and infinity: where they are, what they reach, and the one line that refuses them.

A value in row i of op(A) reaches row i of C, one in column j of op(B) column j, and nothing else.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch

from tasks.errors import NonFinite
from tasks.memory import PROBE_BLOCK
from tasks.recipe import Recipe
from tasks.survey import Operand
from tasks.walk import Tile

MOST_LISTED = 8


@dataclass
class Affected:
    """Rows and columns of a tile (its own numbering) that stand outside the certificate."""

    rows: set[int] = field(default_factory=set)
    cols: set[int] = field(default_factory=set)

    def text(self, tile: Tile) -> str:
        """The rows and columns of C, for people; empty where there are none."""
        rows = listed("row", (tile.rows[0] + row for row in self.rows))
        cols = listed("column", (tile.cols[0] + col for col in self.cols))
        return ", ".join(part for part in (rows, cols) if part)


def listed(noun: str, places: Iterable[int]) -> str:
    """A short list.

    >>> listed("row", [3, 1]), listed("row", [])
    ('rows 1, 3', '')
    """
    ordered = sorted(places)
    if not ordered:
        return ""
    more = f" and {len(ordered) - MOST_LISTED} more" if len(ordered) > MOST_LISTED else ""
    return f"{noun}{'s' if len(ordered) > 1 else ''} {', '.join(map(str, ordered[:MOST_LISTED]))}{more}"


def bad_places(values: torch.Tensor, dim: int) -> set[int]:
    """Rows (dim 0) or columns (dim 1) of a block that hold NaN or infinity."""
    lines: set[int] = set()
    for start, part in _strips(values):
        rows, cols = torch.nonzero(~torch.isfinite(part), as_tuple=True)
        found = rows + start if dim == 0 else cols
        lines |= set(found.unique().tolist())
    return lines


def input_error(name: str, operand: Operand, values: torch.Tensor, origin: tuple[int, int]) -> NonFinite:
    """The error for a slab of op(X) with NaN or infinity; `origin` is the slab's first row and column."""
    place = _first(values)
    if place is None:
        return NonFinite(f"the squared norm of {name} overflows float64: scale {name} down (its values exceed 1e150)")
    row, col, value = place
    row, col = origin[0] + row, origin[1] + col
    at = (col, row) if operand.transposed else (row, col)
    chunk = tuple(place // size for place, size in zip(at, operand.matrix.chunks, strict=True))
    where = f" (chunk {chunk[0]}, {chunk[1]})" if operand.matrix.chunk_bytes else ""
    return NonFinite(f"{name} holds {value} at [{at[0]}, {at[1]}]{where} of {operand.matrix.path}: clean it, or pass --allow-nonfinite")


def overflow_error(recipe: Recipe, tile: Tile, values: torch.Tensor) -> NonFinite | None:
    """The error for a finite product that overflowed its type, with its position; None where all values are finite."""
    place = _first(values)
    if place is None:
        return None
    row, col, _ = place
    stored, held = recipe.staging.spec.dtype, recipe.arithmetic.accumulate
    wider = f"--dtype-out {held}" if stored != held else "--precision float64 --dtype-out float64"
    return NonFinite(
        f"the product overflows at [{tile.rows[0] + row}, {tile.cols[0] + col}]: {recipe.arithmetic_name} stored as {stored} "
        f"cannot hold it; use {wider}, or scale the inputs"
    )


def _first(values: torch.Tensor) -> tuple[int, int, float] | None:
    for start, part in _strips(values):
        places = torch.nonzero(~torch.isfinite(part))
        if len(places):
            row, col = places[0].tolist()
            return start + row, col, float(part[row, col])
    return None


def _strips(values: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    step = max(1, PROBE_BLOCK // max(1, values.shape[1]))
    for start in range(0, values.shape[0], step):
        yield start, values[start : start + step]
