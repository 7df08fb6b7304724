"""The verifier's arithmetic on a worker: passes over slabs in float64, a cache-sized block at a time.

    slab --widen, whole rows: memory is read in long runs--> piece, last cache --BLAS, a block of it at a time: second cache--> product

Of narrower pieces the widening takes 0.43 ns an element instead of 0.18; of larger blocks BLAS takes 0.6 instead of 0.4.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite, sqrt

import numpy as np
import torch

from tasks import blas
from tasks.memory import block_elements, padded_probes
from tasks.norms import is_sure, norm_of
from tasks.probes import SIGNS

LOST_SQUARE = 5e-324
"""The smallest float64."""

PIECE_WIDTH = 8192
"""Columns of a piece, at most."""

MULTIPLIED_BLOCK = 1 << 16
"""Elements of a piece that one core multiplies at a time."""


@dataclass(frozen=True)
class Pass:
    """What one pass over a block gives."""

    product: torch.Tensor
    """block @ vectors, float64 [rows, q]: a view of `padded_probes` columns."""
    row_squares: torch.Tensor
    """Squared norm of each row, float64 [rows]; empty where it was not asked for. `LOST_SQUARE` in all rows of a block that is
    not zero, but so small that none of its squares is a number: only a zero block has zeros alone."""
    norm: float = 0.0
    """Frobenius norm of the block, where the rows' were asked for: right even where no square is (`tasks.norms`)."""


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
    if not wanted.norms:
        return seen
    total = float(seen.row_squares.sum())
    if block.dtype != torch.float64 or is_sure(total) or not isfinite(total) or not (total or block.any()):
        return replace(seen, norm=sqrt(total))
    norm = norm_of(total, lambda: (piece for *_, piece in _pieces(block if stored_by_rows else block.T, wanted.clean)))
    if norm and not total and not wanted.clean:
        seen.row_squares.fill_(LOST_SQUARE)
    return replace(seen, norm=norm)


def _by_rows(block: torch.Tensor, vectors: torch.Tensor, wanted: Wanted) -> Pass:
    (rows, cols), count = block.shape, vectors.shape[1]
    right = _zeros((cols, padded_probes(count)), block)
    right[:, :count] = vectors
    product, squares = _zeros((rows, padded_probes(count)), block), _zeros(rows, block)
    for down, across, piece in _pieces(block, wanted.clean):
        for part in _blocks(piece):
            _add_product(product[down], piece[:, part], right[across][part])
        if wanted.norms:
            _add_square_lines(piece, squares[down])
    return Pass(product[:, :count], squares if wanted.norms else squares[:0])


def _by_columns(block: torch.Tensor, vectors: torch.Tensor, wanted: Wanted) -> Pass:
    """The product turned as the block is, (vectors' block')': its long sides are the block's, and BLAS takes three quarters of the time."""
    (rows, cols), count = block.shape, vectors.shape[1]
    left = _zeros((padded_probes(count), cols), block)
    left[:count] = vectors.T
    product, squares = _zeros((padded_probes(count), rows), block), _zeros(rows, block)
    for down, across, piece in _pieces(block.T, wanted.clean):
        for part in _blocks(piece):
            _add_product(product[:, across][:, part], left[:, down], piece[:, part])
        if wanted.norms:
            _add_square_columns(piece, squares[across])
    return Pass(product[:count].T, squares if wanted.norms else squares[:0])


def _pieces(stored: torch.Tensor, clean: bool) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Pieces of a block that is stored by rows, in float64, in one buffer: rows, columns, values."""
    (rows, cols), device = stored.shape, stored.device
    width = min(cols, PIECE_WIDTH)
    height = max(1, min(rows, block_elements(device.type, torch.get_num_threads()) // max(1, width)))
    buffer = torch.empty(height, width, dtype=torch.float64, device=device)
    for start in range(0, rows, height):
        for first in range(0, cols, width):
            part = stored[start : start + height, first : first + width]
            piece = buffer[: part.shape[0], : part.shape[1]]
            _widen(piece, part, clean)
            yield slice(start, start + height), slice(first, first + width), piece


def _blocks(piece: torch.Tensor) -> Iterator[slice]:
    """Columns of a piece that are multiplied at a time."""
    rows, cols = piece.shape
    step = max(1, MULTIPLIED_BLOCK // rows) if _by_scipy(piece) else cols
    return (slice(first, first + step) for first in range(0, cols, step))


def _add_product(product: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> None:
    if _by_scipy(product):
        blas.add_product(product, left, right, 1.0)
    else:
        product.addmm_(left, right)


def _zeros(shape: int | tuple[int, int], block: torch.Tensor) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.float64, device=block.device)


def _widen(piece: torch.Tensor, part: torch.Tensor, clean: bool) -> None:
    piece.copy_(part)
    if clean:
        torch.nan_to_num(piece, nan=0.0, posinf=0.0, neginf=0.0, out=piece)


def _add_square_lines(piece: torch.Tensor, sums: torch.Tensor) -> None:
    """Add the squared norm of each row to `sums`: by numpy, which takes two thirds of torch's time, where one core works alone."""
    if _alone(piece):
        with np.errstate(all="ignore"):  # infinity and NaN are meant to show in the sums
            sums.add_(torch.from_numpy(np.vecdot(piece.numpy(), piece.numpy())))
    else:
        sums.add_(torch.linalg.vector_norm(piece, dim=1).square_())


def _add_square_columns(piece: torch.Tensor, sums: torch.Tensor) -> None:
    """Add the squared norm of each column to `sums`; torch writes over the piece."""
    if _alone(piece):
        sums.add_(torch.from_numpy(np.einsum("ij,ij->j", piece.numpy(), piece.numpy())))
    else:
        sums.add_(piece.square_().sum(dim=0))


def _by_scipy(piece: torch.Tensor) -> bool:
    """The faster library, and the same in every run on a machine: another order of sums is another residual."""
    return _alone(piece) and blas.has_wide_vectors()


def _alone(piece: torch.Tensor) -> bool:
    """Whether numpy and scipy may compute: their threads would fight with those of a worker whose torch has several."""
    return piece.device.type == "cpu" and torch.get_num_threads() == 1
