"""numpy on mapped files: .npy in, .npy out, nothing compressed, nothing but the page cache between numpy and the disk.

C is computed in tiles, each the product of whole rows of A and whole columns of B, straight into its mapped file:

    tile (edge x edge)  =  rows (edge x k)  @  columns (k x edge)        4 (edge² + 2 k edge) bytes are touched

The edge is the largest whose bytes fit in the budget beside the interpreter. Files are mapped anew for every tile, so that what earlier
tiles touched is not resident any more. Very deep products would want k cut, too; none is measured.
"""

import time
from math import isqrt
from pathlib import Path

import numpy as np
import psutil

from benchmarks.case import Setting
from benchmarks.taken import Taken, peak_bytes

PRODUCT = "C.npy"
ITEMSIZE = 4


def numpy_memmap(folder: Path, setting: Setting) -> Taken:
    """Written to the page cache, without a flush, as everybody here."""
    m, k, n = setting.shape
    room = setting.memory - psutil.Process().memory_info().rss
    start = time.perf_counter()
    edge = tile_edge(k, room)
    high, wide = even(m, edge), even(n, edge)
    np.lib.format.open_memmap(folder / PRODUCT, "w+", np.float32, (m, n))
    for top in range(0, m, high):
        for left in range(0, n, wide):
            _tile(folder, slice(top, top + high), slice(left, left + wide))
    return Taken(time.perf_counter() - start, peak_bytes(), how=f"tiles of {high} × {wide}")


def tile_edge(depth: int, room: int) -> int:
    """The largest edge whose tile touches at most `room` bytes.

    >>> tile_edge(100, 4 * (50**2 + 2 * 100 * 50))
    50

    Raises ValueError where not even one element fits.
    """
    edge = isqrt(depth**2 + max(0, room) // ITEMSIZE) - depth
    if edge < 1:
        raise ValueError(f"{room} bytes are too few for a product that is {depth} deep")
    return edge


def even(length: int, edge: int) -> int:
    """The edge of as many tiles, all about equal.

    >>> even(16384, 6500), even(100, 200)
    (5462, 100)
    """
    return -(-length // -(-length // edge))


def _tile(folder: Path, rows: slice, cols: slice) -> None:
    a, b = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in "AB")
    c = np.load(folder / PRODUCT, mmap_mode="r+")
    np.matmul(np.asarray(a[rows]), np.asarray(b[:, cols]), out=np.asarray(c[rows, cols]))
