"""Is a finished tile right? Its residuals against the thresholds of `tasks.probes`, row by row."""

from dataclasses import dataclass

import torch

from tasks import probing
from tasks.epilogue import finish
from tasks.nonfinite import Affected, overflow_error
from tasks.probes import LEAST_NORM, checking_roundoff, tail_factor
from tasks.recipe import Recipe
from tasks.walk import Tile


@dataclass
class Sums:
    """What grows while the slabs of a tile go by."""

    accumulator: torch.Tensor
    residual: torch.Tensor
    """A (B G), float64 [rows, q]."""
    squares_a: torch.Tensor
    """Squared norms of the rows of A, float64 [rows]."""
    square_b: float = 0.0
    """Squared Frobenius norm of the column panel of B."""
    bytes_read: int = 0

    @classmethod
    def zero(cls, accumulator: torch.Tensor, probes: int) -> "Sums":
        """Nothing yet, for a zeroed accumulator."""
        rows, device = accumulator.shape[0], accumulator.device
        return cls(
            accumulator,
            torch.zeros(rows, probes, dtype=torch.float64, device=device),
            torch.zeros(rows, dtype=torch.float64, device=device),
        )


@dataclass(frozen=True)
class Checked:
    """What the check found."""

    worst: float
    """Largest residual over its threshold."""
    square_residual: float
    """Mean over the probes of the squared residual."""
    square_c0: float

    @property
    def accepted(self) -> bool:
        """Whether every row is within its threshold."""
        return self.worst <= 1.0


def check(recipe: Recipe, tile: Tile, sums: Sums, probes: torch.Tensor, affected: Affected) -> Checked:
    """Finish the accumulator (scale, add C0, round) and compare it with its probes.

    Raises NonFinite where a finite product overflowed its type.
    """
    added = finish(recipe, tile, sums.accumulator, probes, affected)
    seen = probing.apply(sums.accumulator, probes, probing.Wanted(clean=recipe.allow_nonfinite))
    residual = (recipe.alpha * sums.residual + recipe.beta * added.product - seen.product).abs_()
    residual[sorted(affected.rows)] = 0
    if not torch.isfinite(residual).all() and (error := overflow_error(recipe, tile, sums.accumulator)):
        raise error
    limits = thresholds(recipe, sums, probes, added.row_squares)
    worst = torch.where(residual > 0, residual / limits[:, None], residual).max()
    return Checked(
        worst=float(worst.nan_to_num(nan=torch.inf)),
        square_residual=float(residual.square().sum()) / recipe.probes,
        square_c0=float(added.row_squares.sum()),
    )


def thresholds(recipe: Recipe, sums: Sums, probes: torch.Tensor, squares_c0: torch.Tensor) -> torch.Tensor:
    """The largest residual of a sound row: float64 [rows]."""
    depth, unseen = recipe.walk.shape[1], recipe.walk.shape[1] ** 0.5 * LEAST_NORM
    norms_a, norm_b = sums.squares_a.sqrt() + unseen, sums.square_b**0.5 + len(probes) ** 0.5 * unseen
    relative = abs(recipe.alpha) * norms_a * norm_b + abs(recipe.beta) * squares_c0.sqrt()
    probe_norm = float(torch.linalg.vector_norm(probes, dim=0).max())
    hidden = checking_roundoff(depth, len(probes), probe_norm)
    tail = tail_factor(recipe.walk.shape[0] * recipe.walk.grid[1] * recipe.probes)
    return (tail * recipe.bound + hidden) * relative + tail * _lost(recipe, norms_a, norm_b, len(probes))


def _lost(recipe: Recipe, norms_a: torch.Tensor, norm_b: float, cols: int) -> torch.Tensor:
    """What underflow may take from each row; integers lose nothing."""
    if recipe.exact:
        return torch.zeros_like(norms_a)
    shape, stored = (1, recipe.walk.shape[1], cols), recipe.staging.spec.dtype
    factors = (recipe.alpha, recipe.beta)
    fixed = recipe.arithmetic.underflow(shape, (0.0, norm_b), stored, factors)
    growing = recipe.arithmetic.underflow(shape, (1.0, norm_b), stored, factors) - fixed
    return fixed + growing * norms_a
