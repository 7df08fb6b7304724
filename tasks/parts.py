"""One tile by several workers, where there are fewer tiles than workers: each sums up a part of k.

    part 0 --\\
    part 1 ----> added, FAN_IN at a time, in their order --> check, store        one Dask task for each box
    part 2 --/

A part that is done is kept in a file until the tile is finished: whatever dies, it is not computed again. A second attempt at a
tile trusts no such file.
"""

import time
from dataclasses import replace

from storage import hold_of
from tasks.outcome import Measurement, Share
from tasks.partial import Partial, add, gather, pack, partial_of, unpack
from tasks.recipe import Recipe
from tasks.resident import peak_resident_bytes
from tasks.tile import ONE_AT_A_TIME, Work, conclude, this_worker
from tasks.walk import Tile
from tasks.workspace import Lanes, release


def compute_part(recipe: Recipe, tile: Tile, part: int, attempt: int = 0) -> Partial:
    """Sum up a part of a tile's slabs; raises what `tasks.tile.compute_tile` raises for its inputs, and DiskFull."""
    with ONE_AT_A_TIME:
        hold, name = hold_of(recipe.staging), part_name(recipe, tile, part)
        if attempt:
            release()
        elif (kept := hold.read_sum(name)) is not None:
            return unpack(kept)
        started, work = time.time(), Work(recipe, tile)
        sums, _ = work.multiply(recipe.walk.part(tile, part, recipe.parts))
        partial = partial_of(sums)
        work.lanes.lap("multiply")
        hold.keep_sum(name, pack(partial))
        work.lanes.lap("write")
        return replace(partial, shares=(_share(started, work.lanes),))


def add_parts(*partials: Partial) -> Partial:
    """Add neighbours up, in their order."""
    started, lanes = time.time(), Lanes()
    whole = add(partials)
    lanes.lap("multiply")
    return replace(whole, shares=(*whole.shares, _share(started, lanes)))


def finish_tile(recipe: Recipe, tile: Tile, attempt: int, *partials: Partial) -> Measurement:
    """Add up all parts of a tile, verify and store it: what `tasks.tile.compute_tile` returns, and raises."""
    with ONE_AT_A_TIME:
        if attempt:
            release()
        started, work = time.time(), Work(recipe, tile)
        sums, probes = work.empty()
        gather(sums, partials)
        work.lanes.lap("multiply")
        shares = tuple(share for partial in partials for share in partial.shares)
        return replace(conclude(work, started, (sums, probes), attempt), shares=shares)


def part_name(recipe: Recipe, tile: Tile, part: int) -> str:
    """The file of a part: of one tile in one arithmetic."""
    return f"{tile.index}-{recipe.rung}-{part}"


def _share(started: float, lanes: Lanes) -> Share:
    return Share(this_worker(), started, time.time(), lanes.seconds, peak_resident_bytes())
