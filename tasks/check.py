"""Is a finished tile right? Its residuals against the thresholds of `tasks.probes`, row by row.

    scale, add C0, round to the type  ->  probe  ->  round to storage's steps, if it has a share  ->  probe again, accept or refuse

What is accepted is what is stored. How large the arithmetic's error is, is estimated before the second rounding, whose own error is
computed from every value and not estimated at all. From before it, too, is what the rows look like beside each other.
"""

from dataclasses import dataclass, field, replace
from math import frexp, hypot, inf, prod

import torch

from tasks import probing
from tasks.epilogue import finish
from tasks.errors import NonFinite
from tasks.nonfinite import Affected, overflow_error
from tasks.outliers import NOT_COMPARED, Measure, Rows, compare
from tasks.probes import LEAST_NORM, LEAST_SAFE_NORM, SIGNS, checking_noise, checking_roundoff, tail_factor
from tasks.recipe import Recipe
from tasks.rounding import MARGIN
from tasks.snapping import Snapped, snap, step_limits, untouched
from tasks.walk import Tile

_EXCEEDED = 1 + 1e-9
"""What a row may have moved over what it was allowed; the excess is the measurement's own rounding."""


@dataclass
class Sums:
    """What grows while the slabs of a tile go by."""

    accumulator: torch.Tensor
    residual: torch.Tensor
    """A (B G), float64 [rows, probes + SIGNS]."""
    squares_a: torch.Tensor
    """Squared norms of the rows of A, float64 [rows]."""
    square_b: float = 0.0
    """Squared Frobenius norm of the column panel of B."""
    bytes_read: int = 0
    owned_a: float = 0.0
    """Squared norm of the slabs of A that count in this tile alone (`tasks.sparsity`)."""
    owned_b: float = 0.0
    """The same of B."""
    norms: tuple[float, float] = (0.0, 0.0)
    """Frobenius norms of what of A and B counts in this tile, in the certificate: right even where squares are lost; NaN where unknown."""
    changed: bool = False
    """Whether a slab of A is no longer what it was when it was read."""
    blocked: set[int] = field(default_factory=set[int])
    """Columns that NaN or infinity in B reaches: their probes are zero."""
    finest: float = inf
    """The smallest step that storage may round rows of the tile to that are not here, where all must have one."""

    @classmethod
    def zero(cls, accumulator: torch.Tensor, probes: int) -> "Sums":
        """Nothing yet, for an accumulator that the first slab fills and so many Gaussian probes."""
        rows, device = accumulator.shape[0], accumulator.device
        return cls(
            accumulator,
            torch.zeros(rows, probes + SIGNS, dtype=torch.float64, device=device),
            torch.zeros(rows, dtype=torch.float64, device=device),
        )

    def count(self, norm_a: float, norm_b: float) -> None:
        """Add slabs with these norms to those that count."""
        self.norms = hypot(self.norms[0], norm_a), hypot(self.norms[1], norm_b)


@dataclass(frozen=True)
class Checked:
    """What the check found."""

    worst: float
    """Largest residual over its threshold."""
    square_residual: float
    """Mean over the Gaussian probes of the squared residual, before rounding for storage: what that changed is known, not estimated."""
    square_c0: float
    norm_c0: float
    """Frobenius norm of this tile of C0, right even where squares are lost."""
    rounded: Snapped
    """What rounding before storage did."""
    rows: Rows
    """How the rows compare, before that rounding."""
    overflow: NonFinite | None = None
    """A value that is not finite where the product is: too large for its type, unless memory or arithmetic failed."""

    @property
    def accepted(self) -> bool:
        """Whether every row is within its threshold."""
        return self.worst <= 1.0


