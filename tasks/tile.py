"""One tile of C, from stored inputs to stored chunks: the function that travels to the workers.

    for each k slab:   read A and B  ->  C += A B  ->  R += A (B G)
    then:              scale, add C0, round  ->  R -= C G  ->  accept or refuse  ->  encode, write aside, rename

A tile on the diagonal of a symmetric product takes its slabs of B from those of A and multiplies half (`tasks.syrk`).
A refused tile writes nothing. NaN and infinity in the inputs show in the verifier's own sums and end the run, unless the
job allows them: then the rows and columns that they reach stand outside the check.
"""

import os
import time
from dataclasses import replace
from itertools import zip_longest
from threading import Lock

import numpy as np
import torch
from distributed import get_worker

from tasks import probing
from tasks.check import Checked, Sums, check
from tasks.epilogue import store_tile
from tasks.mirror import written_elements
from tasks.nonfinite import Affected, bad_places, input_error
from tasks.outcome import Measurement
from tasks.product import add_product
from tasks.proof import tile_bound
from tasks.pulse import Pulse
from tasks.recipe import Recipe
from tasks.resident import peak_resident_bytes
from tasks.sparsity import slabs_of
from tasks.syrk import add_symmetric_product, fill_upper
from tasks.walk import Tile
from tasks.witness import has_changed, signs
from tasks.workspace import Lanes, Slab, release, workspace_for

ONE_AT_A_TIME = Lock()
"""A process has one set of buffers, so workers that somebody started with several threads take turns."""


class _ColumnsFound(Exception):
    """Columns of B with NaN or infinity came to light; their probes must be zero from the first slab on."""


def compute_tile(recipe: Recipe, tile: Tile, attempt: int = 0) -> Measurement:
    """Compute, verify and store one tile; a second attempt trusts no buffer of the first, and no tile those of a refused one.

    A product that is not finite is refused like a wrong one, and believed when it comes back.

    Raises NonFinite (unless allowed), CorruptData naming the input chunk, DiskFull.
    """
    with ONE_AT_A_TIME:
        if attempt:
            release()
        started, work = time.time(), Work(recipe, tile)
        return conclude(work, started, work.multiply(recipe.walk.slabs(tile)), attempt)


def conclude(work: "Work", started: float, found: "tuple[Sums, torch.Tensor]", attempt: int) -> Measurement:
    """Verify and store the sums of a tile, with the probes that belong to them; `started` in seconds since the epoch."""
    recipe, tile, (sums, probes) = work.recipe, work.tile, found
    checked = check(recipe, tile, sums, probes, work.affected)
    if attempt and checked.overflow:
        raise checked.overflow
    measured = _measurement(work, started, sums, checked)
    work.lanes.lap("verify")
    if not measured.accepted:
        release()
        return measured
    chunks = store_tile(recipe, tile, sums.accumulator, work.lanes)
    return replace(measured, chunks=chunks, finished=time.time(), peak_bytes=peak_resident_bytes())


