"""The verifier's arithmetic on a worker: passes over slabs in float64, a cache-sized block at a time."""

from dataclasses import dataclass

import numpy as np
import torch

from tasks.memory import PROBE_BLOCK
from tasks.probes import SIGNS

LOST_SQUARE = 5e-324
"""The smallest float64."""


@dataclass(frozen=True)
class Pass:
    """What one pass over a block gives."""

    product: torch.Tensor
    """block @ vectors, float64 [rows, q]."""
    row_squares: torch.Tensor
    """Squared norm of each row, float64 [rows]; empty where it was not asked for. `LOST_SQUARE` in all rows of a block that is
    not zero, but so small that none of its squares is a number: only a zero block has zeros alone."""


def draw(seed: int, column: int, size: int, probes: int) -> torch.Tensor:
    """The probe vectors of a tile column, the same on every worker and device: float64 [size, probes + SIGNS].

    `probes` Gaussian columns, then those of random signs.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + column)
    gaussian = torch.randn(size, probes, generator=generator, dtype=torch.float64)
    signs = torch.randint(2, (size, SIGNS), generator=generator, dtype=torch.float64).mul_(2).sub_(1)
    return torch.cat([gaussian, signs], dim=1)


@dataclass(frozen=True)
class Wanted:
    """What a pass should give besides the product."""

    norms: bool = False
    """The rows' squared norms."""
    clean: bool = False
    """Take NaN and infinity as zero; otherwise they go through, and show in the sums."""


def apply(block: torch.Tensor, vectors: torch.Tensor, wanted: Wanted = Wanted()) -> Pass:
    """block @ vectors in float64; the block may be a transposed view, it is read in its stored order."""
    stored_by_rows = block.stride(1) == 1 or block.shape[1] == 1
    seen = _by_rows(block, vectors, wanted) if stored_by_rows else _by_columns(block, vectors, wanted)
    if wanted.norms and not wanted.clean and block.is_floating_point() and not seen.row_squares.any() and block.any():
        seen.row_squares.fill_(LOST_SQUARE)
    return seen


def _by_rows(block: torch.Tensor, vectors: torch.Tensor, wanted: Wanted) -> Pass:
    rows, cols = block.shape
    product = torch.empty(rows, vectors.shape[1], dtype=torch.float64, device=block.device)
    squares = torch.empty(rows if wanted.norms else 0, dtype=torch.float64, device=block.device)
    step = max(1, min(rows, PROBE_BLOCK // cols))
    wide = torch.empty(step, cols, dtype=torch.float64, device=block.device)
    for start in range(0, rows, step):
        part = block[start : start + step]
        piece = wide[: part.shape[0]]
        _widen(piece, part, wanted.clean)
        _multiply(piece, vectors, product[start : start + step])
        if wanted.norms:
            torch.linalg.vector_norm(piece, dim=1, out=squares[start : start + step])
    return Pass(product, squares.square_())


def _by_columns(block: torch.Tensor, vectors: torch.Tensor, wanted: Wanted) -> Pass:
    rows, cols = block.shape
    product = torch.zeros(rows, vectors.shape[1], dtype=torch.float64, device=block.device)
    added = torch.empty_like(product)
    squares = torch.zeros(rows if wanted.norms else 0, dtype=torch.float64, device=block.device)
    step = max(1, min(cols, PROBE_BLOCK // rows))
    wide = torch.empty(step, rows, dtype=torch.float64, device=block.device)
    for start in range(0, cols, step):
        part = block.T[start : start + step]
        piece = wide[: part.shape[0]]
        _widen(piece, part, wanted.clean)
        product.add_(_multiply(piece.T, vectors[start : start + step], added))
        if wanted.norms:
            squares.add_(piece.square_().sum(dim=0))
    return Pass(product, squares)


def _multiply(piece: torch.Tensor, vectors: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """piece @ vectors into `out`.

    By numpy where a core works alone: for so few columns its BLAS takes half of torch's time, or less. Its threads would fight
    with torch's for the cores of a worker that has several (measured: 50 times slower), so there it is torch.
    """
    if out.device.type == "cpu" and torch.get_num_threads() == 1:
        with np.errstate(all="ignore"):  # infinity and NaN are meant to show in the sums
            np.matmul(piece.numpy(), vectors.numpy(), out=out.numpy())
        return out
    return torch.mm(piece, vectors, out=out)


def _widen(piece: torch.Tensor, part: torch.Tensor, clean: bool) -> None:
    piece.copy_(part)
    if clean:
        torch.nan_to_num(piece, nan=0.0, posinf=0.0, neginf=0.0, out=piece)