def check(recipe: Recipe, tile: Tile, sums: Sums, probes: torch.Tensor, affected: Affected) -> Checked:
    """Finish the accumulator (scale, add C0, round to its type and to storage's steps) and compare it with its probes."""
    added = finish(recipe, tile, sums.accumulator, probes, affected)
    wanted = probing.Wanted(norms=recipe.share > 0, clean=recipe.allow_nonfinite)
    seen = probing.apply(sums.accumulator, probes, wanted)
    room = _room(recipe, sums, added.row_squares)
    finest = sums.finest if recipe.walk.is_diagonal(tile.row, tile.col) else None
    rounded = _snap(recipe, sums.accumulator, (room, seen.row_squares), finest)
    stored = seen if rounded.exponent is None else probing.apply(sums.accumulator, probes, replace(wanted, norms=False))
    expected = recipe.alpha * sums.residual + recipe.beta * added.product
    residual = _residual(expected, stored, affected)
    suspicious = recipe.allow_nonfinite or not torch.isfinite(residual).all()
    overflow = overflow_error(recipe, tile, sums.accumulator, affected) if suspicious and not sums.changed else None
    limits = thresholds(recipe, sums, probes, added.row_squares) + _tail(recipe) * rounded.row_errors
    worst = torch.where(residual > 0, residual / limits[:, None], residual).max()
    if sums.changed or overflow or (rounded.row_errors > _EXCEEDED * room).any():
        worst.fill_(torch.inf)
    before = residual if stored is seen else _residual(expected, seen, affected)
    return Checked(
        worst=float(worst.nan_to_num(nan=torch.inf)),
        square_residual=float(before[:, : recipe.probes].square().sum()) / recipe.probes,
        square_c0=float(added.row_squares.sum()),
        norm_c0=added.norm,
        rounded=rounded,
        rows=NOT_COMPARED if overflow else _rows(recipe, sums, before, added.row_squares, affected),
        overflow=overflow,
    )


def _rows(recipe: Recipe, sums: Sums, residual: torch.Tensor, squares_c0: torch.Tensor, affected: Affected) -> Rows:
    """How the rows compare, without those that NaN or infinity reaches; with none where the arithmetic is exact."""
    if recipe.exact:
        return NOT_COMPARED
    scale, cols = _counted(recipe, sums, squares_c0), sums.accumulator.shape[1]
    scale[sorted(affected.rows)] = 0
    lost = _lost(recipe, sums.squares_a.sqrt(), sums.square_b**0.5, cols)
    noise = checking_noise(recipe.walk.shape[1], cols, recipe.arithmetic.accumulate)
    return compare(residual, recipe.probes, Measure(scale, lost, noise))


def _residual(expected: torch.Tensor, seen: probing.Pass, affected: Affected) -> torch.Tensor:
    """By how much the probes of the tile miss what they should be; 0 in rows that stand outside the certificate."""
    residual = (expected - seen.product).abs_()
    residual[sorted(affected.rows)] = 0
    return residual


def _room(recipe: Recipe, sums: Sums, squares_c0: torch.Tensor) -> torch.Tensor:
    """By how much storage may move each row: float64 [rows].

    Nothing that the certificate will not count: no norm too small to be known, no row of which underflow may take as much as the margin.
    """
    room = recipe.share * _counted(recipe, sums, squares_c0)
    lost = _lost(recipe, sums.squares_a.sqrt(), sums.square_b**0.5, sums.accumulator.shape[1])
    return torch.where(lost <= MARGIN * room, room, 0.0)


def _counted(recipe: Recipe, sums: Sums, squares_c0: torch.Tensor) -> torch.Tensor:
    """What the error of each row is relative to, from the norms that are surely known."""
    norm_b = sums.square_b**0.5
    return _relative(recipe, _safe(sums.squares_a.sqrt()), norm_b if norm_b >= LEAST_SAFE_NORM else 0.0, _safe(squares_c0.sqrt()))


def _safe(norms: torch.Tensor) -> torch.Tensor:
    return torch.where(norms >= LEAST_SAFE_NORM, norms, 0.0)


