"""What it takes to add up the parts of a product, and whether they travel compressed. Pure.

    writers   encode, write      all workers at once
    readers   read, decode       a worker for each tile; then three passes through memory

Parts are written at the rate of the durability asked; what is durable went past the page cache, and is read from the disk. Of the codecs
the one is taken with which that takes least: `none` where the disk is as fast as they compress. The bits of the sums are the same.
"""

from math import inf

import numpy as np

from tasks.candidate import Candidate

RATIOS = {
    "float32": {"blosc-lz4": 1.10, "blosc-zstd": 1.18, "blosc-zstd-bitshuffle": 1.13, "huffman": 1.19, "pcodec": 1.20},
    "float64": {"blosc-lz4": 1.08, "blosc-zstd": 1.12, "blosc-zstd-bitshuffle": 1.08, "huffman": 1.13, "pcodec": 1.15},
}
"""Bytes before over bytes after, by type and codec: 1024 x 2048 sums of 256 and of 8192 products of normal random numbers, the worse of
both. Real data compress no worse."""


def adding_up(way: Candidate) -> float:
    """Seconds that the parts of the product take beyond their work, one after the other."""
    if way.parts == 1:
        return 0.0
    nbytes = partial_bytes(way)
    added = 3 * nbytes / way.layout.rates.copy / _readers(way)
    return nbytes * seconds_a_byte(way, codec_of_sums(way)) + added


def partial_bytes(way: Candidate) -> int:
    """Bytes of all partial sums before compression, which are written once and read once; 0 where there are none."""
    m, _, n = way.shape
    return way.parts * m * n * np.dtype(way.arithmetic.accumulate).itemsize if way.parts > 1 else 0


def codec_of_sums(way: Candidate) -> str:
    """The codec with which a run's partial sums travel soonest, `none` before others; one that the workers have."""
    rates = way.layout.rates
    known = [name for name in RATIOS.get(way.arithmetic.accumulate, {}) if name in rates.encode and name in rates.decode]
    return min(["none", *known], key=lambda name: seconds_a_byte(way, name))


def seconds_a_byte(way: Candidate, codec: str) -> float:
    """To write partial sums and read them again, in this codec."""
    rates, ratio = way.layout.rates, 1.0 if codec == "none" else RATIOS[way.arithmetic.accumulate][codec]
    write, read = (rates.write, rates.uncached) if way.durability == "power" else (rates.write_unsynced, inf)
    written = 1 / _rate(rates.encode, codec) + 1 / (ratio * write)
    return written / way.workers + (1 / (ratio * read) + 1 / _rate(rates.decode, codec)) / _readers(way)


def _readers(way: Candidate) -> int:
    return min(way.tiles, way.workers)


def _rate(rates: dict[str, float], codec: str) -> float:
    return rates.get(codec, min(rates.values()))
