"""What a walk reads where parts are not stored: each tile's slabs, and which of them the tile before has left in memory; exact.

stretch     tiles in a row of one worker that share a panel and read anything at all
kept        a whole panel is in memory: each slab that any tile of the stretch needs is read once
not kept    one slab is: it is read again unless the tile before it ended with the same one
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tasks.candidate import Candidate
from tasks.sparsity import Flags
from tasks.survey import Problem
from tasks.work import blocks_of, stored_of

MOST_PAIRS = 8_000_000
"""Slabs of all tiles that are looked at one by one; of more, what is read is estimated."""


class Read(NamedTuple):
    """Decoded bytes of A and of B."""

    a: int
    b: int


class _Tiles(NamedTuple):
    """The tiles that read anything, in the order of the walk."""

    panels: NDArray[np.int64]
    """Tile rows, or columns."""
    runs: NDArray[np.int64]
    """Whose they are."""
    backwards: Flags
    needed: Flags
    """By tile and slab."""


def sparse_reads(problem: Problem, way: Candidate) -> Read | None:
    """What the whole walk reads if each worker keeps to its run; None where all is stored, or there is too much to count."""
    sparsity = stored_of(problem)
    if sparsity is None or way.tiles * way.grid[2] > MOST_PAIRS:
        return None
    slabs = sparsity.slab_edges(way.tile.depth)
    (held_a, bytes_a), (held_b, bytes_b) = (
        blocks_of(problem.a, sparsity.row_edges(way.tile.rows), slabs),
        blocks_of(problem.b, slabs, sparsity.col_edges(way.tile.cols)),
    )
    index = np.arange(way.tiles)
    rows, cols = way.walk.places(index)
    every = np.ones((way.tiles, way.grid[2]), np.bool_)
    needed = sparsity.rule.needed(held_a[rows], held_b.T[cols]) if problem.sparse else every
    live = needed.any(axis=1)
    owner = np.arange(way.tiles) if way.parts > 1 else _owners(way)  # parts of tiles find nothing in memory
    of_a, of_b = (
        _Tiles(panels[reads], owner[reads], index[reads] % 2 == 1, needed[reads])
        for panels, reads in ((rows, live), (cols, live & way.walk.takes_b(rows, cols)))
    )
    return Read(_read(of_a, bytes_a, way.kept[0]), _read(of_b, bytes_b.T, way.kept[1]))


def _owners(way: Candidate) -> NDArray[np.int64]:
    """Whose run each tile is in."""
    return np.repeat(np.arange(way.workers), [len(run) for run in way.walk.runs(way.workers)])


def _read(tiles: _Tiles, nbytes: NDArray[np.int64], kept: bool) -> int:
    """Bytes of one operand, its panels along the first axis of `nbytes`."""
    if not len(tiles.panels):
        return 0
    same = (tiles.panels[1:] == tiles.panels[:-1]) & (tiles.runs[1:] == tiles.runs[:-1])
    if kept:
        starts = np.flatnonzero(np.append(True, ~same))
        return int((nbytes[tiles.panels[starts]] * np.logical_or.reduceat(tiles.needed, starts, axis=0)).sum())
    first, last = _ends(tiles)
    stays = np.append(False, same & (first[1:] == last[:-1]))
    return int((nbytes[tiles.panels] * tiles.needed).sum() - nbytes[tiles.panels[stays], first[stays]].sum())


def _ends(tiles: _Tiles) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and the last slab that each tile needs, in its own direction."""
    lowest = tiles.needed.argmax(axis=1)
    highest = tiles.needed.shape[1] - 1 - tiles.needed[:, ::-1].argmax(axis=1)
    return np.where(tiles.backwards, highest, lowest), np.where(tiles.backwards, lowest, highest)