def finest_step(recipe: Recipe, tile: Tile, sums: Sums, probes: torch.Tensor, affected: Affected) -> float:
    """The smallest step that storage may round any of these rows to. Finishes the accumulator."""
    added = finish(recipe, tile, sums.accumulator, probes, affected)
    seen = probing.apply(sums.accumulator, probes, probing.Wanted(norms=True, clean=recipe.allow_nonfinite))
    return float(step_limits(_room(recipe, sums, added.row_squares), seen.row_squares, sums.accumulator.shape[1]).amin())


def _snap(recipe: Recipe, values: torch.Tensor, known: tuple[torch.Tensor, torch.Tensor], finest: float | None) -> Snapped:
    """Round each row within its room, in place; all of a symmetric tile to the finest of its steps, so that it stays symmetric.

    `known` are the rows' room and their squared norms, `finest` is that of its other rows; None where each has its own.
    """
    if recipe.share == 0:
        return untouched(values)
    limits = step_limits(*known, values.shape[1])
    return snap(values, limits if finest is None else limits.amin().clamp(max=finest).expand_as(limits), recipe.staging.spec.dtype)


def thresholds(recipe: Recipe, sums: Sums, probes: torch.Tensor, squares_c0: torch.Tensor) -> torch.Tensor:
    """The largest residual of a sound row: float64 [rows]."""
    depth, unseen = recipe.walk.shape[1], recipe.walk.shape[1] ** 0.5 * LEAST_NORM
    norms_a, norm_b = sums.squares_a.sqrt() + unseen, sums.square_b**0.5 + len(probes) ** 0.5 * unseen
    relative = _relative(recipe, norms_a, norm_b, squares_c0.sqrt())
    probe_norm = float(torch.linalg.vector_norm(probes, dim=0).max())
    hidden = checking_roundoff(depth, len(probes), probe_norm)
    tail = _tail(recipe)
    return (tail * recipe.bound + hidden) * relative + tail * _lost(recipe, norms_a, norm_b, len(probes))


def stored_thresholds(recipe: Recipe, sums: Sums, probes: torch.Tensor, squares_c0: torch.Tensor) -> torch.Tensor:
    """The largest residual of a sound row that storage may have rounded within its share: float64 [rows]."""
    return thresholds(recipe, sums, probes, squares_c0) + _tail(recipe) * _EXCEEDED * _room(recipe, sums, squares_c0)


def _relative(recipe: Recipe, norms_a: torch.Tensor, norm_b: float, norms_c0: torch.Tensor) -> torch.Tensor:
    """What the error of each row is relative to: infinite only where it is too large, and not on the way."""
    return times(norms_a, (abs(recipe.alpha), norm_b)) + abs(recipe.beta) * norms_c0


def times(values: torch.Tensor, factors: tuple[float, ...]) -> torch.Tensor:
    """Values times these factors, of which nothing overflows or vanishes on the way."""
    mantissas, exponents = torch.frexp(values)
    known, shifts = zip(*map(frexp, factors), strict=True)
    exponents = exponents + sum(shifts)
    half = exponents // 2
    return (mantissas * prod(known)) * torch.exp2(half.double()) * torch.exp2((exponents - half).double())


def _tail(recipe: Recipe) -> float:
    return tail_factor(recipe.walk.lines[0] * (recipe.probes + SIGNS))


def _lost(recipe: Recipe, norms_a: torch.Tensor, norm_b: float, cols: int) -> torch.Tensor:
    """What underflow may take from each row; integers lose nothing."""
    if recipe.exact:
        return torch.zeros_like(norms_a)
    shape, stored = (1, recipe.walk.shape[1], cols), recipe.staging.spec.dtype
    factors = (recipe.alpha, recipe.beta)
    fixed = recipe.arithmetic.underflow(shape, (0.0, norm_b), stored, factors)
    growing = recipe.arithmetic.underflow(shape, (1.0, norm_b), stored, factors) - fixed
    return fixed + growing * norms_a
