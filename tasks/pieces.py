"""Computing a tile in pieces where memory runs out, and one record of them: the steps are those of `tasks.narrow`."""

from collections.abc import Callable
from dataclasses import replace
from errno import ENOMEM
from math import hypot
from typing import TypeVar

import psutil
import torch

from tasks.errors import OutOfMemory
from tasks.narrow import steps
from tasks.outcome import Measurement
from tasks.proof import tile_bound
from tasks.recipe import Recipe
from tasks.units import format_bytes
from tasks.walk import Tile
from tasks.workspace import release

T = TypeVar("T")

WORDS = ("can't allocate memory", "out of memory")
"""How torch says it in errors that have no type of their own."""


def in_memory(recipe: Recipe, tile: Tile, compute: Callable[[Recipe], T]) -> T:
    """What `compute` makes of the tile by the recipe; by one that takes less at a time where memory runs out.

    Raises OutOfMemory where the last step needs too much, and what `compute` does.
    """
    last, why = recipe, ""
    for step in steps(recipe):
        try:
            return compute(step)
        except (MemoryError, OSError, RuntimeError) as error:
            if not ran_out(error):
                raise
            last, why = step, f"{type(error).__name__}: {error}".splitlines()[0]
        release()  # only now: the error held on to what the tile had
    raise _too_large(last, tile, why)


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on the host or the device."""
    if isinstance(error, OSError):
        return error.errno == ENOMEM
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in str(error) for words in WORDS)


def measured_together(recipe: Recipe, found: list[Measurement]) -> Measurement:
    """The record of a tile from those of its pieces: its refused piece, where one is."""
    first, last = found[0], found[-1]
    for piece in found:
        if not piece.accepted and recipe.proof is None:
            return replace(piece, narrowed=recipe.narrowed)
    if len(found) == 1:
        return replace(first, narrowed=recipe.narrowed)
    worst, usual = max(found, key=lambda piece: piece.worst), max(piece.typical for piece in found)
    whole = replace(
        first,
        finished=last.finished,
        lanes={lane: sum(piece.lanes[lane] for piece in found) for lane in first.lanes},
        bytes_read=sum(piece.bytes_read for piece in found),
        bytes_written=sum(piece.bytes_written for piece in found),
        peak_bytes=max(piece.peak_bytes for piece in found),
        square_a=sum(piece.square_a for piece in found),
        square_c0=sum(piece.square_c0 for piece in found),
        square_residual=sum(piece.square_residual for piece in found),
        worst=worst.worst,
        chunks=tuple(chunk for piece in found for chunk in piece.chunks),
        nonfinite="; ".join(piece.nonfinite for piece in found if piece.nonfinite),
        rounding_error=hypot(*(piece.rounding_error for piece in found)),
        step_exponent=max((piece.step_exponent for piece in found if piece.step_exponent is not None), default=None),
        rows=sum(piece.rows for piece in found),
        typical=usual,
        outlier=_beside(found, usual, [piece.outlier for piece in found]),
        outlier_single=_beside(found, usual, [piece.outlier_single for piece in found]),
        owned=_owned(found),
        norms=_norms(found),
        narrowed=recipe.narrowed,
    )
    return whole if recipe.proof is None else _proven(recipe, whole, found)


def _beside(found: list[Measurement], usual: float, outliers: list[float]) -> float:
    """The largest error of a row beside the usual one of the whole tile."""
    return max(outlier * (piece.typical / usual if usual else 1.0) for piece, outlier in zip(found, outliers, strict=True))


def _owned(found: list[Measurement]) -> tuple[float, float] | None:
    owned = [piece.owned for piece in found if piece.owned is not None]
    return (sum(of_a for of_a, _ in owned), owned[0][1]) if owned else None


def _norms(found: list[Measurement]) -> tuple[float, float, float] | None:
    """Of the rows of all pieces, where any has norms beside its squares; B is the same to all."""
    if all(piece.norms is None for piece in found):
        return None
    of_a, of_b, of_c0 = zip(*(piece.counted for piece in found), strict=True)
    return hypot(*of_a), of_b[0], hypot(*of_c0)


def _proven(recipe: Recipe, whole: Measurement, found: list[Measurement]) -> Measurement:
    """What the probes prove of the whole tile; where that misses, nothing of it counts as stored."""
    assert recipe.proof is not None
    squares = whole.square_a, whole.square_b, whole.square_c0, whole.square_residual
    (m, k, n), tile = recipe.walk.shape, recipe.walk[whole.index]
    del m, n
    error = tile_bound(recipe.proof, (recipe.alpha, recipe.beta), squares, (tile.rows[1] - tile.rows[0], k, tile.cols[1] - tile.cols[0]))
    missed = not error <= recipe.proof.asked or any(not piece.accepted for piece in found)
    whole = replace(whole, error=error, missed=missed)
    return whole if whole.accepted else replace(whole, chunks=())


def _too_large(recipe: Recipe, tile: Tile, why: str) -> OutOfMemory:
    cols, depth = tile.cols[1] - tile.cols[0], recipe.tile.depth
    free = format_bytes(psutil.virtual_memory().available)
    size = f"{recipe.rows} x {cols} elements at a time from slabs {depth} deep"
    return OutOfMemory(
        f"tile {tile.index} ran out of memory, even {size} ({why}; {free} of this host are free): give its workers the memory that the "
        "plan counts on, or less --memory, which makes smaller tiles"
    )
