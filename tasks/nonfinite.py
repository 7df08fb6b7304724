"""NaN and infinity: where they are, what they reach, and the one line that refuses them.

A value in row i of op(A) reaches row i of C, one in column j of op(B) column j, and nothing else.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch

from tasks.arithmetic import Arithmetic
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
    if place is not None:
        return NonFinite(f"{_where(name, operand, place, origin)}: clean it, or pass --allow-nonfinite")
    largest = _where(name, operand, _largest(values), origin)
    return NonFinite(f"the squared norm of {name} overflows float64: {largest}: scale {name} down, below 1e150")


def overflow_error(recipe: Recipe, tile: Tile, values: torch.Tensor, affected: Affected) -> NonFinite | None:
    """The error for a finite product that overflowed its type, with its position; None where all values are finite that should be."""
    place = _first(values, affected)
    if place is None:
        return None
    row, col, _ = place
    stored = recipe.staging.spec.dtype
    return NonFinite(
        f"the product overflows at [{tile.rows[0] + row}, {tile.cols[0] + col}]: {recipe.arithmetic_name} stored as {stored} "
        f"cannot hold it; {_wider(recipe.arithmetic, stored)}scale the inputs"
    )


def _wider(arithmetic: Arithmetic, stored: str) -> str:
    """What holds more: the accumulator's type, if the sums that went into it were finite, and then what holds most."""
    held, most = arithmetic.accumulate, "" if stored == "float64" else "--dtype-out float64"
    if arithmetic.inner == "float32":
        most = f"--precision float64 {most}".rstrip()
    if stored in (held, "float64") or f"--dtype-out {held}" == most:
        return f"use {most}, or " if most else ""
    return f"use --dtype-out {held}, if that overflows too {most}, or "


def _where(name: str, operand: Operand, place: tuple[int, int, float], origin: tuple[int, int]) -> str:
    """What an operand holds, at its row and column as stored."""
    row, col = origin[0] + place[0], origin[1] + place[1]
    at = (col, row) if operand.transposed else (row, col)
    chunk = tuple(index // size for index, size in zip(at, operand.matrix.chunks, strict=True))
    where = f" (chunk {chunk[0]}, {chunk[1]})" if operand.matrix.chunk_bytes and not operand.matrix.one_file else ""
    return f"{name} holds {place[2]:.6g} at [{at[0]}, {at[1]}]{where} of {operand.matrix.path}"


def _largest(values: torch.Tensor) -> tuple[int, int, float]:
    """The first of the largest values in magnitude."""
    tops = [(float(part.abs().max()), start, part) for start, part in _strips(values)]
    _, start, part = max(tops, key=lambda top: top[0])
    row, col = divmod(int(part.abs().argmax()), part.shape[1])
    return start + row, col, float(part[row, col])


def _first(values: torch.Tensor, affected: Affected | None = None) -> tuple[int, int, float] | None:
    rows, cols = (sorted(affected.rows), sorted(affected.cols)) if affected else ([], [])
    for start, part in _strips(values):
        bad = ~torch.isfinite(part)
        bad[[row - start for row in rows if start <= row < start + len(part)]] = False
        bad[:, cols] = False
        places = torch.nonzero(bad)
        if len(places):
            row, col = places[0].tolist()
            return start + row, col, float(part[row, col])
    return None


def _strips(values: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
    step = max(1, PROBE_BLOCK // max(1, values.shape[1]))
    for start in range(0, values.shape[0], step):
        yield start, values[start : start + step]
