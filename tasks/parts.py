"""One tile in parts of k, by several workers where there are fewer tiles than workers, and in short steps where it takes long.

    part 0 --\\
    part 1 ----> add up in their order, check, store        one Dask task for each; the sums go through files of the staging
    part 2 --/

A part that is done stays until the run ends: whatever dies, it is not computed again. A second attempt at a tile trusts no such
file.
"""

import time
from dataclasses import replace

import torch

from storage import CorruptData, hold_of
from tasks.check import Sums
from tasks.outcome import Measurement, Part, Share
from tasks.partial import PartLost, add, is_kept, keep
from tasks.recipe import Recipe
from tasks.resident import peak_resident_bytes
from tasks.tile import ONE_AT_A_TIME, Work, conclude, this_worker
from tasks.walk import Tile
from tasks.workspace import release

MOST_LOST = 3
"""Times that a tile's parts may be found lost while they are added up."""


def compute_part(recipe: Recipe, tile: Tile, part: int, attempt: int = 0) -> Part:
    """Sum up a part of a tile's slabs; raises what `tasks.tile.compute_tile` raises for its inputs, TakenOver and DiskFull."""
    with ONE_AT_A_TIME:
        if attempt:
            release()
        elif is_kept(hold_of(recipe.staging), part_name(recipe, tile, part)):
            return Part()
        return _computed(recipe, tile, part)


def finish_tile(recipe: Recipe, tile: Tile, attempt: int, *parts: Part) -> Measurement:
    """Add up all parts of a tile, verify and store it: what `tasks.tile.compute_tile` returns, and raises."""
    with ONE_AT_A_TIME:
        if attempt:
            release()
        started, work, found = time.time(), Work(recipe, tile), list(parts)
        sums, probes = _added_up(work, found)
        sums.bytes_read = sum(part.bytes_read for part in found)
        work.lanes.lap("multiply")
        measured = conclude(work, started, (sums, probes), attempt)
        return replace(measured, shares=tuple(share for part in found for share in part.shares))


def part_name(recipe: Recipe, tile: Tile, part: int) -> str:
    """The file of a part: of one tile in one arithmetic."""
    return f"{tile.index}-{recipe.rung}-{part}"


def _computed(recipe: Recipe, tile: Tile, part: int) -> Part:
    started, work = time.time(), Work(recipe, tile)
    sums, _ = work.multiply(recipe.walk.part(tile, part, recipe.parts))
    keep(hold_of(recipe.staging), part_name(recipe, tile, part), sums)
    work.lanes.lap("write")
    share = Share(this_worker(), started, time.time(), work.lanes.seconds, peak_resident_bytes())
    return Part(sums.bytes_read, (share,))


def _added_up(work: Work, found: list[Part]) -> tuple[Sums, torch.Tensor]:
    """The sums over all parts, and the tile's probes; what is lost is computed here, and added to what was found."""
    recipe, tile = work.recipe, work.tile
    names = [part_name(recipe, tile, part) for part in range(recipe.parts)]
    for _ in range(MOST_LOST * recipe.parts):
        sums, probes = work.empty()
        try:
            add(hold_of(recipe.staging), names, sums)
        except PartLost as lost:
            found.append(_computed(recipe, tile, lost.part))
        else:
            return sums, probes
    raise CorruptData(f"the partial sums in {recipe.staging.folder} are lost as soon as they are written: check the file system")
