"""Jobs drawn by seed for `benchmarks.prediction`: shapes, types, codecs, budgets, and the values of A and B."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import exp, log
from pathlib import Path

import numpy as np
import zarr

from storage import resolve_codec

CODECS = ("none", "blosc-lz4-shuffle", "blosc-zstd", "zstd")
BUDGETS = ("1GiB", "2GiB", "4GiB")
CHUNKS = (500, 1000, 1024, 2048)


@dataclass(frozen=True)
class Sizes:
    """What jobs are drawn from."""

    extents: tuple[int, int]
    flops: tuple[float, float]
    most_bytes: float


USUAL = Sizes((500, 12_000), (2e10, 1.2e12), 1.5e9)
TINY = Sizes((300, 900), (1e7, 1e9), 1e7)
"""To try the benchmark itself."""

Make = Callable[[np.random.Generator, slice, tuple[int, int]], np.ndarray]
"""Some rows of a matrix of this shape."""


def _count(rows: slice) -> int:
    return rows.stop - rows.start


def _low_rank(rng: np.random.Generator, rows: slice, shape: tuple[int, int]) -> np.ndarray:
    right = np.random.default_rng(shape[1]).standard_normal((8, shape[1]))
    return rng.standard_normal((_count(rows), 8)) @ right


def _sorted(rng: np.random.Generator, rows: slice, shape: tuple[int, int]) -> np.ndarray:
    """Rows of growing size."""
    return rng.standard_normal((_count(rows), shape[1])) * np.geomspace(1e-3, 1e3, shape[0])[rows, None]


def _growing(rng: np.random.Generator, rows: slice, shape: tuple[int, int]) -> np.ndarray:
    """Integers, the more digits the further down."""
    most = 1 + 100 * np.arange(rows.start, rows.stop)[:, None] / shape[0]
    return np.rint(rng.uniform(-most, most, (_count(rows), shape[1])))


DATA: dict[str, Make] = {
    "normal": lambda rng, rows, shape: rng.standard_normal((_count(rows), shape[1])),
    "integers": lambda rng, rows, shape: rng.integers(-8, 9, (_count(rows), shape[1])),
    "positive": lambda rng, rows, shape: rng.random((_count(rows), shape[1])),
    "zeros": lambda rng, rows, shape: np.maximum(rng.standard_normal((_count(rows), shape[1])) - 2, 0),
    "low rank": _low_rank,
    "sorted": _sorted,
    "growing": _growing,
}
"""Values of A and B."""


@dataclass(frozen=True)
class Drawn:
    """A job."""

    shape: tuple[int, int, int]
    dtype: str
    chunk: int
    stored: str
    codec: str
    memory: str
    durability: str
    data: str = "normal"


def draws(seed: int, sizes: Sizes = USUAL, mixed: bool = False) -> Iterator[Drawn]:
    """Jobs, the same for a seed, whatever the data."""
    rng, kinds = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    while True:
        low, high = map(log, sizes.extents)
        m, k, n = (int(exp(rng.uniform(low, high))) for _ in range(3))
        dtype, chunk = str(rng.choice(["float32", "float32", "float64"])), int(rng.choice(CHUNKS))
        words = str(rng.choice(CODECS)), str(rng.choice(CODECS)), str(rng.choice(BUDGETS)), str(rng.choice(["power", "process"]))
        nbytes = (m * k + k * n + m * n) * np.dtype(dtype).itemsize
        if sizes.flops[0] < 2 * m * k * n < sizes.flops[1] and nbytes < sizes.most_bytes:
            yield Drawn((m, k, n), dtype, chunk, *words, str(kinds.choice(list(DATA))) if mixed else "normal")


def store(path: Path, shape: tuple[int, int], drawn: Drawn, seed: int) -> None:
    """Write an operand, a row of chunks at a time."""
    rng, chunks = np.random.default_rng(seed), (min(drawn.chunk, shape[0]), min(drawn.chunk, shape[1]))
    codecs = resolve_codec(drawn.stored).bytes_codecs(np.dtype(drawn.dtype).itemsize)
    array = zarr.create_array(path, shape=shape, chunks=chunks, dtype=drawn.dtype, compressors=codecs)
    for start in range(0, shape[0], chunks[0]):
        rows = slice(start, min(start + chunks[0], shape[0]))
        array[rows] = DATA[drawn.data](rng, rows, shape)
