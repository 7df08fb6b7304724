"""Matrices to multiply: random normal float32, as Zarr arrays, and the same as .npy for those who map files."""

from pathlib import Path

import numpy as np
import zarr

from benchmarks.case import CHUNK, CODEC
from storage import resolve_codec


def make_inputs(folder: Path, shape: tuple[int, int, int], chunk: tuple[int, int] = CHUNK) -> None:
    """A (m x k) and B (k x n) in chunks of `chunk`, blosc-zstd."""
    rng = np.random.default_rng(0)
    for name, (rows, cols) in {"A": shape[:2], "B": shape[1:]}.items():
        chunks = (min(chunk[0], rows), min(chunk[1], cols))
        compressors = resolve_codec(CODEC).bytes_codecs(4)
        array = zarr.create_array(folder / name, shape=(rows, cols), chunks=chunks, dtype="float32", compressors=compressors)
        for start in range(0, rows, chunk[0]):
            stop = min(start + chunk[0], rows)
            array[start:stop] = rng.standard_normal((stop - start, cols), dtype="float32")


def make_maps(folder: Path) -> None:
    """A.npy and B.npy with the values of the Zarr arrays beside them."""
    for name in "AB":
        array = zarr.open_array(folder / name)
        target = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, array.shape)
        for start in range(0, array.shape[0], array.chunks[0]):
            target[start : start + array.chunks[0]] = array[start : start + array.chunks[0]]
