"""What a worker reports of a tile that it computed and checked, before anything of it is stored."""

import os
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
from distributed import get_worker

from tasks.check import Checked, Sums
from tasks.mirror import written_elements
from tasks.moment import now
from tasks.norms import is_sure
from tasks.outcome import Measurement
from tasks.proof import tile_bound
from tasks.recipe import Recipe
from tasks.resident import peak_resident_bytes

if TYPE_CHECKING:
    from tasks.tile import Work


def measurement(work: "Work", started: float, sums: Sums, checked: Checked) -> Measurement:
    """What is known before anything is stored."""
    tile, recipe = work.tile, work.recipe
    error = _error(recipe, sums, checked)
    return Measurement(
        index=tile.index,
        row=tile.row,
        col=tile.col,
        worker=this_worker(),
        started=started,
        finished=now(),
        lanes=work.lanes.seconds,
        bytes_read=sums.bytes_read,
        bytes_written=written_elements(recipe.walk, recipe.staging.spec, tile) * np.dtype(recipe.staging.spec.dtype).itemsize,
        peak_bytes=peak_resident_bytes(),
        square_a=float(sums.squares_a.sum()),
        square_b=sums.square_b,
        square_c0=checked.square_c0,
        square_residual=checked.square_residual,
        worst=checked.worst,
        chunks=(),
        nonfinite=work.affected.text(tile),
        rounding_error=checked.rounded.error,
        step_exponent=checked.rounded.exponent,
        rung=recipe.rung,
        error=error,
        missed=recipe.proof is not None and error is not None and not error <= recipe.proof.asked,
        rows=checked.rows.count,
        typical=checked.rows.typical,
        outlier=checked.rows.outlier,
        outlier_single=checked.rows.single,
        owned=None if work.slabs is None else (sums.owned_a, sums.owned_b),
        norms=_norms(sums, checked),
        copies=recipe.walk.copies(tile.row, tile.col),
    )


def _norms(sums: Sums, checked: Checked) -> tuple[float, float, float] | None:
    """The norms, where the squares are too small to give them; None where one is not known, or too large, as its square then says."""
    squares, norms = (float(sums.squares_a.sum()), sums.square_b, checked.square_c0), (*sums.norms, checked.norm_c0)
    doubtful = any(norm and not is_sure(square) for norm, square in zip(norms, squares, strict=True))
    return norms if doubtful and all(map(isfinite, (*squares, *norms))) else None


def _error(recipe: Recipe, sums: Sums, checked: Checked) -> float | None:
    """What the probes prove of the tile, where that counts."""
    if recipe.proof is None:
        return None
    squares = float(sums.squares_a.sum()), sums.square_b, checked.square_c0, checked.square_residual
    shape = sums.accumulator.shape[0], recipe.walk.shape[1], sums.accumulator.shape[1]
    return tile_bound(recipe.proof, (recipe.alpha, recipe.beta), squares, shape)


def this_worker() -> str:
    """Address of this Dask worker, or the number of a process that is none."""
    try:
        return get_worker().address
    except ValueError:
        return f"pid:{os.getpid()}"
