"""One tile in parts of k, by several workers where there are fewer tiles than workers, and in short steps where it takes long.

    part 0 --\\
    part 1 ----> add up in their order, check, store        one Dask task for each; the sums go through files of the staging
    part 2 --/

A part that is done stays until the run ends: whatever dies, it is not computed again. A second attempt at a tile trusts no such
file.

Where memory runs out both halves go piece by piece (`tasks.narrow`). So does a tile on the diagonal of a symmetric product, as one part:
only half of each piece is multiplied, and the other half is in pieces that follow.
"""

from dataclasses import replace
from functools import partial
from math import inf

import torch

from storage import CorruptData, hold_of
from tasks.check import Sums, finest_step
from tasks.moment import now
from tasks.narrow import narrowed, pieces
from tasks.outcome import Measurement, Part, Share
from tasks.partial import Packing, PartLost, Rows, Wanted, add, is_kept, keep_rest, keep_rows
from tasks.pieces import in_memory, measured_together
from tasks.recipe import Recipe
from tasks.resident import peak_resident_bytes
from tasks.syrk import fill_upper
from tasks.tile import Work, conclude
from tasks.tile_record import this_worker
from tasks.turns import ONE_AT_A_TIME
from tasks.walk import Tile
from tasks.workspace import Lanes, release

MOST_LOST = 3
"""Times that a tile's parts may be found lost while they are added up."""


def compute_part(recipe: Recipe, tile: Tile, part: int, attempt: int = 0) -> Part:
    """Sum up a part of a tile's slabs; raises what `tasks.tile.compute_tile` raises for its inputs, TakenOver and DiskFull."""
    with ONE_AT_A_TIME:
        if attempt:
            release()
        elif is_kept(hold_of(recipe.staging), part_name(recipe, tile, part)):
            return Part()
        return in_memory(recipe, tile, partial(_summed, tile=tile, part=part))


def finish_tile(recipe: Recipe, tile: Tile, attempt: int, *parts: Part) -> Measurement:
    """Add up all parts of a tile, verify and store it: what `tasks.tile.compute_tile` returns, and raises."""
    with ONE_AT_A_TIME:
        if attempt:
            release()
        found = list(parts)
        least = narrowed(recipe, max((part.narrowed for part in found), default=0))
        measured = in_memory(least, tile, partial(_finished, tile=tile, attempt=attempt, found=found))
        read = sum(part.bytes_read for part in found)
        return replace(measured, bytes_read=read, shares=tuple(share for part in found for share in part.shares))


def by_way_of_files(recipe: Recipe, tile: Tile, attempt: int) -> Measurement:
    """A whole tile, its sums through files; the caller has the worker's buffers."""
    found = [part := _summed(recipe, tile, 0)]
    measured, (own,) = _finished(recipe, tile, attempt, found), part.shares
    lanes = {lane: seconds + own.lanes[lane] for lane, seconds in measured.lanes.items()}
    return replace(measured, started=own.started, lanes=lanes, bytes_read=sum(part.bytes_read for part in found))


def part_name(recipe: Recipe, tile: Tile, part: int) -> str:
    """The file of a part: of one tile in one arithmetic."""
    return f"{tile.index}-{recipe.rung}-{part}"


def _summed(recipe: Recipe, tile: Tile, part: int) -> Part:
    started, bytes_read, lanes, kept = now(), 0, Lanes().seconds, list[Rows]()
    hold, name, packing = hold_of(recipe.staging), part_name(recipe, tile, part), Packing(recipe.sums_codec, recipe.narrowed)
    for piece in pieces(recipe, tile):
        work = Work(recipe, piece)
        sums, _ = work.multiply(recipe.walk.part(tile, part, recipe.parts))
        kept.append(keep_rows(hold, name, sums, piece.rows[0] - tile.rows[0], packing))
        work.lanes.lap("write")
        bytes_read += sums.bytes_read
        lanes = {lane: seconds + work.lanes.seconds[lane] for lane, seconds in lanes.items()}
    keep_rest(hold, name, kept)
    return Part(bytes_read, (Share(this_worker(), started, now(), lanes, peak_resident_bytes()),), recipe.narrowed)


def _finished(recipe: Recipe, tile: Tile, attempt: int, found: list[Part]) -> Measurement:
    cut, finest = pieces(recipe, tile), inf
    if recipe.share and len(cut) > 1 and recipe.walk.is_diagonal(tile.row, tile.col):
        finest = min(_finest(recipe, tile, piece, found) for piece in cut)
    measured: list[Measurement] = []
    for piece in cut:
        started, work = now(), Work(recipe, piece)
        sums, probes = _added_up(work, tile, found)
        sums.finest = finest
        work.lanes.lap("multiply")
        measured.append(conclude(work, started, (sums, probes), attempt))
    return measured_together(recipe, measured)


def _finest(recipe: Recipe, tile: Tile, piece: Tile, found: list[Part]) -> float:
    """The smallest step to which storage may round these rows."""
    work = Work(recipe, piece)
    return finest_step(recipe, piece, *_added_up(work, tile, found), work.affected)


def _added_up(work: Work, tile: Tile, found: list[Part]) -> tuple[Sums, torch.Tensor]:
    """The sums of some rows over all parts of a tile, and its probes; what is lost is computed here, and added to what was found."""
    recipe, piece = work.recipe, work.tile
    names = [part_name(recipe, tile, part) for part in range(recipe.parts)]
    wanted = Wanted(piece.rows[0] - tile.rows[0], mirrored=work.diagonal and not work.twinned)
    for _ in range(MOST_LOST * recipe.parts):
        sums, probes = work.empty()
        try:
            add(hold_of(recipe.staging), names, sums, wanted)
        except PartLost as lost:
            found.append(_summed(recipe, tile, lost.part))
        else:
            if work.diagonal:
                fill_upper(sums.accumulator[:, wanted.first : wanted.first + len(sums.accumulator)])
            return sums, work.block(sums.blocked) if sums.blocked else probes
    raise CorruptData(f"the partial sums in {recipe.staging.folder} are lost as soon as they are written: check the file system")
