"""A worker's buffers: allocated once a run, by the sizes that the plan counted, and used for every tile.

Slabs lie in numbered slots of equal size; `SlotTable` says which slab lies where, so that what the next tile needs and is
still there is not read again. With a slab go the verifier's by-products, which cost a pass over it: the row norms of A's
slabs, the probe products and the column panel's norm of B's.
"""

from dataclasses import dataclass, field, replace
from time import perf_counter

import torch

from tasks import blas
from tasks.arithmetic import Arithmetic
from tasks.devices import DEVICES, Device, torch_dtype
from tasks.kernels import KERNELS
from tasks.lru import SlotTable
from tasks.memory import keeps_probed, spare_slabs, strip_elements
from tasks.operands import Ends, Prepared, prepare
from tasks.plan import LANES
from tasks.product import Method
from tasks.recipe import Recipe
from tasks.resident import forget_peak
from tasks.survey import Operand


@dataclass
class Lanes:
    """A stopwatch with one dial a lane."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(LANES, 0.0))
    _since: float = field(default_factory=perf_counter)

    def lap(self, lane: str) -> None:
        """Book the time since the last lap on `lane`."""
        now = perf_counter()
        self.seconds[lane] += now - self._since
        self._since = now

    def book(self, parts: dict[str, float], rest: str) -> None:
        """Book known parts of the time since the last lap on their lanes, and what is left of it on `rest`."""
        for lane, seconds in parts.items():
            self.seconds[lane] += seconds
        self._since += sum(parts.values())
        self.lap(rest)


@dataclass
class Slab:
    """One decoded block of op(A) or op(B), and what has been computed from it."""

    values: torch.Tensor
    """op-oriented view of the slot's buffer."""
    row_squares: torch.Tensor | None = None
    """Squared norms of its rows (A)."""
    witness: torch.Tensor | None = None
    """Its row sums with random signs when it was read (A)."""
    square: float = 0.0
    """Squared Frobenius norm (B), once probed."""
    norm: float = 0.0
    """Frobenius norm, once probed."""
    probed: torch.Tensor | None = None
    """slab @ G of its tile column (B)."""
    bad_rows: set[int] = field(default_factory=set)
    """Rows with NaN or infinity (A)."""
    twin: "Slab | None" = None
    """The same block as one of op(B), transposed, on the diagonal of a symmetric product."""

    @property
    def as_b(self) -> "Slab":
        """`twin`, made when it is first asked for."""
        self.twin = self.twin or Slab(self.values.T)
        return self.twin

    @property
    def probe_product(self) -> torch.Tensor:
        """`probed`, which must be there."""
        assert self.probed is not None
        return self.probed


Key = tuple[int, int]
"""Of a slab: its tile row or column, and its place along k."""
Span = tuple[int, int]


class Shelf:
    """The slabs of one operand that are in memory: in slots, and one more in a spare buffer where the device has one."""

    def __init__(self, device: Device, buffers: tuple[int, int], elements: int, dtype: torch.dtype, hands: int) -> None:
        """`buffers`: how many slots, and how many to spare (0 or 1), each of so many elements; `hands` threads read."""
        (self._slots, spares), self._hands = buffers, hands
        self._table = SlotTable(self._slots)
        self._panel: int | None = None
        self._buffers = [device.empty(elements, dtype) for _ in range(self._slots)]
        self._spare = device.empty(elements, dtype) if spares else None
        self._loader = device.loader(elements * dtype.itemsize)
        self._slabs: dict[int, Slab] = {}
        self._ahead: dict[Key, Slab] = {}
        """The slab that is in the spare buffer, or on its way there."""

    def take(self, key: Key, operand: Operand, rows: Span, cols: Span) -> tuple[Slab, int]:
        """The slab op(X)[rows, cols], read if it is not here; also the bytes decoded now."""
        slot, present = self._table.place(key)
        if present:
            return self._slabs[slot], 0
        count = 0
        if self._spare is not None and key in self._ahead:
            self._buffers[slot], self._spare = self._spare, self._buffers[slot]
            self._slabs[slot] = self._ahead[key]
        else:
            self._slabs[slot], count = self._read_into_slot(slot, operand, rows, cols)
        self._ahead.clear()
        self._loader.wait()
        return self._slabs[slot], count

    def expect(self, key: Key, operand: Operand, rows: Span, cols: Span) -> None:
        """Have op(X)[rows, cols] fetched while the processor multiplies, unless it is here."""
        if key not in self._table:
            operand.fetch_ahead(slice(*rows), slice(*cols))

    def read_ahead(self, key: Key, operand: Operand, rows: Span, cols: Span) -> int:
        """Read op(X)[rows, cols] into the spare buffer while the device multiplies, unless it is here; the bytes decoded."""
        if self._spare is None or key in self._table:
            return 0
        self._ahead.clear()
        self._ahead[key], count = self._read(self._spare, operand, rows, cols)
        return count

    def _read_into_slot(self, slot: int, operand: Operand, rows: Span, cols: Span) -> tuple[Slab, int]:
        try:
            return self._read(self._buffers[slot], operand, rows, cols)
        except BaseException:
            self._table = SlotTable(self._slots)  # it has the slab here, and the next tile would take the one before it
            raise

    def _read(self, buffer: torch.Tensor, operand: Operand, rows: Span, cols: Span) -> tuple[Slab, int]:
        stored = operand.block_shape(rows[1] - rows[0], cols[1] - cols[0])
        target = buffer[: stored[0] * stored[1]].view(stored)
        count = self._loader.fill(target, lambda out: operand.read_into(out, slice(*rows), slice(*cols), self._hands))
        return Slab(target.T if operand.transposed else target), count

    def of_panel(self, panel: int) -> None:
        """Keep slabs of this panel alone from now on: whether one is still here is then known beforehand, whatever was skipped."""
        if panel != self._panel:
            self._table, self._panel = SlotTable(self._slots), panel

    def close(self) -> None:
        """Nothing is read any more."""
        self._loader.close()

    def forget_probes(self) -> None:
        """Drop the probe products of all slabs: their probes have changed."""
        for slab in self._slabs.values():
            slab.probed = slab.twin = None


