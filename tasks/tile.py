"""One tile of C, from stored inputs to stored chunks: the function that travels to the workers.

    for each k slab:   read A and B  ->  C += A B  ->  R += A (B G)
    then:              scale, add C0, round  ->  R -= C G  ->  accept or refuse  ->  encode, write aside, rename

A tile on the diagonal of a symmetric product takes its slabs of B from those of A and multiplies half (`tasks.syrk`); in pieces
of its rows it reads both.
A refused tile writes nothing. NaN and infinity in the inputs show in the verifier's own sums and end the run, unless the
job allows them: then the rows and columns that they reach stand outside the check.
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest

import torch

from tasks import probing
from tasks.check import Sums, check
from tasks.epilogue import store_tile
from tasks.errors import NonFinite
from tasks.moment import now
from tasks.narrow import pieces
from tasks.nonfinite import Affected, bad_places, input_error
from tasks.operands import Ends, ends_of
from tasks.outcome import Measurement
from tasks.pieces import in_memory, measured_together
from tasks.product import add_product
from tasks.pulse import Pulse
from tasks.recipe import Recipe
from tasks.resident import peak_resident_bytes
from tasks.sparsity import slabs_of
from tasks.syrk import add_symmetric_product, add_symmetric_rows, fill_upper
from tasks.tile_record import measurement
from tasks.turns import ONE_AT_A_TIME
from tasks.walk import Tile
from tasks.witness import has_changed, signs
from tasks.workspace import Lanes, Slab, release, workspace_for


class _ColumnsFound(Exception):
    """Columns of B with NaN or infinity came to light; their probes must be zero from the first slab on."""


def compute_tile(recipe: Recipe, tile: Tile, attempt: int = 0) -> Measurement:
    """Compute, verify and store one tile; a second attempt trusts no buffer of the first, and no tile those of a refused one.

    A product that is not finite is refused like a wrong one, and believed when it comes back.

    Raises NonFinite (unless allowed), CorruptData naming the input chunk, DiskFull, OutOfMemory.
    """
    with ONE_AT_A_TIME:
        if attempt:
            release()
        return in_memory(recipe, tile, partial(_in_pieces, tile=tile, attempt=attempt))


def _in_pieces(recipe: Recipe, tile: Tile, attempt: int) -> Measurement:
    cut = pieces(recipe, tile)
    if len(cut) > 1 and recipe.walk.is_diagonal(tile.row, tile.col):
        from tasks.parts import by_way_of_files  # noqa: PLC0415 - which is made of what is here

        return by_way_of_files(recipe, tile, attempt)
    return measured_together(recipe, [_compute(recipe, piece, attempt) for piece in cut])


def _compute(recipe: Recipe, tile: Tile, attempt: int) -> Measurement:
    started, work = now(), Work(recipe, tile)
    return conclude(work, started, work.multiply(recipe.walk.slabs(tile)), attempt)


@dataclass(frozen=True)
class Examined:
    """A tile that was computed and checked, and is not stored."""

    values: torch.Tensor
    """The finished accumulator: a view of the workspace's, until it is released."""
    measured: Measurement
    affected: Affected
    overflow: NonFinite | None
    """A value that its type cannot hold."""


def examine(recipe: Recipe, tile: Tile) -> Examined:
    """Compute and check one tile as its run would. The caller releases the workspace. Raises as `compute_tile` does."""
    started, work = now(), Work(recipe, tile)
    sums, probes = work.multiply(recipe.walk.slabs(tile))
    checked = check(recipe, tile, sums, probes, work.affected)
    return Examined(sums.accumulator, measurement(work, started, sums, checked), work.affected, checked.overflow)


def conclude(work: "Work", started: float, found: "tuple[Sums, torch.Tensor]", attempt: int) -> Measurement:
    """Verify and store the sums of a tile, with the probes that belong to them; `started` in seconds since the epoch."""
    recipe, tile, (sums, probes) = work.recipe, work.tile, found
    checked = check(recipe, tile, sums, probes, work.affected)
    if attempt and checked.overflow:
        raise checked.overflow
    measured = measurement(work, started, sums, checked)
    work.lanes.lap("verify")
    if not measured.accepted:
        release()
        return measured
    chunks = store_tile(recipe, tile, sums.accumulator, work.lanes)
    return replace(measured, chunks=chunks, finished=now(), peak_bytes=peak_resident_bytes())


