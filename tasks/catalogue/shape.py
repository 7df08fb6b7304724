"""How a product's shape costs time beyond its operations: five numbers, each with its physical reason.

A GPU computes C in tiles, a wave of one tile on each multiprocessor at a time, and t = flops / peak * exp(x . w), where x is

constant       the share of the peak that large products reach: clocks fall under load, not every cycle multiplies
quantisation   log of multiprocessor time over useful time: the last wave is partly empty, the last tile of a row partly outside
               C; a library chooses among tile shapes (smaller ones reuse less) and may split k
depth          log(1 + 512 / k): each tile fills its pipeline and writes C, whatever k is
launch         log(1 + 5 us / ideal): starting a kernel
length         log(1 + ideal / 5 ms), up to 30 ms: long kernels run into the limits of power and heat, soon or never

The weights w are those of a device and its library; they are fitted elsewhere. Each number but the first is counted from its value at an
ordinary product (`ORDINARY`), so that the constant is the efficiency there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil, log, log1p

from tasks.gemm import Gemm

NAMES = ("constant", "quantisation", "depth", "launch", "length")

ORDINARY = (0.0, 0.13, 0.12, 0.05, 0.28)
"""Means of the numbers over the measured products of the reference devices."""

TILES = (
    (256, 128, 1.0),
    (128, 256, 1.0),
    (128, 128, 1.15),
    (256, 64, 1.15),
    (64, 256, 1.15),
    (128, 64, 1.35),
    (64, 128, 1.35),
    (64, 64, 1.35),
)
"""Rows and columns of tiles that libraries have kernels for, and the time of a multiplication relative to the largest."""

SPLITS = (1, 2, 4)
"""Parts of k that may be computed by different multiprocessors and added up afterwards."""

PARTIAL_BYTES = 8
"""Of an element of a part: written and read in float32."""

LAUNCH, LONG, LONGEST, SHALLOW = 5e-6, 5e-3, 30e-3, 512
"""Seconds of starting a kernel, of a long one, and beyond which nothing changes; depth at which filling takes as long as multiplying."""


@dataclass(frozen=True)
class Engine:
    """What of a device the shape's cost depends on."""

    peak: float
    """FLOP/s, dense, of the arithmetic that is used."""
    multiprocessors: int | None = None
    """None where unknown: no waves are counted then."""
    bandwidth: float | None = None
    """Bytes/s of the device's memory; None where unknown: k is not split then."""

    def ideal(self, gemm: Gemm) -> float:
        """Seconds of one such product at the peak."""
        return 2 * gemm.m * gemm.n * gemm.k / self.peak


def numbers(engine: Engine, gemm: Gemm) -> tuple[float, ...]:
    """x of one product, in the order of NAMES."""
    ideal = engine.ideal(gemm)
    waves = log(overhead(engine, gemm)) if engine.multiprocessors else ORDINARY[1]
    raw = (1.0, waves, log1p(SHALLOW / gemm.k), log1p(LAUNCH / ideal), log1p(min(ideal, LONGEST) / LONG))
    return tuple(value - usual for value, usual in zip(raw, ORDINARY, strict=True))


def overhead(engine: Engine, gemm: Gemm) -> float:
    """Multiprocessor time over useful time, by the best tiles there are.

    A whole wave of the largest tiles wastes nothing; one tile more needs a second wave, or smaller tiles.

    >>> engine = Engine(1e15, 128)
    >>> overhead(engine, Gemm("", 2048, 2048 * 2, 4096)), round(overhead(engine, Gemm("", 2049, 2048 * 2, 4096)), 2)
    (1.0, 1.43)
    """
    return min(_times(engine, gemm)) / (gemm.m * gemm.n * gemm.k)


def _times(engine: Engine, gemm: Gemm) -> Iterator[float]:
    """Multiply-adds that the multiprocessors have time for until the product is done, by tile and split."""
    units = engine.multiprocessors or 1
    for (rows, cols, slowness), parts in product(TILES, SPLITS if engine.bandwidth else (1,)):
        tiles = ceil(gemm.m / rows) * ceil(gemm.n / cols) * parts
        yield ceil(tiles / units) * units * rows * cols * slowness * gemm.k / parts + _adding_up(engine, gemm, parts)


def _adding_up(engine: Engine, gemm: Gemm, parts: int) -> float:
    if parts == 1 or not engine.bandwidth:
        return 0.0
    return parts * gemm.m * gemm.n * PARTIAL_BYTES / engine.bandwidth * engine.peak / 2