class Workspace:
    """Everything a worker allocates for a run."""

    def __init__(self, recipe: Recipe) -> None:
        torch.set_num_threads(recipe.threads)
        if recipe.kernel == "scipy":
            blas.limit_threads(recipe.threads)
        tile, row, types = replace(recipe.tile, rows=recipe.rows), recipe.arithmetic, (recipe.a.dtype, recipe.b.dtype)
        self.device = DEVICES[recipe.device]
        self.owner = owner_of(recipe)
        self.accumulator = self.device.empty(tile.rows * tile.cols, torch_dtype(row.accumulate))
        spares, hands = 0 if recipe.narrowed else spare_slabs(recipe.device, recipe.walk.grid[2]), recipe.hands
        self.reads_ahead = spares > 0
        self.shelf_a = Shelf(self.device, (recipe.slots[0], spares), tile.rows * tile.depth, torch_dtype(recipe.a.dtype), hands)
        self.shelf_b = Shelf(self.device, (recipe.slots[1], spares), tile.depth * tile.cols, torch_dtype(recipe.b.dtype), hands)
        sizes = tile.rows * tile.depth, tile.depth * tile.cols
        self._slices = tuple(self._conversion(row, dtype, size) for dtype, size in zip(types, sizes, strict=True))
        strip = self.device.empty(strip_elements(row, types, tile), torch_dtype(row.block_output[recipe.device]))
        self.method = Method(row, KERNELS[recipe.arithmetic_name, recipe.device, recipe.kernel], strip)
        self.probed: dict[tuple[int, int], tuple[torch.Tensor, float, float]] = {}
        """B G, the squared norm and the norm by slab and tile column, where there is room."""
        self.keeps_probed = keeps_probed(recipe.walk.shape[1], recipe.walk.grid[1], recipe.probes)
        self.blocked_columns: dict[int, set[int]] = {}
        """Columns of C by tile column that NaN or infinity in B reaches."""
        self.ends: dict[tuple[int, int], Ends] = {}
        """Of A's lines in a whole tile, by tile row and slab, where tiles are computed in pieces: of one tile row."""

    def forget_probes(self) -> None:
        """Drop what is known of B: the probes have changed."""
        self.shelf_a.forget_probes()
        self.shelf_b.forget_probes()
        self.probed.clear()

    def close(self) -> None:
        """Give back what does not go by itself, once nothing is computed on it: a tile that ran out of memory left half a product."""
        self.device.synchronize()
        self.shelf_a.close()
        self.shelf_b.close()

    def tile_accumulator(self, rows: int, cols: int) -> torch.Tensor:
        """A rows x cols accumulator; what it holds is left from another tile."""
        return self.accumulator[: rows * cols].view(rows, cols)

    def prepared(self, a: torch.Tensor, b: torch.Tensor, ends: Ends | None = None) -> tuple[Prepared, Prepared]:
        """Slabs of op(A) and op(B) in the arithmetic's type: themselves, or slices in buffers of their own.

        `ends` are those of the whole tile's lines of A, where these are some of them.
        """
        return self.prepared_a(a, ends), prepare(self.method.row, b, 1, self._slices[1])

    def prepared_a(self, a: torch.Tensor, ends: Ends | None = None) -> Prepared:
        """The slab of op(A) alone."""
        return prepare(self.method.row, a, 0, self._slices[0], ends)

    def _conversion(self, row: Arithmetic, source: str, elements: int) -> tuple[torch.Tensor, ...]:
        count = row.slices if row.converts(source) else 0
        return tuple(self.device.empty(elements, torch_dtype(row.stored_as)) for _ in range(count))


def owner_of(recipe: Recipe) -> tuple[str, int, tuple[int, int], int]:
    """Whose buffers they are: of another arithmetic, or in less memory, they have other sizes."""
    return recipe.run_id, recipe.rung, recipe.slots, recipe.rows


class _Held:
    """The workspace of this process."""

    workspace: Workspace | None = None


def workspace_for(recipe: Recipe) -> Workspace:
    """This process's workspace for the run; that of an earlier run is freed first."""
    if _Held.workspace is None or _Held.workspace.owner != owner_of(recipe):
        release()
        forget_peak()
        _Held.workspace = Workspace(recipe)
    return _Held.workspace


def release() -> None:
    """Free this process's workspace, and give what is free back to the system, or to who else uses the device."""
    held, _Held.workspace = _Held.workspace, None
    device = DEVICES["cpu"] if held is None else held.device
    if held is not None:
        held.close()
    del held  # before what it had is given back
    device.give_back()