class Work:
    """One tile in the making."""

    def __init__(self, recipe: Recipe, tile: Tile) -> None:
        self.recipe, self.tile = recipe, tile
        self.lanes = Lanes()
        self.space = workspace_for(recipe)
        self.affected = Affected()
        self.slabs = slabs_of(recipe, tile)
        self.diagonal = recipe.walk.is_diagonal(tile.row, tile.col)
        self.twinned = self.diagonal and tile.rows == tile.cols
        """Whether its panel of B is its panel of A, transposed."""
        self.bytes_read = 0
        """Of this tile, what was read before its probes had to change included."""

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
            sums.bytes_read, sums.blocked = self.bytes_read, set(self._blocked())
            return sums, probes

    def block(self, found: set[int]) -> torch.Tensor:
        """The probes, where sums that were made elsewhere say which columns are not probed; on the diagonal their rows have NaN as well."""
        blocked, first, last = self._blocked(), self.tile.rows[0] - self.tile.cols[0], self.tile.rows[1] - self.tile.cols[0]
        blocked |= found
        self.affected.cols |= blocked
        self.affected.rows |= {column - first for column in found if self.diagonal and first <= column < last}
        return self._draw()

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
            ends = self._ends(index)
            space.shelf_a.of_panel(tile.rows[0])
            space.shelf_b.of_panel(tile.col)
            a, bytes_a = space.shelf_a.take((tile.rows[0], index), recipe.a, tile.rows, span)
            b, bytes_b = (a.as_b, 0) if self.twinned else space.shelf_b.take((index, tile.col), recipe.b, span, tile.cols)
            self.bytes_read += bytes_a + bytes_b
            self._expect(following)
            self.lanes.lap("read")
            self._multiply(sums.accumulator, (a, b), ends, beta)
            beta = 1.0
            self._read_ahead(following)
            space.device.synchronize()
            self.lanes.lap("multiply")
            self._probe_b(b, probes, index)
            self._probe_a((a, b), sums, index, span)
            space.device.synchronize()
            self.lanes.lap("verify")
            pulse.beat(turn * len(slabs) / len(needed))
        if beta == 0.0:
            sums.accumulator.zero_()
        if self.twinned:
            fill_upper(sums.accumulator)
            self.lanes.lap("multiply")
        return sums

    def _ends(self, index: int) -> Ends | None:
        """Of the whole tile's lines of A in a slab, where this is a piece of it: what it is scaled with must not depend on how it is cut.

        The first piece reads the others for it.
        """
        recipe, tile, space, key = self.recipe, self.tile, self.space, (self.tile.row, index)
        whole = recipe.walk[tile.index]
        if whole.rows == tile.rows or not recipe.arithmetic.scales(recipe.a.dtype):
            return None
        if key not in space.ends:
            space.ends = {known: ends for known, ends in space.ends.items() if known[0] == tile.row}
            found: list[int] = []
            for piece in pieces(recipe, whole):
                space.shelf_a.of_panel(piece.rows[0])
                a, bytes_a = space.shelf_a.take((piece.rows[0], index), recipe.a, piece.rows, recipe.walk.slab(index))
                self.bytes_read += bytes_a
                found += ends_of(a.values, 0)
            space.ends[key] = (min(found), max(found)) if found else ()
        return space.ends[key]

    def _multiply(self, accumulator: torch.Tensor, slabs: tuple[Slab, Slab], ends: Ends | None, beta: float) -> None:
        space, (a, b) = self.space, slabs
        if self.twinned:
            add_symmetric_product(space.method, accumulator, space.prepared_a(a.values), beta)
        elif self.diagonal:
            first = self.tile.rows[0] - self.tile.cols[0]
            add_symmetric_rows(space.method, accumulator, space.prepared(a.values, b.values, ends), first, beta)
        else:
            add_product(space.method, accumulator, *space.prepared(a.values, b.values, ends), beta)

    def _expect(self, index: int | None) -> None:
        """Have the slabs fetched that come after these: the disk reads while the processor multiplies."""
        if index is not None:
            recipe, tile, span = self.recipe, self.tile, self.recipe.walk.slab(index)
            self.space.shelf_a.expect((tile.rows[0], index), recipe.a, tile.rows, span)
            if not self.twinned:
                self.space.shelf_b.expect((index, tile.col), recipe.b, span, tile.cols)

    def _read_ahead(self, index: int | None) -> None:
        """Where the device multiplies by itself, read the slabs that come after these; what it needs beyond that time is waited for."""
        if index is None or not self.space.reads_ahead:
            return
        recipe, tile, span = self.recipe, self.tile, self.recipe.walk.slab(index)
        self.lanes.lap("multiply")
        self.bytes_read += self.space.shelf_a.read_ahead((tile.rows[0], index), recipe.a, tile.rows, span)
        if not self.twinned:
            self.bytes_read += self.space.shelf_b.read_ahead((index, tile.col), recipe.b, span, tile.cols)
        self.lanes.lap("read")

    def _probe_b(self, b: Slab, probes: torch.Tensor, index: int) -> None:
        """B G and the norm of B, once for every slab that was read, or for the first time that it was."""
        key = index, self.tile.col
        if b.probed is None and key in self.space.probed:
            b.probed, b.square, b.norm = self.space.probed[key]
        if b.probed is not None:
            return
        blocked, span = self._blocked(), self.recipe.walk.slab(index)
        seen = probing.apply(b.values, probes, probing.Wanted(norms=True, clean=bool(blocked)))
        if blocked or not torch.isfinite(seen.row_squares).all():
            found = bad_places(b.values, 1)
            if not blocked and not (found and self.recipe.allow_nonfinite):
                raise input_error(self._name_of_b, self.recipe.b, b.values, (span[0], self.tile.cols[0]))
            if found - blocked:
                blocked |= found
                raise _ColumnsFound
        b.probed, b.square, b.norm = seen.product, float(seen.row_squares.sum()), seen.norm
        if self.space.keeps_probed:
            self.space.probed[key] = b.probed, b.square, b.norm

    @property
    def _name_of_b(self) -> str:
        """As in the product's formula: who multiplies a matrix with itself, or its transpose, gave A alone."""
        return "A" if self.recipe.b.matrix.path == self.recipe.a.matrix.path else "B"

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
        if a.row_squares is None:
            a.row_squares, a.norm = seen.row_squares, seen.norm
        a.witness = seen.product[:, -1].clone() if a.witness is None else a.witness
        sums.changed |= has_changed(a.witness, seen.product[:, -1], a.row_squares, depth)
        self.affected.rows |= a.bad_rows
        sums.residual += seen.product[:, :-1]
        sums.squares_a += a.row_squares
        sums.square_b += b.square
        owned_a, owned_b = (True, True) if self.slabs is None else (self.slabs.owned_a[index], self.slabs.owned_b[index])
        if self.slabs is not None:
            sums.owned_a += float(a.row_squares.sum()) if owned_a else 0.0
            sums.owned_b += b.square if owned_b else 0.0
        sums.count(a.norm if owned_a else 0.0, b.norm if owned_b else 0.0)
