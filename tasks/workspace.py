"""A worker's buffers: allocated once a run, by the sizes that the plan counted, and used for every tile.

Slabs lie in numbered slots of equal size; `SlotTable` says which slab lies where, so that what the next tile needs and is
still there is not read again. With a slab go the verifier's by-products, which cost a pass over it: the row norms of A's
slabs, the probe products and the column panel's norm of B's.
"""

from dataclasses import dataclass, field
from time import perf_counter

import torch

from tasks import blas
from tasks.arithmetic import Arithmetic
from tasks.devices import DEVICES, Device, torch_dtype
from tasks.kernels import KERNELS
from tasks.lru import SlotTable
from tasks.memory import keeps_probed, strip_elements
from tasks.operands import Prepared, prepare
from tasks.plan import LANES
from tasks.product import Method
from tasks.recipe import Recipe
from tasks.resident import forget_peak, give_back_free_memory
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


class Shelf:
    """The slabs of one operand that are in memory."""

    def __init__(self, device: Device, slots: int, elements: int, dtype: torch.dtype) -> None:
        self._device, self._slots = device, slots
        self._table = SlotTable(slots)
        self._panel: int | None = None
        self._buffers = [device.empty(elements, dtype) for _ in range(slots)]
        self._slabs: dict[int, Slab] = {}

    def take(self, key: tuple[int, int], operand: Operand, rows: tuple[int, int], cols: tuple[int, int]) -> tuple[Slab, int]:
        """The slab op(X)[rows, cols], read if it is not here; also the bytes decoded (0 if it was)."""
        slot, present = self._table.place(key)
        if present:
            return self._slabs[slot], 0
        stored = operand.block_shape(rows[1] - rows[0], cols[1] - cols[0])
        target = self._buffers[slot][: stored[0] * stored[1]].view(stored)
        count = self._device.fill(target, lambda out: operand.read_into(out, slice(*rows), slice(*cols)))
        self._slabs[slot] = Slab(target.T if operand.transposed else target)
        return self._slabs[slot], count

    def expect(self, key: tuple[int, int], operand: Operand, rows: tuple[int, int], cols: tuple[int, int]) -> None:
        """Have op(X)[rows, cols] fetched while the processor multiplies, unless it is here."""
        if key not in self._table:
            operand.fetch_ahead(slice(*rows), slice(*cols))

    def of_panel(self, panel: int) -> None:
        """Keep slabs of this panel alone from now on: whether one is still here is then known beforehand, whatever was skipped."""
        if panel != self._panel:
            self._table, self._panel = SlotTable(self._slots), panel

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
        tile, row, types = recipe.tile, recipe.arithmetic, (recipe.a.dtype, recipe.b.dtype)
        self.device = DEVICES[recipe.device]
        self.owner = recipe.run_id, recipe.rung
        self.accumulator = self.device.empty(tile.rows * tile.cols, torch_dtype(row.accumulate))
        self.shelf_a = Shelf(self.device, recipe.slots[0], tile.rows * tile.depth, torch_dtype(recipe.a.dtype))
        self.shelf_b = Shelf(self.device, recipe.slots[1], tile.depth * tile.cols, torch_dtype(recipe.b.dtype))
        sizes = tile.rows * tile.depth, tile.depth * tile.cols
        self._slices = tuple(self._conversion(row, dtype, size) for dtype, size in zip(types, sizes, strict=True))
        strip = self.device.empty(strip_elements(row, types, tile), torch_dtype(row.block_output[recipe.device]))
        self.method = Method(row, KERNELS[recipe.arithmetic_name, recipe.device, recipe.kernel], strip)
        self.probed: dict[tuple[int, int], tuple[torch.Tensor, float]] = {}
        """B G and the squared norm by slab and tile column, where there is room."""
        self.keeps_probed = keeps_probed(recipe.walk.shape[1], recipe.walk.grid[1], recipe.probes)
        self.blocked_columns: dict[int, set[int]] = {}
        """Columns of C by tile column that NaN or infinity in B reaches."""

    def forget_probes(self) -> None:
        """Drop what is known of B: the probes have changed."""
        self.shelf_a.forget_probes()
        self.shelf_b.forget_probes()
        self.probed.clear()

    def tile_accumulator(self, rows: int, cols: int) -> torch.Tensor:
        """A rows x cols accumulator; what it holds is left from another tile."""
        return self.accumulator[: rows * cols].view(rows, cols)

    def prepared(self, a: torch.Tensor, b: torch.Tensor) -> tuple[Prepared, Prepared]:
        """Slabs of op(A) and op(B) in the arithmetic's type: themselves, or slices in buffers of their own."""
        return self.prepared_a(a), prepare(self.method.row, b, 1, self._slices[1])

    def prepared_a(self, a: torch.Tensor) -> Prepared:
        """The slab of op(A) alone."""
        return prepare(self.method.row, a, 0, self._slices[0])

    def _conversion(self, row: Arithmetic, source: str, elements: int) -> tuple[torch.Tensor, ...]:
        count = row.slices if row.converts(source) else 0
        return tuple(self.device.empty(elements, torch_dtype(row.stored_as)) for _ in range(count))


class _Held:
    """The workspace of this process."""

    workspace: Workspace | None = None


def workspace_for(recipe: Recipe) -> Workspace:
    """This process's workspace for the run; that of an earlier run is freed first."""
    if _Held.workspace is None or _Held.workspace.owner != (recipe.run_id, recipe.rung):
        release()
        forget_peak()
        _Held.workspace = Workspace(recipe)
    return _Held.workspace


def release() -> None:
    """Free this process's workspace, and give the heap's free pages back to the system."""
    _Held.workspace = None
    give_back_free_memory()
