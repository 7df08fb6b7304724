"""Whether a contender multiplied right: a few rows of its product against the same rows in float64."""

from pathlib import Path

import numpy as np
import zarr

ROWS = 8
"""Of each of three bands: first, middle, last."""
COLUMNS = 2048
FLOAT32 = 1e-5
"""Normwise error that every float32 product of random matrices keeps by far."""


def spot_error(folder: Path, product: str) -> float:
    """‖Ĉ − C‖ / (‖A‖ ‖B‖) over those rows."""
    a, b, c = (_open(folder / name) for name in ("A", "B", product))
    left = _bands(a, slice(None))
    wrong = square = 0.0
    for start in range(0, b.shape[1], COLUMNS):
        cols = slice(start, min(start + COLUMNS, b.shape[1]))
        right = np.asarray(b[:, cols], np.float64)
        wrong += float(((_bands(c, cols) - left @ right) ** 2).sum())
        square += float((right**2).sum())
    return float(np.sqrt(wrong / square) / np.linalg.norm(left))


def _bands(matrix: zarr.Array | np.ndarray, cols: slice) -> np.ndarray:
    count = matrix.shape[0]
    starts = sorted({0, max(0, count // 2 - ROWS // 2), max(0, count - ROWS)})
    return np.concatenate([np.asarray(matrix[start : start + ROWS, cols], np.float64) for start in starts])


def _open(path: Path) -> zarr.Array | np.ndarray:
    return np.load(path, mmap_mode="r") if path.suffix == ".npy" else zarr.open_array(path, mode="r")
