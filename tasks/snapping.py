"""Round the rows of a finished tile to multiples of a power of two, in place, and measure what that changed.

    x  -->  x / step  -->  nearest integer (ties to even)  -->  times step      exact in any binary type, a block at a time

Every result is a number of the stored type: where a step is finer than the type, values are multiples already and stay; where
it is coarser, its multiples need fewer bits than the value had. Only the largest values could leave the range of the type, or of
the accumulator, and those stay as they are, as NaN (payload and all), infinity and the sign of zero do. So no value moves by more
than half a step, and rounding twice is rounding once. `tasks.rounding` says which steps are allowed.
"""

from dataclasses import dataclass
from math import hypot, sqrt

import torch

from tasks.devices import torch_dtype
from tasks.memory import PROBE_BLOCK
from tasks.probes import LEAST_NORM
from tasks.rounding import COARSEST

BLOCK = PROBE_BLOCK // 4
"""Elements at a time: its two temporaries take no more than the verifier's block, which is not in use then."""

EXTREME_STEP = {torch.float32: 100, torch.float64: 1000}
"""Steps are 2**-this to 2**this: they and their inverses are normal numbers of the accumulator's type, with room to spare."""


@dataclass(frozen=True)
class Snapped:
    """What rounding did to a tile."""

    row_errors: torch.Tensor
    """Euclidean norm of each row's change, float64 [rows]."""
    exponent: int | None = None
    """The largest step was 2**exponent; None where no row was rounded."""

    @property
    def error(self) -> float:
        """Frobenius norm of the tile's change, even where its square is no number."""
        return hypot(*self.row_errors.tolist())


def untouched(values: torch.Tensor) -> Snapped:
    """No row was rounded."""
    return Snapped(torch.zeros(values.shape[0], dtype=torch.float64, device=values.device))


def step_limits(room: torch.Tensor, row_squares: torch.Tensor, cols: int) -> torch.Tensor:
    """The largest step of each row, float64 [rows]: none moves by more than its `room`, or by much of its own size.

    `row_squares` are the squared norms of the rows. What is NaN or infinite, or so small that its squares are lost, allows no rounding.
    """
    limits = torch.minimum(room * (2 / sqrt(cols)), (row_squares / cols).sqrt() * COARSEST)
    return torch.where(torch.isfinite(room) & torch.isfinite(row_squares) & (row_squares >= LEAST_NORM**2), limits, 0.0)


def snap(values: torch.Tensor, limits: torch.Tensor, stored: str) -> Snapped:
    """Round `values`, which are numbers of the type `stored`, in place; the step of row i is the largest power of two <= limits[i]."""
    extreme = EXTREME_STEP[values.dtype]
    mantissas, exponents = torch.frexp(limits)  # of which a power of two is left without rounding
    rounded = (limits > 0) & (exponents > -extreme)
    if not rounded.any():
        return untouched(values)
    steps = torch.where(rounded, limits / mantissas / 2, 1.0).clamp(max=2.0**extreme)
    most = min(torch.finfo(dtype).max for dtype in (torch_dtype(stored), values.dtype))
    grid = _grid(steps.to(values.dtype), rounded, most)
    changes = torch.zeros_like(limits)
    rows, cols = values.shape
    height, width = max(1, BLOCK // cols), min(cols, BLOCK)
    for top in range(0, rows, height):
        part = slice(top, top + height)
        for left in range(0, cols, width):
            changes[part].hypot_(_snap_block(values[part, left : left + width], grid.rows(part)))
    return Snapped(changes.mul_(steps), min(extreme, int(exponents[rounded].max()) - 1))


@dataclass(frozen=True)
class _Grid:
    """The numbers that each row may hold."""

    steps: torch.Tensor
    """Powers of two."""
    largest: torch.Tensor
    """What must not be exceeded; negative for rows that stay as they are."""
    ordinary: torch.Tensor
    """Values up to this can be rounded without a look at each: neither they nor their quotients by the step can overflow."""

    def rows(self, part: slice) -> "_Grid":
        """Some rows, as columns that a block can be multiplied by."""
        return _Grid(self.steps[part, None], self.largest[part, None], self.ordinary[part].min())

    def admits(self, block: torch.Tensor) -> bool:
        """Whether every value of a block is ordinary: none NaN, infinite, near the largest, or in a row that stays."""
        low, high = torch.aminmax(block)
        return bool(torch.maximum(-low, high) <= self.ordinary)


def _grid(steps: torch.Tensor, rounded: torch.Tensor, most: float) -> _Grid:
    largest = torch.full_like(steps, most).masked_fill_(~rounded, -1.0)
    return _Grid(steps, largest, torch.minimum(largest / 2, steps * 2.0**60))


def _snap_block(block: torch.Tensor, grid: _Grid) -> torch.Tensor:
    """Round a block in place; returns the norm of each row's change in units of its step, float64."""
    before = block * (1 / grid.steps)
    nearest = before.round()
    if grid.admits(block):
        torch.mul(nearest, grid.steps, out=block)
        return torch.linalg.vector_norm(nearest.sub_(before), dim=1, dtype=torch.float64)
    rounded = nearest * grid.steps
    inside = rounded.abs() <= grid.largest
    block.copy_(torch.where(inside, rounded, block))
    return torch.linalg.vector_norm(nearest.sub_(before).masked_fill_(~inside, 0.0), dim=1, dtype=torch.float64)