class Work:
    """One tile in the making."""

    def __init__(self, recipe: Recipe, tile: Tile) -> None:
        self.recipe, self.tile = recipe, tile
        self.lanes = Lanes()
        self.space = workspace_for(recipe)
        self.affected = Affected()
        self.slabs = slabs_of(recipe, tile)
        self.diagonal = recipe.walk.is_diagonal(tile.row, tile.col)

    def multiply(self, slabs: list[int]) -> tuple[Sums, torch.Tensor]:
        """The sums over these slabs, and the probes that belong to them."""
        while True:
            try:
                probes = self._draw()
                sums = self._sum_up(probes, slabs)
            except _ColumnsFound:
                self.space.forget_probes()
                continue
            self.affected.cols |= self._blocked()
            return sums, probes

    def _blocked(self) -> set[int]:
        return self.space.blocked_columns.setdefault(self.tile.col, set())

    def _draw(self) -> torch.Tensor:
        recipe, tile = self.recipe, self.tile
        probes = probing.draw(recipe.seed, tile.col, tile.cols[1] - tile.cols[0], recipe.probes)
        probes[sorted(self._blocked())] = 0
        return probes.to(self.space.accumulator.device)

    def empty(self) -> tuple[Sums, torch.Tensor]:
        """Sums over nothing, in an accumulator that holds what another tile left, and the tile's probes."""
        probes, rows = self._draw(), self.tile.rows
        return Sums.zero(self.space.tile_accumulator(rows[1] - rows[0], len(probes)), self.recipe.probes), probes

    def _sum_up(self, probes: torch.Tensor, slabs: list[int]) -> Sums:
        recipe, tile, space = self.recipe, self.tile, self.space
        sums = Sums.zero(space.tile_accumulator(tile.rows[1] - tile.rows[0], len(probes)), recipe.probes)
        self.lanes.lap("multiply")
        beta, needed = 0.0, [index for index in slabs if self.slabs is None or self.slabs.needed[index]]
        pulse = Pulse(recipe.run_id, tile.index, (slabs[0], recipe.walk.grid[2]))
        for turn, (index, following) in enumerate(zip_longest(needed, needed[1:]), 1):
            span = recipe.walk.slab(index)
            space.shelf_a.of_panel(tile.row)
            space.shelf_b.of_panel(tile.col)
            a, bytes_a = space.shelf_a.take((tile.row, index), recipe.a, tile.rows, span)
            b, bytes_b = (a.as_b, 0) if self.diagonal else space.shelf_b.take((index, tile.col), recipe.b, span, tile.cols)
            sums.bytes_read += bytes_a + bytes_b
            self._expect(following)
            self.lanes.lap("read")
            if self.diagonal:
                add_symmetric_product(space.method, sums.accumulator, space.prepared_a(a.values), beta)
            else:
                add_product(space.method, sums.accumulator, *space.prepared(a.values, b.values), beta)
            beta = 1.0
            space.device.synchronize()
            self.lanes.lap("multiply")
            self._probe_b(b, probes, index)
            self._probe_a((a, b), sums, index, span)
            space.device.synchronize()
            self.lanes.lap("verify")
            pulse.beat(turn * len(slabs) / len(needed))
        if beta == 0.0:
            sums.accumulator.zero_()
        if self.diagonal:
            fill_upper(sums.accumulator)
            self.lanes.lap("multiply")
        return sums

    def _expect(self, index: int | None) -> None:
        """Have the slabs fetched that come after these: the disk reads while the processor multiplies."""
        if index is not None:
            recipe, tile, span = self.recipe, self.tile, self.recipe.walk.slab(index)
            self.space.shelf_a.expect((tile.row, index), recipe.a, tile.rows, span)
            if not self.diagonal:
                self.space.shelf_b.expect((index, tile.col), recipe.b, span, tile.cols)

    def _probe_b(self, b: Slab, probes: torch.Tensor, index: int) -> None:
        """B G and the norm of B, once for every slab that was read, or for the first time that it was."""
        key = index, self.tile.col
        if b.probed is None and key in self.space.probed:
            b.probed, b.square = self.space.probed[key]
        if b.probed is not None:
            return
        blocked, span = self._blocked(), self.recipe.walk.slab(index)
        seen = probing.apply(b.values, probes, probing.Wanted(norms=True, clean=bool(blocked)))
        if blocked or not torch.isfinite(seen.row_squares).all():
            found = bad_places(b.values, 1)
            if not blocked and not (found and self.recipe.allow_nonfinite):
                raise input_error("B", self.recipe.b, b.values, (span[0], self.tile.cols[0]))
            if found - blocked:
                blocked |= found
                raise _ColumnsFound
        b.probed, b.square = seen.product, float(seen.row_squares.sum())
        if self.space.keeps_probed:
            self.space.probed[key] = b.probed, b.square

    def _probe_a(self, slabs: tuple[Slab, Slab], sums: Sums, index: int, span: tuple[int, int]) -> None:
        """Add A (B G) to the residual; the row norms of A once for every slab that was read, and whether it is still the same."""
        a, b = slabs
        depth = span[1] - span[0]
        vectors = torch.cat([b.probe_product, signs(self.recipe.seed, index, depth, b.probe_product.device)], dim=1)
        seen = probing.apply(a.values, vectors, probing.Wanted(norms=a.row_squares is None, clean=bool(a.bad_rows)))
        if a.row_squares is None and not torch.isfinite(seen.row_squares).all():
            a.bad_rows = bad_places(a.values, 0)
            if not (a.bad_rows and self.recipe.allow_nonfinite):
                raise input_error("A", self.recipe.a, a.values, (self.tile.rows[0], span[0]))
            seen = probing.apply(a.values, vectors, probing.Wanted(norms=True, clean=True))
        a.row_squares = seen.row_squares if a.row_squares is None else a.row_squares
        a.witness = seen.product[:, -1].clone() if a.witness is None else a.witness
        sums.changed |= has_changed(a.witness, seen.product[:, -1], a.row_squares, depth)
        self.affected.rows |= a.bad_rows
        sums.residual += seen.product[:, :-1]
        sums.squares_a += a.row_squares
        sums.square_b += b.square
        if self.slabs is not None:
            sums.owned_a += float(a.row_squares.sum()) if self.slabs.owned_a[index] else 0.0
            sums.owned_b += b.square if self.slabs.owned_b[index] else 0.0


def _measurement(work: Work, started: float, sums: Sums, checked: Checked) -> Measurement:
    """What is known before anything is stored."""
    tile, recipe = work.tile, work.recipe
    error = _error(recipe, sums, checked)
    return Measurement(
        index=tile.index,
        row=tile.row,
        col=tile.col,
        worker=this_worker(),
        started=started,
        finished=time.time(),
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
        copies=recipe.walk.copies(tile.row, tile.col),
    )


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
