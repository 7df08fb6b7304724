"""What happens to a finished accumulator: scaled, C0 added, rounded to the stored type in place, and stored.

Rounding happens before the verifier looks, so that what is certified is what is stored.
"""

from dataclasses import dataclass
from functools import partial
from math import hypot

import numpy as np
import torch

from storage import Block, ChunkRecord, WriteResult, hold_of
from tasks import probing
from tasks.devices import torch_dtype
from tasks.hands import each, read_block
from tasks.memory import PROBE_BLOCK
from tasks.mirror import Place, cuts, places
from tasks.nonfinite import Affected, bad_places, input_error
from tasks.recipe import Recipe
from tasks.survey import Operand
from tasks.trials import settled_staging
from tasks.walk import Tile
from tasks.workspace import Lanes


@dataclass(frozen=True)
class Finished:
    """A block of a finished accumulator, given to storage part by part: it is never copied whole from a device or to another type."""

    values: torch.Tensor
    dtype: np.dtype[np.number]
    """Type as stored."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns."""
        return tuple(self.values.shape)

    def __getitem__(self, part: tuple[slice, slice]) -> Block:
        """The elements of some rows and columns, on the host."""
        values = self.values[part]
        if not values.is_cpu:  # fewer bytes cross where the type as stored is narrower
            values = values.to(torch_dtype(self.dtype.name)).cpu()
        return values.numpy().astype(self.dtype, copy=False)


def finish(recipe: Recipe, tile: Tile, accumulator: torch.Tensor, probes: torch.Tensor, affected: Affected) -> probing.Pass:
    """Scale, add beta C0 and round to the stored type, in place; returns C0 @ probes, the rows' squared norms of C0 and its norm.

    Raises NonFinite where C0 holds NaN or infinity, or adds their rows to `affected` where the job allows them.
    """
    rows = accumulator.shape[0]
    added = torch.zeros(rows, probes.shape[1], dtype=torch.float64, device=probes.device)
    squares, norm = torch.zeros(rows, dtype=torch.float64, device=probes.device), 0.0
    if recipe.alpha != 1.0:
        accumulator.mul_(recipe.alpha)
    if recipe.add is not None:
        for (top, bottom), (left, right) in cuts(tile, recipe.staging.spec.chunks):
            block = _read_added(recipe, tile, (top, bottom), (left, right)).to(accumulator.device)
            seen = probing.apply(block, probes[left:right], probing.Wanted(norms=True))
            if not torch.isfinite(seen.row_squares).all():
                affected.rows |= {top + row for row in _bad_rows(recipe, block, (tile.rows[0] + top, tile.cols[0] + left))}
                seen = probing.apply(block, probes[left:right], probing.Wanted(norms=True, clean=True))
            added[top:bottom] += seen.product
            squares[top:bottom] += seen.row_squares
            norm = hypot(norm, seen.norm)
            accumulator[top:bottom, left:right].add_(block.to(accumulator.dtype), alpha=recipe.beta)
    _round(accumulator, recipe.staging.spec.dtype)
    return probing.Pass(added, squares, norm)


def store_tile(recipe: Recipe, tile: Tile, accumulator: torch.Tensor, lanes: Lanes) -> tuple[ChunkRecord, ...]:
    """Encode and write the tile file by file, which are chunks or shards, and its mirror image where the product is symmetric.

    Books encode and write on their own lanes, the choice of a codec on encode; of several hands what each that is at work takes on average.
    """
    staging = settled_staging(recipe.staging, recipe.choose, accumulator) if recipe.choose else recipe.staging
    lanes.lap("encode")
    hold, dtype, hands = hold_of(staging), np.dtype(recipe.staging.spec.dtype), recipe.hands

    def write(place: Place) -> WriteResult:
        return hold.write(*place.origin, Finished(place.part(accumulator), dtype))

    results = each(hands, [partial(write, place) for place in places(recipe.walk, staging.spec, tile)])
    busy = min(hands, len(results)) or 1
    encode, write_ = (sum(getattr(result, name) for result in results) / busy for name in ("encode_seconds", "write_seconds"))
    lanes.book({"encode": encode, "write": write_}, rest="encode")
    return tuple(record for result in results for record in result.records)


def _round(accumulator: torch.Tensor, stored: str) -> None:
    """Round every value to the stored type, in place, a strip at a time."""
    if stored == "int64" or torch_dtype(stored) == accumulator.dtype:
        return
    step = max(1, PROBE_BLOCK // accumulator.shape[1])
    for start in range(0, accumulator.shape[0], step):
        strip = accumulator[start : start + step]
        strip.copy_(strip.to(torch_dtype(stored)))


def _read_added(recipe: Recipe, tile: Tile, rows: tuple[int, int], cols: tuple[int, int]) -> torch.Tensor:
    matrix = recipe.add
    assert matrix is not None
    block = np.empty((rows[1] - rows[0], cols[1] - cols[0]), matrix.dtype)
    top, left = tile.rows[0], tile.cols[0]
    read_block(recipe.hands, matrix, block, slice(top + rows[0], top + rows[1]), slice(left + cols[0], left + cols[1]))
    return torch.from_numpy(block)


def _bad_rows(recipe: Recipe, block: torch.Tensor, origin: tuple[int, int]) -> set[int]:
    """Rows of a block of C0 that hold NaN or infinity; raises NonFinite unless the job allows them."""
    found = bad_places(block, 0)
    if not (found and recipe.allow_nonfinite):
        assert recipe.add is not None
        raise input_error("C0", Operand(recipe.add, transposed=False), block, origin)
    return found
