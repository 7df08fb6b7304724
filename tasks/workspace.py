"""A worker's buffers: allocated once a run, by the sizes that the plan counted, and used for every tile.

Slabs lie in numbered slots of equal size; `SlotTable` says which slab lies where, so that what the next tile needs and is
still there is not read again. With a slab go the verifier's by-products, which cost a pass over it: the row norms of A's
slabs, the probe products and the column panel's norm of B's.
"""

from dataclasses import dataclass, field
from time import perf_counter

import torch

from tasks import blas
from tasks.devices import DEVICES, Device, torch_dtype
from tasks.lru import SlotTable
from tasks.plan import LANES
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

    @property
    def probe_product(self) -> torch.Tensor:
        """`probed`, which must be there."""
        assert self.probed is not None
        return self.probed


class Shelf:
    """The slabs of one operand that are in memory."""

    def __init__(self, device: Device, slots: int, elements: int, dtype: torch.dtype) -> None:
        self._device = device
        self._table = SlotTable(slots)
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

    def forget_probes(self) -> None:
        """Drop the probe products of all slabs: their probes have changed."""
        for slab in self._slabs.values():
            slab.probed = None


class Workspace:
    """Everything a worker allocates for a run."""

    def __init__(self, recipe: Recipe) -> None:
        torch.set_num_threads(recipe.threads)
        if recipe.kernel == "scipy":
            blas.limit_threads(recipe.threads)
        tile, row = recipe.tile, recipe.arithmetic
        self.device = DEVICES[recipe.device]
        self.run_id = recipe.run_id
        self.accumulator = self.device.empty(tile.rows * tile.cols, torch_dtype(row.accumulate))
        self.shelf_a = Shelf(self.device, recipe.slots[0], tile.rows * tile.depth, torch_dtype(recipe.a.dtype))
        self.shelf_b = Shelf(self.device, recipe.slots[1], tile.depth * tile.cols, torch_dtype(recipe.b.dtype))
        self._converted = {
            "A": self._conversion(recipe.a.dtype, row.compute, tile.rows * tile.depth),
            "B": self._conversion(recipe.b.dtype, row.compute, tile.depth * tile.cols),
        }
        self.blocked_columns: dict[int, set[int]] = {}
        """Columns of C by tile column that NaN or infinity in B reaches."""

    def tile_accumulator(self, rows: int, cols: int) -> torch.Tensor:
        """A rows x cols accumulator; what it holds is left from another tile."""
        return self.accumulator[: rows * cols].view(rows, cols)

    def converted(self, which: str, values: torch.Tensor) -> torch.Tensor:
        """`values` in the arithmetic's type: themselves, or a copy in the conversion buffer with the same stored order."""
        buffer = self._converted[which]
        if buffer is None:
            return values
        transposed = values.stride(1) != 1
        stored = values.T if transposed else values
        copy = buffer[: values.numel()].view(stored.shape).copy_(stored)
        return copy.T if transposed else copy

    def _conversion(self, stored: str, compute: str, elements: int) -> torch.Tensor | None:
        return None if stored == compute else self.device.empty(elements, torch_dtype(compute))


class _Held:
    """The workspace of this process."""

    workspace: Workspace | None = None


def workspace_for(recipe: Recipe) -> Workspace:
    """This process's workspace for the run; that of an earlier run is freed first."""
    if _Held.workspace is None or _Held.workspace.run_id != recipe.run_id:
        release()
        forget_peak()
        _Held.workspace = Workspace(recipe)
    return _Held.workspace


def release() -> None:
    """Free this process's workspace, and give the heap's free pages back to the system."""
    _Held.workspace = None
    give_back_free_memory()
